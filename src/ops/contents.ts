/** Content rules: how the elements of small tensors (sizes, axes, scales) are computed. Elements are flattened row by row. */
import type { Node, Value } from '../ir/index.ts'
import { dtypes } from '../ir/index.ts'
import { permutation } from './axes.ts'
import { sliceBounds, slicedIndexes } from './cut-shapes.ts'
import { dtypeOf } from './dtype-of.ts'
import type { Facts } from './facts.ts'
import { shapeAt } from './shapes.ts'
import type { Size } from './size.ts'
import { addSizes, divideSizes, subtractSizes, timesSizes } from './size.ts'
import { axisSymbol } from './symbols.ts'

type Content = readonly Size[] | undefined
export type ContentRule = (node: Node, facts: Facts) => Content

/** The same elements in the same order: Cast between numbers, Reshape, Unsqueeze, Identity. */
export const passContent: ContentRule = (node, facts) => facts.content(node.input(0))

export const castContent: ContentRule = (node, facts) => {
  const content = facts.content(node.input(0))
  const integer = new Set([2, 3, 4, 5, 6, 7, 12, 13]).has(facts.int(node, 'to') ?? 0)
  return integer ? content?.map((x) => (typeof x === 'number' ? Math.trunc(x) : x)) : content
}

export const constantContent: ContentRule = (node, facts) => {
  const value = node.attributes.get('value')
  if (value?.kind === 'tensor') return facts.contentOf(value.value)
  const number = facts.float(node, 'value_float') ?? facts.int(node, 'value_int')
  if (number !== undefined) return [number]
  const list = node.attributes.get('value_floats') ?? node.attributes.get('value_ints')
  return list?.kind === 'floats' || list?.kind === 'ints' ? list.value.map(Number) : undefined
}

/** Shape, with its `start` and `end` of opset 15. An input of unknown rank gives nothing: its length is unknown. */
export const shapeContent: ContentRule = (node, facts) => {
  const shape = shapeAt(node, 0, facts)
  return shape?.slice(facts.int(node, 'start') ?? 0, facts.int(node, 'end') ?? shape.length)
}

export const sizeContent: ContentRule = (node, facts) => {
  const shape = shapeAt(node, 0, facts)
  return shape && [shape.reduce(timesSizes, 1)]
}

export const gatherContent: ContentRule = (node, facts) => {
  const indices = facts.numbers(node.input(1))
  if (!indices || (facts.int(node, 'axis') ?? 0) > 0) return undefined
  const content = facts.content(node.input(0))
  if (content && isVector(node, facts)) return picked(indices.map((i) => content[i < 0 ? i + content.length : i]))
  // The size of one axis of a value whose rank is unknown still has a name of its own.
  const shape = node.input(0)?.producer
  const source = shape?.op === 'Shape' && shape.attributes.size === 0 ? shape.input(0) : undefined
  return source && facts.shape(source) === undefined ? indices.map((i) => axisSymbol(source, i)) : undefined
}

function isVector(node: Node, facts: Facts): boolean {
  return (shapeAt(node, 0, facts)?.length ?? 1) <= 1
}

function picked(sizes: readonly (Size | undefined)[]): Content {
  return sizes.every((s) => s !== undefined) ? (sizes as Size[]) : undefined
}

/** Slices of any rank and step: exporters reverse the pads of a Pad this way. */
export const sliceContent: ContentRule = (node, facts) => {
  const content = facts.content(node.input(0))
  const shape = numericShape(node, facts)
  const slices = sliceBounds(node, facts)
  if (!content || !shape || !slices) return undefined
  const picks = shape.map((size) => Array.from({ length: size }, (_, i) => i))
  for (const { axis, start, end, step } of slices) {
    const at = axis < 0 ? axis + shape.length : axis
    if (typeof start !== 'number' || typeof end !== 'number' || !step || !picks[at]) return undefined
    picks[at] = slicedIndexes(shape[at] as number, start, end, step)
  }
  return gathered(content, shape, picks)
}

export const transposeContent: ContentRule = (node, facts) => {
  const content = facts.content(node.input(0))
  const shape = numericShape(node, facts)
  const perm = permutation(node, facts)
  if (!content || !shape || perm?.length !== shape.length) return undefined
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1))
  const sizes = perm.map((axis) => shape[axis] as number)
  return picked(
    Array.from({ length: content.length }, (_, flat) => {
      let rest = flat
      let source = 0
      for (let axis = sizes.length - 1; axis >= 0; axis--) {
        const size = sizes[axis] as number
        source += (rest % size) * (strides[perm[axis] as number] as number)
        rest = Math.floor(rest / size)
      }
      return content[source]
    }),
  )
}

function numericShape(node: Node, facts: Facts): number[] | undefined {
  const shape = shapeAt(node, 0, facts)
  return shape?.every((size) => typeof size === 'number') ? (shape as number[]) : undefined
}

/** Elements at the cross product of index lists. */
function gathered(content: readonly Size[], shape: readonly number[], picks: readonly (readonly number[])[]): Content {
  let offsets = [0]
  for (const [axis, list] of picks.entries()) {
    const stride = shape.slice(axis + 1).reduce((a, b) => a * b, 1)
    offsets = offsets.flatMap((offset) => list.map((i) => offset + i * stride))
  }
  return picked(offsets.map((offset) => content[offset]))
}

