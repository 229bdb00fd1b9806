import type { Node, Value } from '../ir/index.ts'
import type { Facts } from './facts.ts'
import { mapThroughReshape, relatedThroughReshape } from './reshape.ts'

/** An axis at a port of a node: input index when walking back, output index when walking forward; the axis is negative. */
export interface AxisAt {
  readonly port: number
  readonly axis: number
  /** False where sizes could not decide and the place of the axis was taken. */
  readonly exact: boolean
}

/** How an axis moves through an operator. An empty list: it ends here. */
export interface AxisRule {
  /** Input axes that hold what `axis` of output `output` holds. */
  readonly back: (node: Node, output: number, axis: number, facts: Facts) => AxisAt[]
  /** Output axes that hold what `axis` of input `input` holds. */
  readonly forward: (node: Node, input: number, axis: number, facts: Facts) => AxisAt[]
  /** Input axes that `axis` of the output is made of or part of; `back` when not given. */
  readonly origins?: (node: Node, axis: number, facts: Facts) => AxisAt[]
}

const at = (port: number, axis: number, exact = true): AxisAt[] => [{ port, axis, exact }]

/** Data at one input, same axes at every output: Cast, Slice, Pad, Split. */
export function same(data = 0): AxisRule {
  return {
    back: (_node, _output, axis) => at(data, axis),
    forward: (node, input, axis) => (input === data ? node.outputs.flatMap((v, i) => (v ? at(i, axis) : [])) : []),
  }
}

/** The first output mirrors input 0; other outputs are something else. */
export const first: AxisRule = {
  back: (_node, output, axis) => (output === 0 ? at(0, axis) : []),
  forward: (_node, input, axis) => (input === 0 ? at(0, axis) : []),
}

/** The axis keeps its place, but what it holds is shifted or scattered: never exact. */
export const loose: AxisRule = {
  back: (_node, _output, axis) => at(0, axis, false),
  forward: (_node, input, axis) => (input === 0 ? at(0, axis, false) : []),
}

/** Elements chosen along an axis (output 0), by place: never exact. */
export const chosen: AxisRule = {
  back: (_node, output, axis) => (output === 0 ? at(0, axis, false) : []),
  forward: (_node, input, axis) => (input === 0 ? at(0, axis, false) : []),
}

/** Updates written into data: both are followed by place, never exact. */
export const scattered: AxisRule = {
  back: (_node, _output, axis) => [...at(0, axis, false), ...at(2, axis, false)],
  forward: (_node, input, axis) => (input === 0 || input === 2 ? at(0, axis, false) : []),
}

/** Multidirectional broadcasting over the inputs at `ports` (all when not given). */
export function broadcast(ports?: readonly number[]): AxisRule {
  const chosen = (node: Node): readonly number[] => ports ?? node.inputs.map((_, i) => i)
  return {
    back: (node, output, axis, facts) =>
      chosen(node).flatMap((port) => {
        const value = node.input(port)
        return value && spans(value, axis, facts, node.output(output)) ? at(port, axis) : []
      }),
    forward: (node, input, axis) => (chosen(node).includes(input) ? at(0, axis) : []),
  }
}

/** Whether an operand has the axis itself instead of being repeated along it. */
export function spans(value: Value, axis: number, facts: Facts, result?: Value): boolean {
  const rank = facts.rank(value)
  if (rank === undefined) return true
  if (rank < -axis) return false
  return facts.size(value, axis) !== 1 || (result !== undefined && facts.size(result, axis) === 1)
}

export const concat: AxisRule = {
  back: (node, _output, axis) => node.inputs.flatMap((value, port) => (value ? at(port, axis) : [])),
  forward: (_node, _input, axis) => at(0, axis),
}

export const transpose: AxisRule = {
  back: (node, _output, axis, facts) => {
    const perm = permutation(node, facts)
    const from = perm?.[perm.length + axis]
    return perm && from !== undefined ? at(0, from - perm.length) : []
  },
  forward: (node, _input, axis, facts) => {
    const perm = permutation(node, facts)
    const to = perm ? perm.indexOf(perm.length + axis) : -1
    return perm && to >= 0 ? at(0, to - perm.length) : []
  },
}

export function permutation(node: Node, facts: Facts): readonly number[] | undefined {
  const perm = facts.ints(node, 'perm')
  if (perm) return perm
  const rank = node.input(0) && facts.rank(node.input(0) as Value)
  return rank === undefined ? undefined : Array.from({ length: rank }, (_, i) => rank - 1 - i)
}

export const reshape: AxisRule = {
  back: (node, _output, axis, facts) => {
    const mapped = mapThroughReshape(shapeAt(node.output(), facts), shapeAt(node.input(0), facts), axis)
    return mapped ? at(0, mapped.axis, mapped.exact) : []
  },
  forward: (node, input, axis, facts) => {
    if (input !== 0) return []
    const mapped = mapThroughReshape(shapeAt(node.input(0), facts), shapeAt(node.output(), facts), axis)
    return mapped ? at(0, mapped.axis, mapped.exact) : []
  },
  origins: (node, axis, facts) =>
    relatedThroughReshape(shapeAt(node.output(), facts), shapeAt(node.input(0), facts), axis).map((a) => ({
      port: 0,
      axis: a,
      exact: true,
    })),
}

function shapeAt(value: Value | undefined, facts: Facts) {
  return value && facts.shape(value)
}

/** The axes an Unsqueeze, Squeeze or Reduce names, as attribute or as input; `undefined` when they are not constant. */
function axesOf(node: Node, facts: Facts, port = 1): number[] | undefined {
  return facts.ints(node, 'axes') ?? facts.numbers(node.input(port))
}

