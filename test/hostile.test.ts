import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConvertError } from '../src/errors.ts'
import { modelToBytes, openModel } from '../src/onnx/index.ts'
import { mutated, seeded } from './support/mutate.ts'
import { entry, int, len, packed, tag, varint } from './support/proto-bytes.ts'
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
  const start = process.cpuUsage()
  let content: object | undefined
  const refused = failure(() => {
    const model = openModel(bytes)
    content = readAll(model)
    expect(Buffer.compare(modelToBytes(model), bytes)).toBe(0)
  })
  // Time of the processor, so that a busy machine does not count.
  const { user, system } = process.cpuUsage(start)
  const milliseconds = (user + system) / 1000
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
  it.each(models)('every truncation of %s is refused or read as protobufjs does', (_, make) => {
    const bytes = make()
    for (let length = 1; length < bytes.length; length++) tryBytes(bytes.subarray(0, length))
  })

  it.each(models)(
    '10,000 mutations of %s are refused or read as protobufjs does, none in over a second',
    (name, make) => {
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
    },
  )
})

/** A model whose graph is these bytes. */
const withGraph = (...parts: Uint8Array[]) => Buffer.concat([int(1, 8), len(7, ...parts), len(8, int(2, 17))])
const repeated = (part: Uint8Array, count: number) => Buffer.alloc(part.length * count, part)
const nestedGraphs = (depth: number, inner: Buffer = Buffer.alloc(0)): Buffer => {
  let graph = inner
  for (let i = 0; i < depth; i++) graph = len(1, len(4, 'If'), len(5, len(1, 'then_branch'), len(6, graph), int(20, 5)))
  return graph
}
const nestedTypes = (depth: number): Buffer => {
  let type: Buffer = Buffer.alloc(0)
  for (let i = 0; i < depth; i++) type = len(4, len(1, type))
  return type
}

