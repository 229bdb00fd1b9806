import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConvertError } from '../src/errors.ts'
import { modelToBytes, openModel } from '../src/onnx/index.ts'
import { mutated, seeded } from './support/mutate.ts'
import { group, int, len, tag, varint } from './support/proto-bytes.ts'
import { richModel } from './support/rich-model.ts'
import { contentOf, decodeAll, readAll } from './support/static-decode.ts'
import { syntheticBytes } from './support/synthetic.ts'

/** The error an input gives, which has to be one of ours; `undefined` when it opens. */
function failure(run: () => unknown): ConvertError | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (!(error instanceof ConvertError) || error.kind !== 'model') throw error
    expect(error.at.offset, `the offset of ${error.code}`).toBeTypeOf('number')
    return error
  }
}

/**
 * Opens bytes and reads everything. A refusal has to be typed; what is read has to be what protobufjs decodes and has to
 * be written back byte for byte. Returns whether it was read, and how long it took.
 */
function tryBytes(bytes: Uint8Array): { read: boolean; milliseconds: number } {
  const start = performance.now()
  let content: object | undefined
  const refused = failure(() => {
    const model = openModel(bytes)
    content = readAll(model)
    expect(Buffer.compare(modelToBytes(model), bytes)).toBe(0)
  })
  const milliseconds = performance.now() - start
  if (!refused) expect(content).toEqual(contentOf(decodeAll(bytes)))
  return { read: !refused, milliseconds }
}

const fixture = () => readFileSync('fixtures/models/exports/torch_mha_weights.ts14.onnx')
const models: [string, () => Uint8Array][] = [
  ['a model with everything the format has', richModel],
  ['a synthetic transformer', () => syntheticBytes({ layers: 1, width: 8, heads: 2 })],
  ['a real export', fixture],
]

describe('damaged models', () => {
  it.each(models.slice(0, 2))('every truncation of %s is refused or read as protobufjs does', (_, make) => {
    const bytes = make()
    for (let length = 0; length < bytes.length; length++) tryBytes(bytes.subarray(0, length))
  })

  it('a sample of truncations of a real export is refused or read as protobufjs does', () => {
    const bytes = fixture()
    for (let length = 0; length < bytes.length; length += 997) tryBytes(bytes.subarray(0, length))
  })

  it.each(models)('10,000 mutations of %s are refused or read as protobufjs does, none in over a second', (name, make) => {
    const bytes = make()
    const random = seeded(Number(process.env.MUTATION_SEED ?? 1))
    let slowest = 0
    let read = 0
    for (let i = 0; i < 10_000; i++) {
      const result = tryBytes(mutated(bytes, random))
      slowest = Math.max(slowest, result.milliseconds)
      if (result.read) read++
    }
    console.log(`${name}: ${read} of 10,000 mutations read, slowest ${slowest.toFixed(0)} ms`)
    expect(slowest).toBeLessThan(1000)
    expect(read).toBeGreaterThan(0)
  })
})
void [execFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync, tmpdir, join, afterAll, beforeAll, group, int, len, tag, varint]
