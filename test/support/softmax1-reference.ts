import type { Attribute, Model, Node, Value } from '../../src/ir/index.ts'
import { attr, Tensor } from '../../src/ir/index.ts'
import { dtypeOf, shapeOf } from '../../src/ops/index.ts'

/**
 * Replaces the internal operators by their definitions in standard ones, so that any runtime can run a model that stands
 * between two stages:
 *
 * - `Softmax1(x, sink)`: with m = max(s, max x), `exp(x - m) / (exp(s - m) + Σ exp(x - m))`.
 * - `HopfieldAttention(q, k, v, mask, sink)`: `Softmax1(softcap(scale q·kᵀ) + mask) · v`.
 *
 * Written on its own, without the lowering it is compared with. Returns why it cannot, `undefined` when it could.
 */
export function spellOut(model: Model): string | undefined {
  const defined = new Set(model.functions.map(({ domain, name }) => `${domain}::${name}`))
  for (const graph of model.graphs()) {
    for (const node of [...graph.nodes()]) {
      if (node.domain !== 'outeffhop' || defined.has(node.op)) continue
      const spell = node.opType === 'Softmax1' ? softmax1 : node.opType === 'HopfieldAttention' ? attention : undefined
      const refusal = spell === undefined ? `${node.op} has no definition here` : spell(node, model.opset)
      if (refusal !== undefined) return refusal
    }
  }
  return undefined
}

function softmax1(node: Node, opset: number): string | undefined {
  const x = node.input(0) as Value
  const y = node.output(0) as Value
  const dtype = dtypeOf(x) ?? dtypeOf(y)
  if (dtype === undefined) return 'the type of the scores is unknown'
  const sink = sinkTensor(node, x, dtype)
  if (typeof sink === 'string') return sink
  const write = new Writer(node, opset)
  node.setOutput(0, undefined)
  write.probabilities(x, write.constant(sink), node.int('axis') ?? -1, y)
  node.graph.remove(node)
  return undefined
}

function attention(node: Node, opset: number): string | undefined {
  const [q, k, v, mask, sink] = [0, 1, 2, 3, 4].map((index) => node.input(index)) as Value[]
  const y = node.output(0) as Value
  const dtype = dtypeOf(q as Value) ?? dtypeOf(y)
  if (dtype === undefined) return 'the type of the queries is unknown'
  const write = new Writer(node, opset)
  const packed = node.string('layout') === 'BSE'
  const heads = (value: Value) => (packed ? write.splitHeads(value, node.int('num_heads') ?? 1) : value)
  const number = (value: number) => write.constant(Tensor.of(dtype, [], [value]))
  const products = write.node('MatMul', [heads(q as Value), write.transpose(heads(k as Value), [0, 1, 3, 2])])
  let x = write.node('Mul', [products, number(node.float('scale') ?? 1)])
  const cap = node.float('softcap') ?? 0
  if (cap !== 0) x = write.node('Mul', [write.node('Tanh', [write.node('Div', [x, number(cap)])]), number(cap)])
  if (mask) x = write.node('Add', [x, mask])
  const logits = sink?.initializer?.toNumbers() ?? [0]
  const p = write.probabilities(x, write.constant(Tensor.of(dtype, [logits.length, 1, 1], logits)), -1)
  const context = write.node('MatMul', [p, heads(v as Value)])
  node.setOutput(0, undefined)
  if (packed) write.node('Reshape', [write.transpose(context, [0, 2, 1, 3]), write.ints([0, 0, -1])], {}, y)
  else write.node('Identity', [context], {}, y)
  node.graph.remove(node)
  return undefined
}

/** Writes standard operators in front of a node. */
class Writer {
  readonly #before: Node
  readonly #opset: number

  constructor(before: Node, opset: number) {
    this.#before = before
    this.#opset = opset
  }

  node(opType: string, inputs: Value[], attributes: Record<string, Attribute> = {}, given?: Value): Value {
    const { graph } = this.#before
    const output = given ?? graph.newValue(`reference/${opType}`)
    graph.insert({ opType, attributes: new Map(Object.entries(attributes)) }, inputs, [output], this.#before)
    return output
  }

  constant(tensor: Tensor): Value {
    return this.#before.graph.addInitializer('reference/constant', tensor)
  }

  ints(values: readonly number[]): Value {
    return this.constant(Tensor.int64(values))
  }

  transpose(value: Value, perm: readonly number[]): Value {
    return this.node('Transpose', [value], { perm: attr.ints(perm) })
  }

  splitHeads(value: Value, heads: number): Value {
    return this.transpose(this.node('Reshape', [value, this.ints([0, 0, heads, -1])]), [0, 2, 1, 3])
  }

  probabilities(x: Value, s: Value, axis: number, output?: Value): Value {
    const m = this.node('Max', [this.#reduce('ReduceMax', x, axis, 18), s])
    const e = this.node('Exp', [this.node('Sub', [x, m])])
    const rest = this.node('Exp', [this.node('Sub', [s, m])])
    return this.node('Div', [e, this.node('Add', [this.#reduce('ReduceSum', e, axis, 13), rest])], {}, output)
  }

  /** `since`: the opset in which the axes became an input. */
  #reduce(opType: string, value: Value, axis: number, since: number): Value {
    const keepdims = attr.int(1)
    if (this.#opset < since) return this.node(opType, [value], { axes: attr.ints([axis]), keepdims })
    return this.node(opType, [value, this.ints([axis])], { keepdims })
  }
}

/** The sink, broadcast against the scores reduced over their axis. */
function sinkTensor(node: Node, x: Value, dtype: number): Tensor | string {
  const values = node.input(1)?.initializer?.toNumbers() ?? [0]
  const axis = node.int('heads_axis')
  if (axis === undefined) return Tensor.of(dtype, [], values.slice(0, 1))
  const tail = Array.from({ length: -axis - 1 }, () => 1)
  if (node.int('heads_merged') !== 1) return Tensor.of(dtype, [values.length, ...tail], values)
  const length = shapeOf(x)?.at(axis)
  if (typeof length !== 'number') return 'the number of merged heads is not known'
  const repeated = Array.from({ length }, (_, i) => values[i % values.length] ?? 0)
  return Tensor.of(dtype, [length, ...tail], repeated)
}
