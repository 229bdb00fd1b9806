import { fileURLToPath } from 'node:url'
import type { DataOptions, DataSource, Sample } from '../../src/data/index.ts'
import { openData } from '../../src/data/index.ts'
import type { ConvertError } from '../../src/errors.ts'
import type { Model } from '../../src/ir/index.ts'
import { parseModel } from '../../src/onnx/index.ts'

export const dataFixtures = fileURLToPath(new URL('../../fixtures/data', import.meta.url))

/** A model with these inputs, of which it gives the first. `table` is looked up by the first. */
export function modelWith(inputs: string, table?: number): Model {
  const first = /^\w+\s+(\w+)/.exec(inputs.replace(/\[[^\]]*\]/g, ''))?.[1] ?? ''
  const lookup = `<float[${table}, 1] table> { y = Gather(table, ${first}) }`
  const body = table === undefined ? `{ y = Identity(${first}) }` : lookup
  return parseModel(`<ir_version: 8, opset_import: ["" : 17]> g (${inputs}) => (y) ${body}`)
}

/** The model that fixtures/data is for. */
export const arraysModel = (): Model => modelWith('int64[batch, seq] ids, float[batch, 2] x')

export async function samplesOf(source: DataSource): Promise<Sample[]> {
  const samples: Sample[] = []
  for await (const sample of source.samples()) samples.push(sample)
  return samples
}

/** Every sample as dims and elements by input. */
export async function contentOf(spec: string | undefined, model: Model, options: DataOptions = {}) {
  const samples = await samplesOf(await openData(spec, model, options))
  return samples.map(({ feeds }) =>
    Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, [tensor.dims, tensor.toNumbers()]])),
  )
}

/** The error of reading all of a source. */
export async function refusal(
  spec: string | undefined,
  model: Model,
  options: DataOptions = {},
): Promise<ConvertError> {
  return openData(spec, model, options)
    .then(samplesOf)
    .then(
      () => {
        throw new Error('nothing was refused')
      },
      (error: ConvertError) => error,
    )
}