/** Negative axes removed by a Squeeze (relative to its input) or added by an Unsqueeze (relative to its output). */
export function namedAxes(node: Node, facts: Facts, value: Value | undefined): number[] | undefined {
  const axes = axesOf(node, facts)
  if (axes?.every((a) => a < 0)) return axes
  const rank = value && facts.rank(value)
  if (rank === undefined) return undefined
  if (axes) return axes.map((a) => (a < 0 ? a : a - rank))
  // Squeeze without axes takes every axis of size 1.
  const shape = facts.shape(value as Value) as readonly unknown[]
  return shape.flatMap((size, i) => (size === 1 ? [i - rank] : []))
}

/** Axis after `removed` axes (negative, of the same value) are gone; `undefined` when it is one of them. */
function withoutAxes(axis: number, removed: readonly number[]): number | undefined {
  if (removed.includes(axis)) return undefined
  return axis + removed.filter((r) => r > axis).length
}

/** Axis before `removed` axes were taken out: the inverse of {@link withoutAxes}. */
function withAxes(axis: number, removed: readonly number[]): number {
  let result = axis
  for (const r of removed.toSorted((a, b) => b - a)) if (r >= result) result--
  return result
}

export const unsqueeze: AxisRule = {
  back: (node, _output, axis, facts) => {
    const added = namedAxes(node, facts, node.output())
    if (!added) return at(0, axis, false)
    const mapped = withoutAxes(axis, added)
    return mapped === undefined ? [] : at(0, mapped)
  },
  forward: (node, input, axis, facts) => {
    if (input !== 0) return []
    const added = namedAxes(node, facts, node.output())
    return added ? at(0, withAxes(axis, added)) : at(0, axis, false)
  },
}

export const squeeze: AxisRule = {
  back: (node, _output, axis, facts) => {
    const removed = namedAxes(node, facts, node.input(0))
    return removed ? at(0, withAxes(axis, removed)) : at(0, axis, false)
  },
  forward: (node, input, axis, facts) => {
    if (input !== 0) return []
    const removed = namedAxes(node, facts, node.input(0))
    if (!removed) return at(0, axis, false)
    const mapped = withoutAxes(axis, removed)
    return mapped === undefined ? [] : at(0, mapped)
  },
}

/** Gather along an axis: the index axes stand where that axis was. */
export const gather: AxisRule = {
  back: (node, _output, axis, facts) => {
    const place = gatherPlace(node, facts)
    if (!place) return at(0, axis, false)
    const { gathered, indexRank } = place
    if (axis > gathered) return at(0, axis)
    const before = axis + indexRank - 1
    return before < gathered ? at(0, before) : indexRank === 1 ? at(0, gathered) : []
  },
  forward: (node, input, axis, facts) => {
    if (input !== 0) return []
    const place = gatherPlace(node, facts)
    if (!place) return at(0, axis, false)
    const { gathered, indexRank } = place
    if (axis > gathered) return at(0, axis)
    if (axis === gathered) return indexRank === 1 ? at(0, axis) : []
    return at(0, axis - indexRank + 1)
  },
}

export function gatherPlace(node: Node, facts: Facts): { gathered: number; indexRank: number } | undefined {
  const [data, indices] = node.inputs
  const indexRank = indices && facts.rank(indices)
  const axis = facts.int(node, 'axis') ?? 0
  const rank = data && facts.rank(data)
  if (indexRank === undefined || (axis >= 0 && rank === undefined)) return undefined
  return { gathered: axis < 0 ? axis : axis - (rank as number), indexRank }
}

/** Input 0 repeated along some axes: an axis made by repetition has no origin. */
export const expand: AxisRule = {
  back: (node, output, axis, facts) => {
    const value = node.input(0)
    return value && spans(value, axis, facts, node.output(output)) ? at(0, axis) : []
  },
  forward: (_node, input, axis) => (input === 0 ? at(0, axis) : []),
}

/** Reduction over other axes than the one followed. */
export const reduce: AxisRule = {
  back: (node, _output, axis, facts) => {
    const axes = reducedAxes(node, facts)
    if (!axes) return []
    if (keepsDims(node, facts)) return axes.includes(axis) ? [] : at(0, axis)
    return at(0, withAxes(axis, axes))
  },
  forward: (node, input, axis, facts) => {
    const axes = reducedAxes(node, facts)
    if (input !== 0 || !axes || axes.includes(axis)) return []
    return at(0, keepsDims(node, facts) ? axis : (withoutAxes(axis, axes) as number))
  },
}

export function keepsDims(node: Node, facts: Facts): boolean {
  return (facts.int(node, 'keepdims') ?? 1) !== 0
}

/** Negative axes a Reduce operator reduces, relative to its input. */
export function reducedAxes(node: Node, facts: Facts): number[] | undefined {
  const rank = node.input(0) && facts.rank(node.input(0) as Value)
  const axes = axesOf(node, facts)
  if (!axes) {
    if (node.input(1) !== undefined || rank === undefined) return undefined
    return (facts.int(node, 'noop_with_empty_axes') ?? 0) !== 0 ? [] : Array.from({ length: rank }, (_, i) => i - rank)
  }
  if (axes.every((a) => a < 0)) return axes
  return rank === undefined ? undefined : axes.map((a) => (a < 0 ? a : a - rank))
}

/** Batch and spatial axes keep their place, channels come from the weights: Conv, pooling, resizing. */
export const spatial: AxisRule = {
  back: (_node, output, axis) => (output === 0 ? at(0, axis) : []),
  forward: (_node, input, axis) => (input === 0 ? at(0, axis) : []),
}
