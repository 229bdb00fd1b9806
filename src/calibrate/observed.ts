import type { Site } from '../attention/index.ts'
import { findSites } from '../attention/index.ts'
import type { Model, Node, Value } from '../ir/index.ts'
import { isFloat } from '../ir/index.ts'
import { dtypeOf, Facts } from '../ops/index.ts'
import { findConvolutions } from '../quantize/index.ts'

/** Where the channels of a value lie, as the weight it meets says. */
export interface ChannelLayout {
  /** Negative. */
  readonly axis: number
  readonly count: number
  /** Rank of the value where the weight tells it; what is in front of the last axis may be anything otherwise. */
  readonly rank: number | undefined
}

export interface ObservedValue {
  readonly value: Value
  readonly channels: ChannelLayout | undefined
}

/**
 * The values of the main graph that quantization can need: what MatMul, Gemm and Conv multiply with a weight, what
 * convolutions that can be quantized give, and with `all` every other float that depends on the input, without channels.
 */
export function observedValues(model: Model, all: boolean): ObservedValue[] {
  const facts = new Facts()
  const found = new Map<Value, ChannelLayout | undefined>()
  for (const node of model.graph.nodes()) {
    for (const [value, channels] of weighed(node, facts)) found.set(value, found.get(value) ?? channels)
  }
  for (const { output } of findConvolutions(model, facts).convolutions) {
    if (!found.has(output)) found.set(output, undefined)
  }
  if (all) {
    const outputs = [...model.graph.nodes()].flatMap((node) => node.outputs)
    for (const value of [...model.graph.inputs, ...outputs]) {
      if (value && !value.initializer && !found.has(value) && !facts.isConstant(value)) found.set(value, undefined)
    }
  }
  return Array.from(found, ([value, channels]) => ({ value, channels })).filter(({ value }) =>
    isFloat(dtypeOf(value) ?? 0),
  )
}

/** Attention, fused and not, of all graphs: where a sink could be given. */
export function observedSites(model: Model, facts: Facts): Site[] {
  return findSites(model, {}, facts).filter(({ verdict: { kind } }) => kind === 'attention' || kind === 'fused')
}

/** The values a node multiplies with a weight, and their channels. */
function weighed(node: Node, facts: Facts): (readonly [Value, ChannelLayout | undefined])[] {
  const [x, w] = [node.input(0), node.input(1)]
  if (!x || !w || !['MatMul', 'Gemm', 'Conv'].includes(node.op) || facts.isConstant(x) === facts.isConstant(w))
    return []
  if (facts.isConstant(x)) return node.op === 'Conv' ? [] : [[w, undefined]]
  return [[x, layoutOf(node, w, facts)]]
}

function layoutOf(node: Node, weight: Value, facts: Facts): ChannelLayout | undefined {
  const shape = facts.shape(weight)
  if (!shape || shape.length < 2) return undefined
  const layout = (axis: number, count: unknown, rank?: number): ChannelLayout | undefined =>
    typeof count === 'number' && count > 0 ? { axis, count, rank } : undefined
  if (node.op === 'Conv') {
    const [, inner] = shape
    return layout(1 - shape.length, typeof inner === 'number' ? inner * (node.int('group') ?? 1) : 0, shape.length)
  }
  if (node.op === 'Gemm') return layout(node.int('transA') ? -2 : -1, shape[node.int('transB') ? 1 : 0], 2)
  return layout(-1, shape.at(-2))
}
