import type { Model, Node, Value } from '../../src/ir/index.ts'
import { dtypes, Tensor } from '../../src/ir/index.ts'
import { closeModel, openModel, saveModel } from '../../src/onnx/index.ts'

/** Ways in which an operator is broken: each is one fault of a kind that exporters, converters and people have made. */
export const faults: Readonly<Record<string, (model: Model) => void>> = {
  'a weight scaled': (model) => change(weight(model, 1), (x) => x * 1.1),
  'one output channel of a weight scaled': (model) =>
    change(weight(model, 2), (x, i, { dims }) => (i % (dims.at(-1) ?? 1) === 3 ? 4 * x : x)),
  'an addition to the scores or the residual dropped': (model) => bypass(addition(model)),
  'the scale of the scores off by 2': (model) => change(scale(model), (x) => 2 * x),
  'a bias zeroed': (model) => change(bias(model), () => 0),
  'two weights swapped': (model) => {
    const [a, b] = twins(model)
    const [first, second] = [a, b].map((value) => tensorOf(value).toNumbers()) as [number[], number[]]
    change(a, (_, i) => second[i] as number)
    change(b, (_, i) => first[i] as number)
  },
  'one input channel of a weight negated': (model) =>
    change(weight(model, 0), (x, i, { dims }) => (Math.floor(i / (dims.at(-1) ?? 1)) === 2 ? -x : x)),
  'an activation dropped': (model) => bypass(nodesOf(model).find(({ opType }) => /Erf|Sigmoid/.test(opType))),
  'a softmax over another axis': (model) => {
    const softmax = nodesOf(model).find(({ opType }) => opType === 'Softmax')
    softmax?.setAttribute('axis', { kind: 'int', value: 2n })
  },
  'a weight rounded to four bits': (model) => {
    const value = weight(model, 1)
    const largest = Math.max(...tensorOf(value).toNumbers().map(Math.abs))
    change(value, (x) => (Math.round((x / largest) * 7) * largest) / 7)
  },
}

/** Writes a model with one fault, which may be to the place it was read from. */
export async function breakModel(path: string, output: string, fault: (model: Model) => void): Promise<void> {
  const model = openModel(path)
  try {
    fault(model)
    if (!model.edited) throw new Error(`nothing to break in ${path}`)
    await saveModel(model, output, { overwrite: true })
  } finally {
    closeModel(model)
  }
}

function nodesOf(model: Model): Node[] {
  return [...model.graph.nodes()]
}

/** The constant that a node reads, wherever it is. */
function constant(value: Value | undefined): Value | undefined {
  if (value?.initializer) return value
  const tensor = value?.producer?.opType === 'Constant' ? value.producer.attributes.get('value') : undefined
  return tensor?.kind === 'tensor' ? value : undefined
}

function tensorOf(value: Value): Tensor {
  const tensor = value.initializer ?? value.producer?.attributes.get('value')
  return (tensor instanceof Tensor ? tensor : tensor?.kind === 'tensor' ? tensor.value : undefined) as Tensor
}

function change(value: Value | undefined, of: (x: number, i: number, tensor: Tensor) => number): void {
  if (value === undefined) throw new Error('there is no such constant')
  const tensor = tensorOf(value)
  const isInteger = tensor.dtype === dtypes.int8
  const stored = (x: number) => (isInteger ? Math.max(-127, Math.min(127, Math.round(x))) : x)
  const numbers = tensor.toNumbers().map((x, i) => stored(of(x, i, tensor)))
  const changed = Tensor.of(tensor.dtype, tensor.dims, numbers, tensor.name)
  if (value.initializer) value.initializer = changed
  else value.producer?.setAttribute('value', { kind: 'tensor', value: changed })
}

/** Weights of products, stored as floats or as integers, in the order of the nodes. */
function weights(model: Model): Value[] {
  return nodesOf(model)
    .filter(({ opType }) => opType === 'MatMul')
    .flatMap((node) => {
      const weight = node.input(1)
      const { producer } = weight ?? {}
      return constant(producer?.opType === 'DequantizeLinear' ? producer.input(0) : weight) ?? []
    })
}

function weight(model: Model, n: number): Value {
  const all = weights(model)
  return all[n] as Value
}

function twins(model: Model): [Value, Value] {
  const all = weights(model)
  for (const [i, a] of all.entries())
    for (const b of all.slice(i + 1)) if (String(tensorOf(a).dims) === String(tensorOf(b).dims)) return [a, b]
  throw new Error('there are no two weights of one shape')
}

function bias(model: Model): Value | undefined {
  const adds = nodesOf(model).filter(({ opType }) => opType === 'Add')
  const constants = adds.flatMap((node) => [0, 1].flatMap((i) => constant(node.input(i)) ?? []))
  return constants.find((value) => {
    const { dims } = tensorOf(value)
    return dims.length === 1 && (dims[0] as number) > 8
  })
}

/** The addition of a mask; where there is none that hides anything, of two values that both depend on the input. */
function addition(model: Model): Node | undefined {
  const feedsSoftmax = (node: Node) => node.output()?.consumers.some(({ opType }) => opType === 'Softmax') ?? false
  const hides = model.graph.inputs.some(({ name }) => /mask/.test(name))
  const isData = (value: Value | undefined) => value !== undefined && constant(value) === undefined
  return nodesOf(model)
    .filter(({ opType }) => opType === 'Add')
    .find((node) => (hides ? feedsSoftmax(node) : !feedsSoftmax(node) && isResidual(node)))

  function isResidual(node: Node): boolean {
    const [a, b] = [node.input(0), node.input(1)]
    return isData(a) && isData(b) && [a, b].every((value) => value?.producer?.opType !== 'Shape') && !isIndex(a)
  }
  function isIndex(value: Value | undefined): boolean {
    return value?.dtype === dtypes.int64
  }
}

/** A scalar that the scores, or what they are made of, are multiplied with or divided by. */
function scale(model: Model): Value | undefined {
  const softmax = nodesOf(model).find(({ opType }) => opType === 'Softmax')
  const queue = [softmax?.input(0)?.producer]
  for (const node of queue) {
    if (node === undefined || queue.length > 40) continue
    const scalar = [0, 1].map((i) => constant(node.input(i))).find((value) => value && tensorOf(value).size === 1)
    if ((node.opType === 'Mul' || node.opType === 'Div') && scalar) return scalar
    queue.push(...node.inputs.map((value) => value?.producer))
  }
  return undefined
}

/** What a node gives is what it is given. */
function bypass(node: Node | undefined): void {
  const [input, output] = [node?.input(0), node?.output()]
  if (node === undefined || input === undefined || output === undefined) throw new Error('there is no such node')
  output.replaceUsesWith(input)
  node.graph.remove(node)
}
