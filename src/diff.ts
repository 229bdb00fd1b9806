/** What is different between two model files. */
import { diffModels } from './compare/index.ts'
import { closeModel, openModel, requireExternalData } from './onnx/index.ts'
import type { DifferenceDocument } from './report/index.ts'
import { describeDifference, describeModel } from './report/index.ts'

/** Says node by node what is different between two models, weights included; neither is run. */
export async function diff(first: string, second: string): Promise<DifferenceDocument> {
  const a = openModel(first)
  try {
    const b = openModel(second)
    try {
      requireExternalData(a)
      requireExternalData(b)
      return describeDifference(await describeModel(a, {}), await describeModel(b, {}), diffModels(a, b))
    } finally {
      closeModel(b)
    }
  } finally {
    closeModel(a)
  }
}