export const concatContent: ContentRule = (node, facts) => {
  if (!isVector(node, facts)) return undefined
  const parts = node.inputs.map((v) => facts.content(v) ?? (v && namedElements(v, facts)))
  return parts.every((p) => p !== undefined) ? parts.flat() : undefined
}

const samePlaces = new Set(['Unsqueeze', 'Squeeze', 'Reshape', 'Cast', 'Identity'])

/** Symbols for elements that cannot be computed: a size nobody knows is still the same size wherever it is used. */
function namedElements(value: Value, facts: Facts): Content {
  const shape = facts.shape(value)
  const count = shape?.length === 1 ? shape[0] : undefined
  if (typeof count !== 'number' || count > 8) return undefined
  let source = value
  while (source.producer && samePlaces.has(source.producer.op) && source.producer.input(0))
    source = source.producer.input(0) as Value
  return Array.from({ length: count }, (_, i) => axisSymbol(source, i, 'element'))
}

export const expandContent: ContentRule = (node, facts) => {
  const content = facts.content(node.input(0))
  const target = facts.numbers(node.input(1))
  const count = target?.reduce((a, b) => a * b, 1)
  if (content?.length !== 1 || count === undefined || count > 64) return undefined
  return Array.from({ length: Math.max(1, count) }, () => content[0] as Size)
}

export const constantOfShapeContent: ContentRule = (node, facts) => {
  const target = facts.numbers(node.input(0))
  const count = target?.reduce((a, b) => a * b, 1)
  if (count === undefined || count > 64) return undefined
  const value = node.attributes.get('value')
  const fill = value?.kind === 'tensor' ? facts.contentOf(value.value)?.[0] : 0
  return fill === undefined ? undefined : Array.from({ length: count }, () => fill)
}

/** Elementwise, with one element against many. */
function elementwise(combine: (a: Size, b: Size) => Size | undefined): ContentRule {
  return (node, facts) => {
    const a = facts.content(node.input(0))
    const b = facts.content(node.input(1))
    if (!a || !b || (a.length !== b.length && a.length !== 1 && b.length !== 1)) return undefined
    const length = Math.max(a.length, b.length)
    return picked(
      Array.from({ length }, (_, i) => combine(a[a.length === 1 ? 0 : i] as Size, b[b.length === 1 ? 0 : i] as Size)),
    )
  }
}

export const add = elementwise(addSizes)
export const subtract = elementwise(subtractSizes)
export const multiply = elementwise((a, b) =>
  (typeof a === 'number' && !Number.isInteger(a)) || (typeof b === 'number' && !Number.isInteger(b))
    ? typeof a === 'number' && typeof b === 'number'
      ? a * b
      : undefined
    : timesSizes(a, b),
)
/** Division of integers (which truncates) and of other numbers. */
export const divide = (node: Node, facts: Facts): Content =>
  elementwise((a, b) => {
    if (typeof a !== 'number' || typeof b !== 'number') return divideSizes(a, b)
    return b !== 0 && a % b === 0 ? a / b : isIntegerDivision(node) ? Math.trunc(a / b) : a / b
  })(node, facts)

function isIntegerDivision(node: Node): boolean {
  const output = node.output()
  const dtype = output && dtypeOf(output)
  return dtype === dtypes.int64 || dtype === dtypes.int32
}

const numeric = (f: (a: number, b: number) => number): ContentRule =>
  elementwise((a, b) => (typeof a === 'number' && typeof b === 'number' ? f(a, b) : undefined))

export const power = numeric((a, b) => a ** b)
export const remainder = numeric((a, b) => a % b)
/** A symbolic size equals itself and is never negative. */
export const equal = elementwise((a, b) => {
  if (a === b) return 1
  if (typeof a === 'number' && typeof b === 'number') return 0
  return (typeof a === 'number' && a < 0) || (typeof b === 'number' && b < 0) ? 0 : undefined
})
export const maximum = elementwise((a, b) => extreme(a, b, Math.max))
export const minimum = elementwise((a, b) => extreme(a, b, Math.min))

function extreme(a: Size, b: Size, f: (a: number, b: number) => number): Size | undefined {
  if (a === b) return a
  return typeof a === 'number' && typeof b === 'number' ? f(a, b) : undefined
}

export function unary(f: (a: number) => number): ContentRule {
  return (node, facts) => {
    const content = facts.content(node.input(0))
    return content && picked(content.map((x) => (typeof x === 'number' ? f(x) : undefined)))
  }
}

export const whereContent: ContentRule = (node, facts) => {
  const [condition, a, b] = node.inputs.map((v) => facts.content(v))
  if (!condition || !a || !b) return undefined
  const length = Math.max(condition.length, a.length, b.length)
  const element = (list: readonly Size[], i: number): Size | undefined => list[list.length === 1 ? 0 : i]
  return picked(Array.from({ length }, (_, i) => (element(condition, i) === 0 ? element(b, i) : element(a, i))))
}

export const productContent: ContentRule = (node, facts) => {
  const content = facts.content(node.input(0))
  return content && [content.reduce(timesSizes, 1)]
}

export const rangeContent: ContentRule = (node, facts) => {
  const [start, limit, step] = node.inputs.map((v) => facts.scalar(v))
  if (start === undefined || limit === undefined || !step) return undefined
  const count = Math.ceil((limit - start) / step)
  return count > 64 ? undefined : Array.from({ length: Math.max(0, count) }, (_, i) => start + i * step)
}
