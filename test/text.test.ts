import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConvertError } from '../src/errors.ts'
import { dtypes, Tensor, verify } from '../src/ir/index.ts'
import { closeModel, openModel, parseModel, printGraph, printModel, printNode } from '../src/onnx/index.ts'
import { modelText } from './support/model-text.ts'
import { pythonWith, runPython } from './support/python.ts'

const header = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>'
const model = (graph: string) => parseModel(`${header} ${graph}`)
const normal = (text: string) => printModel(parseModel(text), { limit: Number.POSITIVE_INFINITY })

describe('reading text', () => {
  it('reads the example of the ONNX documentation', () => {
    const { graph, irVersion, opset } = parseModel(`
      <
        ir_version: 7,
        opset_import: [ "" : 10 ]
      >
      agraph (float[N, 128] X, float[128, 10] W, float[10] B) => (float[N, 10] C)
      {
          T = MatMul(X, W)
          S = Add(T, B)
          C = Softmax(S)
      }`)
    expect([irVersion, opset, graph.name]).toEqual([7, 10, 'agraph'])
    expect(graph.inputs.map((value) => [value.name, value.shape])).toEqual([
      ['X', ['N', 128]],
      ['W', [128, 10]],
      ['B', [10]],
    ])
    expect(Array.from(graph.nodes(), (node) => node.opType)).toEqual(['MatMul', 'Add', 'Softmax'])
    expect(graph.outputs[0]?.producer?.opType).toBe('Softmax')
  })

  it('takes attributes before or after the inputs, with or without their type', () => {
    const { graph } = model(
      'g (float x) => (float y) { t = A <axis = -1, a: float = 2> (x) y = B (t) <l = [1.5, 2.5]> }',
    )
    const [a, b] = [...graph.nodes()]
    expect(a?.attributes.get('axis')).toEqual({ kind: 'int', value: -1 })
    expect(a?.attributes.get('a')).toEqual({ kind: 'float', value: 2 })
    expect(b?.attributes.get('l')).toEqual({ kind: 'floats', value: [1.5, 2.5] })
  })

  it('keeps integers beyond 2^53 exact', () => {
    const text = 'g () => (int64 y) { y = C <value_int = -9223372036854775808> () }'
    const node = [...model(text).graph.nodes()][0]
    expect(node?.attributes.get('value_int')).toEqual({ kind: 'int', value: -(2n ** 63n) })
  })

  it('omits inputs and outputs that are empty', () => {
    const [first, second] = model('g (float x) => (float y) { y, "", z = A (x, , "", x)  w = B (,x) }').graph.nodes()
    expect(first?.inputs.map((value) => value?.name)).toEqual(['x', undefined, undefined, 'x'])
    expect(first?.outputs.map((value) => value?.name)).toEqual(['y', undefined, 'z'])
    expect(second?.inputs.map((value) => value?.name)).toEqual([undefined, 'x'])
  })

  it('shares the values of outer graphs with nested ones', () => {
    const { graph } = model(`g (bool c, float x) => (float y) {
      y = If (c) <then_branch = t () => (float a) { a = Neg(x) }, else_branch = e () => (float b) { b = Abs(x) }>
    }`)
    expect(graph.inputs[1]?.consumers.map((node) => node.opType)).toEqual(['Neg', 'Abs'])
    expect([...graph.withNested()].map((g) => g.name)).toEqual(['g', 't', 'e'])
    verify(graph.model ?? expect.fail('the graph belongs to no model'))
  })

  it('reads functions with attributes, defaults and an overload', () => {
    const text = `g (float x) => (float y) { y = local.F:fast <alpha = 2.0> (x) }
      <domain: "local", overload: "fast", opset_import: ["" : 17]>
      F <alpha, beta: float = 0.5> (a) => (b) { b = Elu <alpha: float = @alpha> (a) }`
    const parsed = model(text)
    expect(parsed.functions[0]).toMatchObject({ domain: 'local', name: 'F', overload: 'fast', attributes: ['alpha'] })
    expect(parsed.functions[0]?.defaults.get('beta')).toEqual({ kind: 'float', value: 0.5 })
    expect([...(parsed.functions[0]?.body.nodes() ?? [])][0]?.attributes.get('alpha')).toMatchObject({
      kind: 'ref',
      name: 'alpha',
    })
  })

  it('reads every element type as ONNX stores it', () => {
    const data = (type: string, elements: string) => {
      const tensor = model(`g () => () <${type} w = {${elements}}> {}`).graph.resolve('w')?.initializer
      return [...(tensor?.payload?.read(0, tensor.payload.byteLength) ?? [])]
    }
    expect(data('float[2]', '1, -inf')).toEqual([0, 0, 128, 63, 0, 0, 128, 255])
    expect(data('int64[1]', '-2')).toEqual([254, 255, 255, 255, 255, 255, 255, 255])
    expect(data('float16[2]', '15360, 1.0')).toEqual([0, 0x3c, 0, 0x3c])
    expect(data('bfloat16[1]', '-2.0')).toEqual([0, 0xc0])
    expect(data('bool[3]', '1, 0, 1')).toEqual([1, 0, 1])
    expect(data('uint4[3]', '1, 2, 15')).toEqual([0x21, 0x0f])
    expect(data('int4[2]', '-1, 7')).toEqual([0x7f])
    expect(data('float8e4m3fn[1]', '200')).toEqual([200])
    expect(data('complex64[1]', '1, 2')).toEqual([0, 0, 128, 63, 0, 0, 0, 64])
  })

  it('gives data the text leaves out to nobody, unless it is told how to fill it', () => {
    const text = `${header} g (float[2,2] x) => (float[2,2] y) <float[2,2] w = ...> { y = MatMul(x, w) }`
    const empty = parseModel(text).graph.resolve('w')?.initializer
    expect(empty?.dims).toEqual([2, 2])
    expect(() => empty?.toNumbers()).toThrow(expect.objectContaining({ code: 'elided' }))
    const fill = ({ dtype, dims }: { dtype: number; dims: readonly number[] }) => Tensor.of(dtype, dims, [1, 2, 3, 4])
    expect(parseModel(text, { fill }).graph.resolve('w')?.initializer?.toNumbers()).toEqual([1, 2, 3, 4])
  })

  it('reads external data from its file when somebody asks', () => {
    const folder = mkdtempSync(join(tmpdir(), 'outeffhop-text-'))
    writeFileSync(join(folder, 'weights.bin'), new Uint8Array(new Float32Array([0, 1, 2]).buffer))
    const text = `${header} g () => () <float[2] w = ["location": "weights.bin", "offset": "4", "length": "8"]> {}`
    expect(parseModel(text, { folder }).graph.resolve('w')?.initializer?.toNumbers()).toEqual([1, 2])
    const missing = parseModel(text.replace('weights', 'other'), { folder }).graph.resolve('w')?.initializer
    expect(() => missing?.toNumbers()).toThrow(expect.objectContaining({ code: 'external-missing' }))
    expect(printModel(parseModel(text))).toContain('w = ["location": "weights.bin", "offset": "4", "length": "8"]')
    rmSync(folder, { recursive: true })
  })

  it.each([
    ['g (float x) => (float y) { y = Relu x }', '"(" is expected', 1, 37],
    ['g (float x)\n  => (float y) {\n  y = = Relu(x)\n}', 'an operator is expected', 3, 7],
    ['g (flot[2] x) => () {}', '"," or ")" is expected', 1, 8],
    ['g () => () <float[2] w = {1}> {}', '2 elements are expected, 1 are given', 1, 29],
    ['g () => () <int8[1] w = {300}> {}', '300 is outside -128 to 127', 1, 30],
    ['g () => () <float[N] w = {1}> {}', 'the dimensions of a tensor are numbers', 1, 25],
    ['g () => () { y = A <a = []> () }', 'the type of the empty list "a" is expected', 1, 27],
    ['g () => () { y = A <a: integer = 1> () }', '"integer" is not an attribute type', 1, 31],
    ['g () => () { y = A <s = "open> () }', 'the string has no closing quote', 1, 25],
    ['g () => () { y = A (x)', '"=" is expected', 1, 23],
  ])('names line and column of what is wrong in %j', (text, message, line, column) => {
    const error = catchError(() => parseModel(text))
    expect(error.code).toBe('text-syntax')
    expect(error.message).toContain(message)
    expect(error.message).toContain(`line ${line}, column ${column}:`)
  })
})