describe('crafted models', () => {
  it.each<[string, string, Buffer]>([
    ['a length beyond the end', 'malformed', Buffer.concat([int(1, 8), tag(7, 2), varint(2 ** 40), Buffer.alloc(9)])],
    ['a length of 2^63', 'malformed', Buffer.concat([int(1, 8), tag(7, 2), varint(2n ** 63n), Buffer.alloc(9)])],
    [
      'a padded length',
      'malformed',
      Buffer.concat([int(1, 8), tag(7, 2), Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x00])]),
    ],
    ['a number without an end', 'malformed', Buffer.concat([tag(1, 0), Buffer.alloc(11, 0x80)])],
    ['field number 0', 'malformed', Buffer.from([0x02, 0x00])],
    ['a tag beyond 32 bits', 'malformed', Buffer.from([0x82, 0x80, 0x80, 0x80, 0x10, 0x00])],
    ['wire type 7', 'malformed', Buffer.from([0x0f, 0x00])],
    ['the end of a group that did not begin', 'malformed', Buffer.from([0x0c])],
    ['the end of another group', 'malformed', Buffer.concat([tag(4000, 3), tag(4001, 4)])],
    ['a group without an end', 'malformed', Buffer.concat([tag(4000, 3), int(1, 1)])],
    [
      'a child longer than its parent',
      'malformed',
      withGraph(Buffer.concat([tag(1, 2), varint(100), Buffer.alloc(50)])),
    ],
    ['50,000 groups inside each other', 'too-deep', repeated(tag(4000, 3), 50_000)],
    ['20,000 graphs inside each other', 'too-deep', withGraph(nestedGraphs(2_000))],
    ['20,000 types inside each other', 'too-deep', withGraph(len(11, len(1, 'x'), len(2, nestedTypes(2_000))))],
    ['two graphs', 'repeated-field', Buffer.concat([int(1, 8), len(7, len(2, 'a')), len(7, len(2, 'b'))])],
    ['a value with two types', 'repeated-field', withGraph(len(11, len(1, 'x'), len(2, len(1)), len(2, len(1))))],
    ['an attribute with two graphs', 'repeated-field', withGraph(len(1, len(4, 'If'), len(5, len(6), len(6))))],
    ['a node without an operator', 'broken-graph', withGraph(len(1, len(2, 'y')))],
    [
      'two nodes that define a value',
      'broken-graph',
      withGraph(len(1, len(2, 'y'), len(4, 'A')), len(1, len(2, 'y'), len(4, 'B'))),
    ],
    ['a node that defines a value twice', 'broken-graph', withGraph(len(1, len(2, 'y'), len(2, 'y'), len(4, 'A')))],
    ['a node that defines an input', 'broken-graph', withGraph(len(1, len(2, 'x'), len(4, 'A')), len(11, len(1, 'x')))],
    ['an input declared twice', 'broken-graph', withGraph(len(11, len(1, 'x')), len(11, len(1, 'x')))],
    ['a tensor with a negative dimension', 'malformed', withGraph(len(5, int(1, -1), int(2, 1), len(8, 'w')))],
    ['a damaged annotation', 'malformed', withGraph(len(14, len(2, Buffer.from([0x0a, 0x05]))))],
  ])('%s is refused', (_, code, bytes) => {
    const error = failure(() => openModel(bytes))
    expect(error?.code).toBe(code)
    expect(error?.hint).toBeDefined()
  })

  it('graphs 32 levels deep are read, deeper ones are refused as by every reader', () => {
    expect(tryBytes(withGraph(nestedGraphs(32))).read).toBe(true)
    expect(failure(() => openModel(withGraph(nestedGraphs(33))))?.code).toBe('too-deep')
    expect(() => decodeAll(withGraph(nestedGraphs(34)))).toThrow('max depth exceeded')
  })

  it.each<[string, string | undefined, () => Buffer]>([
    ['2 million empty nodes', 'broken-graph', () => withGraph(repeated(len(1), 2_000_000))],
    ['a million small nodes', 'budget-spent', () => withGraph(repeated(len(1, len(4, 'A')), 1_000_000))],
    ['2 million empty initializers', 'budget-spent', () => withGraph(repeated(len(5), 2_000_000))],
    ['2 million unknown fields', undefined, () => withGraph(repeated(int(15, 1), 2_000_000))],
    ['10 million unknown fields', 'budget-spent', () => withGraph(repeated(int(15, 1), 10_000_000))],
    [
      '2 million unknown fields in a node',
      undefined,
      () => withGraph(len(1, len(4, 'A'), repeated(int(15, 1), 2_000_000))),
    ],
    ['4 million packed numbers', undefined, () => withGraph(len(5, int(1, 4e6), int(2, 7), len(7, Buffer.alloc(4e6))))],
    ['a tensor that says it is huge', undefined, () => withGraph(len(5, int(1, 2 ** 50), int(2, 1), len(8, 'w')))],
    ['a text of 80 million bytes', 'malformed', () => withGraph(len(10, Buffer.alloc(80_000_000, 'a')))],
  ])('%s take little memory and time', (_, code, make) => {
    const bytes = make()
    const before = process.memoryUsage().rss
    const start = performance.now()
    let content: unknown
    const error = failure(() => {
      content = openModel(bytes)
    })
    expect(error?.code).toBe(code)
    expect(content !== undefined).toBe(code === undefined)
    expect(performance.now() - start).toBeLessThan(5000)
    expect(process.memoryUsage().rss - before).toBeLessThan(400e6)
  })

  it('a tensor that says it is huge is refused when it is read, before memory is taken', () => {
    const model = openModel(withGraph(len(5, int(1, 2 ** 40), int(2, 1), len(8, 'w'), len(9, Buffer.alloc(8)))))
    const tensor = model.graph.values.get('w')?.initializer
    expect(failure(() => tensor?.payload?.read(0, 16))?.code).toBe('data-size')
    const empty = openModel(withGraph(len(5, int(1, 2 ** 40), int(2, 7), len(8, 'w'), packed(7, [1, 2]))))
    const typed = empty.graph.values.get('w')?.initializer
    expect(failure(() => typed?.payload?.read(0, 64))?.code).toBe('data-size')
  })

  it('an attribute of more than 64 MiB stays closed and goes through as it is', () => {
    const huge = len(5, len(1, 'leaves'), len(8, Buffer.alloc((1 << 26) + 1, 1)), int(20, 7))
    const bytes = withGraph(len(1, len(4, 'Tree'), len(2, 'y'), huge, len(5, len(1, 'n'), int(3, 5), int(20, 2))))
    const model = openModel(bytes)
    const [node] = model.graph.nodes()
    expect(node?.attributes.get('leaves')?.kind).toBe('opaque')
    expect(node?.int('n')).toBe(5)
    node?.setMetadata('edited', 'yes')
    expect(Buffer.from(modelToBytes(model)).includes(huge)).toBe(true)
  })

  it('the budget can be raised for a model that is trusted', () => {
    const bytes = withGraph(...Array.from({ length: 100 }, (_, i) => len(1, len(4, 'A'), len(2, `y${i}`))))
    expect(failure(() => openModel(bytes, { budget: 1000 }))?.code).toBe('budget-spent')
    expect(openModel(bytes, { budget: 10_000 }).graph.nodeCount).toBe(100)
  })

  it('keys like __proto__ are keys like any other', () => {
    const bytes = Buffer.concat([
      withGraph(
        len(
          1,
          len(1, 'constructor'),
          len(2, '__proto__'),
          len(4, 'A'),
          len(5, len(1, '__proto__'), int(3, 1), int(20, 2)),
        ),
        len(11, len(1, 'constructor')),
      ),
      entry(14, '__proto__', 'polluted'),
    ])
    const model = openModel(bytes)
    expect(model.metadata.get('__proto__')).toBe('polluted')
    expect([...model.graph.nodes()][0]?.int('__proto__')).toBe(1)
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})

