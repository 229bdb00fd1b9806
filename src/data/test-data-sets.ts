import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dataEmpty } from '../errors.ts'
import type { Tensor } from '../ir/index.ts'
import { tensorFromProto } from '../onnx/index.ts'
import type { Feeds } from '../runtime/index.ts'
import type { ModelInput } from './inputs.ts'
import type { Reader, Row } from './reader.ts'

/**
 * Samples from folders of `input_N.pb` files, one TensorProto each, as the ONNX model zoo has them: one folder a sample, as
 * large as it is. A tensor belongs to the input of its name, and without one to the input of its number.
 */
export async function testDataSetReader(
  folder: string,
  sets: readonly string[],
  inputs: readonly ModelInput[],
): Promise<Reader> {
  const files = await Promise.all(sets.map((set) => inputFiles(join(folder, set))))
  const empty = files.findIndex((own) => own.length === 0)
  if (empty >= 0) throw dataEmpty(join(folder, sets[empty] as string), 'there is no input_0.pb in it')
  return {
    kind: 'test-data-sets',
    count: sets.length,
    notes: [],
    preparation: {},
    files: (positions) => Array.from(positions, (position) => files[position] ?? []).flat(),
    async *read(positions): AsyncGenerator<Row> {
      for (const position of positions) {
        const head = { position, id: sets[position] as string }
        yield { ...head, ...(await attempt(files[position] ?? [], inputs)) }
      }
    },
  }
}

async function attempt(
  files: readonly string[],
  inputs: readonly ModelInput[],
): Promise<{ feeds: Feeds } | { problem: string }> {
  const names = new Set(inputs.map(({ name }) => name))
  const feeds: Record<string, Tensor> = {}
  for (const file of files) {
    try {
      const tensor = tensorFromProto(await readFile(file))
      tensor.payload?.read(0, tensor.payload.byteLength)
      const name = names.has(tensor.name) ? tensor.name : (inputs[numberOf(file)]?.name ?? tensor.name)
      feeds[name] = tensor
    } catch (error) {
      return { problem: `${file}: ${(error as Error).message}` }
    }
  }
  return { feeds }
}

async function inputFiles(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => /^input_\d+\.pb$/.test(name))
  return names.map((name) => join(folder, name)).sort((a, b) => numberOf(a) - numberOf(b))
}

function numberOf(file: string): number {
  return Number(/input_(\d+)\.pb$/.exec(file)?.[1])
}