describe('printing text', () => {
  it('leaves out the data of large tensors and says how large they are', () => {
    const parsed = model('g (float[2] x) => (float[2] y) <float[2] b = {1, 2}> { y = Add(x, b) }')
    parsed.graph.addInitializer('w', Tensor.of(dtypes.float, [33], new Float32Array(33)))
    expect(printGraph(parsed.graph)).toContain('float[33] w = ... # 132 bytes')
    expect(printGraph(parsed.graph)).toContain('float[2] b = {1.0,2.0}')
    expect(printGraph(parsed.graph, { limit: 1 })).toContain('float[2] b = ..., # 8 bytes')
  })

  it('prints one node on one line', () => {
    const [node] = model('g (float x) => (float y) { [n] y = com.microsoft.Gelu <a = 1> (x) }').graph.nodes()
    expect(node && printNode(node)).toBe('[n] y = com.microsoft.Gelu <a: int = 1> (x)')
  })

  it('quotes what is not an identifier', () => {
    const text = 'g ("float" ["a b"] ) => () {}'
    expect(() => model(text)).toThrow()
    const quoted = model('"my graph" (float["a b"] "/x/in") => (float[?] "/y") { ["/n"] "/y" = Relu ("/x/in") }')
    expect(printGraph(quoted.graph)).toBe(
      '"my graph" (float["a b"] "/x/in") => (float[?] "/y") {\n   ["/n"] "/y" = Relu ("/x/in")\n}',
    )
  })

  it('reads back a nested graph whose name is not an identifier', () => {
    const text = 'g (bool c) => () { If (c) <then_branch: graph = "a/b" () => (float q) {}> }'
    expect(normal(printModel(model(text.replace('If', '"" = If'))))).toContain('then_branch: graph = "a/b" () =>')
  })

  it('prints numbers so that they read back as the same bits', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (value) => {
        const parsed = model('g () => () {}')
        parsed.graph.addInitializer('w', Tensor.of(dtypes.float, [1], [value]))
        const again = parseModel(printModel(parsed)).graph.resolve('w')?.initializer?.toNumbers()[0]
        expect(Object.is(again, value)).toBe(true)
      }),
    )
  })

  it('prints what it reads: text, model, text is the same text for any model', () => {
    fc.assert(
      fc.property(modelText, (text) => {
        const once = normal(text)
        expect(normal(once)).toBe(once)
      }),
      { numRuns: 200 },
    )
  })
})