describe('files that are something else', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'outeffhop-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each<[string, string, string, Uint8Array | string]>([
    ['an empty file', 'model-empty', 'is empty', ''],
    ['a text', 'model-not-onnx', 'text file', 'Once upon a time there was a model.\n'],
    ['a web page', 'model-not-onnx', 'web page', '<!DOCTYPE html><html><body>404</body></html>'],
    [
      'a Git LFS pointer',
      'model-not-onnx',
      'git lfs pull',
      'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n',
    ],
    ['a zip archive', 'model-not-onnx', 'PyTorch', Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(100)])],
    ['an HDF5 file', 'model-not-onnx', 'Keras', Buffer.from([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a])],
    [
      'a safetensors file',
      'model-not-onnx',
      'safetensors',
      Buffer.concat([Buffer.from([9, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{"a": {}}')]),
    ],
    ['a protobuf without a graph', 'model-not-onnx', 'no graph', Buffer.concat([int(1, 1), len(2, len(1, 'x'))])],
    [
      'a protobuf with another field 7',
      'model-not-onnx',
      'another kind',
      Buffer.concat([len(2, 'x'), len(7, 'some text')]),
    ],
    ['noise', 'malformed', 'byte', Buffer.from([0x08, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])],
  ])('%s gets a message of its own', (name, code, words, content) => {
    const path = join(folder, name.replaceAll(' ', '-'))
    writeFileSync(path, content)
    const error = failureOf(() => openModel(path))
    expect(error).toMatchObject({ code, kind: 'model', hint: expect.any(String) })
    expect(error.message).toContain(words)
    expect(error.message.includes(path) || error.at.path === path).toBe(true)
  })

  it('a missing file, a folder and a file that must not be read get messages of their own', () => {
    expect(failureOf(() => openModel(join(folder, 'missing.onnx')))).toMatchObject({ code: 'model-missing' })
    expect(failureOf(() => openModel(folder))).toMatchObject({ code: 'model-is-folder' })
    expect(failureOf(() => openModel(new Uint8Array()))).toMatchObject({ code: 'model-empty' })
    expect(failureOf(() => openModel('/dev/null'))).toMatchObject({ code: 'model-unreadable' })
  })
})

function failureOf(run: () => unknown): ConvertError {
  try {
    run()
  } catch (error) {
    if (error instanceof ConvertError) return error
    throw error
  }
  throw new Error('no error was thrown')
}
