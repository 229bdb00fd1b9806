import { checkOptions, optionKinds } from './check-options.ts'
import type { ModelInput } from './convert.ts'
import { Model } from './ir/index.ts'
import { closeModel, openModel, printModel } from './onnx/index.ts'
import type { Inspection } from './report/index.ts'
import { inspectModel } from './report/index.ts'

/** What is in a model: inputs, outputs, operators, nested graphs, functions, weights. No weight is read. */
export async function inspect(
  input: ModelInput,
  options: { readonly hash?: boolean | undefined } = {},
): Promise<Inspection> {
  checkOptions(options, { hash: optionKinds.flag })
  const model = input instanceof Model ? input : openModel(input)
  try {
    return await inspectModel(model, options)
  } finally {
    if (model !== input) closeModel(model)
  }
}

/** The model in ONNX's textual syntax, large weights left out. */
export function textOf(input: ModelInput): string {
  const model = input instanceof Model ? input : openModel(input)
  try {
    return printModel(model)
  } finally {
    if (model !== input) closeModel(model)
  }
}