const python = pythonWith('onnx.parser', 'onnx.printer')
describe.skipIf(python === undefined)("Python's onnx", () => {
  it('reads what is printed, and what it prints is read as the same model', () => {
    const texts = fc.sample(modelText, { numRuns: 100, seed: 7 }).map(normal)
    const program = `
import json, sys, onnx.parser, onnx.printer
print(json.dumps([onnx.printer.to_text(onnx.parser.parse_model(text)) for text in json.load(sys.stdin)]))`
    const printed = runPython(python ?? '', program, texts) as string[]
    for (const [i, text] of printed.entries()) expect(normal(text)).toBe(texts[i])
  })
})

const zoo = new URL('../fixtures/models/exports/', import.meta.url)
describe('real exports', () => {
  const files = readdirSync(zoo).filter((file) => file.endsWith('.onnx'))

  it.each(files)('%s is the same text after it was read back', (file) => {
    const original = openModel(fileURLToPath(new URL(file, zoo)))
    const text = printModel(original, { limit: Number.POSITIVE_INFINITY })
    expect(printModel(parseModel(text), { limit: Number.POSITIVE_INFINITY })).toBe(text)
    closeModel(original)
  })

  it.skipIf(python === undefined)("Python's onnx reads the text of each and finds the same model", () => {
    const program = `
import json, sys, onnx, onnx.parser, onnx.printer
texts = []
for path, text in json.load(sys.stdin):
    parsed = onnx.parser.parse_model(text)
    original = onnx.load(path)
    texts.append([onnx.printer.to_text(parsed), [n.op_type for n in original.graph.node] == [n.op_type for n in parsed.graph.node]])
print(json.dumps(texts))`
    const printable = files.map((file) => fileURLToPath(new URL(file, zoo)))
    const texts = printable.map((path) => printModel(openModel(path), { limit: Number.POSITIVE_INFINITY }))
    const results = runPython(
      python ?? '',
      program,
      printable.map((path, i) => [path, texts[i]]),
    ) as [string, boolean][]
    for (const [i, [text, same]] of results.entries()) {
      expect(same).toBe(true)
      expect(normal(text)).toBe(texts[i])
    }
  })
})

function catchError(run: () => unknown): ConvertError {
  try {
    run()
  } catch (error) {
    if (error instanceof ConvertError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
