/** Slice and Pad: where they cut and what they add, and the shapes that follow. */
import type { Node } from '../ir/index.ts'
import type { Facts } from './facts.ts'
import type { ShapeRule } from './shapes.ts'
import { made, madeShape, shapeAt, vectorLength } from './shapes.ts'
import type { Size } from './size.ts'
import { addSizes, subtractSizes } from './size.ts'

/** Slice: sizes from bounds where both are known. */
export const sliceShape: ShapeRule = (node, facts) => {
  const shape = shapeAt(node, 0, facts)
  const slices = sliceBounds(node, facts)
  if (!shape) return undefined
  if (!slices) return madeShape(node, shape.length)
  const result = [...shape]
  for (const { axis, start, end, step } of slices) {
    const at = axis < 0 ? axis + shape.length : axis
    result[at] = slicedSize(shape[at] as Size, start, end, step) ?? made(node, at)
  }
  return result
}

/** One axis a Slice cuts; bounds that are not constant stay symbols or `undefined`. */
export interface SliceBound {
  readonly axis: number
  readonly start: Size | undefined
  readonly end: Size | undefined
  readonly step: number | undefined
}

export function sliceBounds(node: Node, facts: Facts): SliceBound[] | undefined {
  const starts = facts.ints(node, 'starts') ?? facts.content(node.input(1))
  const ends = facts.ints(node, 'ends') ?? facts.content(node.input(2))
  const count = starts?.length ?? ends?.length ?? vectorLength(node, 1, facts)
  const axes =
    facts.ints(node, 'axes') ??
    (node.input(3)
      ? facts.numbers(node.input(3))
      : count === undefined
        ? undefined
        : Array.from({ length: count }, (_, i) => i))
  if (!axes) return undefined
  const steps = node.input(4) ? facts.numbers(node.input(4)) : axes.map(() => 1)
  return axes.map((axis, i) => ({ axis, start: starts?.[i], end: ends?.[i], step: steps?.[i] }))
}

function slicedSize(
  size: Size,
  start: Size | undefined,
  end: Size | undefined,
  step: number | undefined,
): Size | undefined {
  if (typeof size === 'number' && typeof start === 'number' && typeof end === 'number' && step)
    return sliceRange(size, start, end, step).count
  if (start === undefined || end === undefined || step !== 1) return undefined
  const from = bound(size, start)
  const to = bound(size, end)
  if (from === undefined || to === undefined) return undefined
  const length = subtractSizes(to, from)
  return typeof length === 'number' ? Math.max(0, length) : length
}

/** Indexes a slice takes from an axis. */
export function slicedIndexes(size: number, start: number, end: number, step: number): number[] {
  const { from, count } = sliceRange(size, start, end, step)
  return Array.from({ length: count }, (_, i) => from + i * step)
}

/** First index and number of indexes of a slice, its bounds clamped as the standard says. */
function sliceRange(size: number, start: number, end: number, step: number): { from: number; count: number } {
  const clamp = (at: number): number => {
    const counted = at < 0 ? at + size : at
    return step > 0 ? Math.min(Math.max(counted, 0), size) : Math.min(Math.max(counted, -1), size - 1)
  }
  const from = clamp(start)
  return { from, count: Math.max(0, Math.ceil((clamp(end) - from) / step)) }
}

/** A bound counted from the front. Bounds past the end (INT_MAX, as exporters write "to the end") are the end. */
function bound(size: Size, at: Size): Size | undefined {
  if (typeof at !== 'number') return at === size ? size : typeof size === 'number' ? undefined : at
  if (at < 0) return typeof size === 'number' ? Math.max(0, size + at) : addSizes(size, at)
  if (typeof size === 'number') return Math.min(size, at)
  return at === 0 ? 0 : at >= 2 ** 31 - 1 ? size : at
}

export const padShape: ShapeRule = (node, facts) => {
  const shape = shapeAt(node, 0, facts)
  if (!shape) return undefined
  const pads = padsOf(node, facts, shape.length)
  return shape.map((size, i) => {
    const pad = pads?.get(i - shape.length)
    return pad ? addSizes(size, pad.before + pad.after) : pads ? size : made(node, i)
  })
}

/** Added elements by negative axis; axes that get none are missing. `undefined` when the pads are not constant. */
export function padsOf(
  node: Node,
  facts: Facts,
  rank: number,
): ReadonlyMap<number, { before: number; after: number }> | undefined {
  const pads = facts.ints(node, 'pads') ?? facts.ints(node, 'paddings') ?? facts.numbers(node.input(1))
  if (!pads) return undefined
  const named = node.input(3) ? facts.numbers(node.input(3)) : undefined
  if (node.input(3) && !named) return undefined
  const axes = named ?? Array.from({ length: pads.length / 2 }, (_, i) => i)
  const result = new Map<number, { before: number; after: number }>()
  for (const [i, axis] of axes.entries()) {
    const before = pads[i] ?? 0
    const after = pads[i + axes.length] ?? 0
    if (before !== 0 || after !== 0) result.set(axis < 0 ? axis : axis - rank, { before, after })
  }
  return result
}
