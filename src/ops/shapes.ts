/** Shape rules: one function for each way an operator makes its output shape. `undefined` where the rank is unknown. */
import type { Node, Value } from '../ir/index.ts'
import { gatherPlace, keepsDims, namedAxes, permutation, reducedAxes } from './axes.ts'
import type { Operand } from './contraction.ts'
import { labelledProduct } from './contraction.ts'
import type { Facts } from './facts.ts'
import { reshapedShape } from './reshape.ts'
import type { Size } from './size.ts'
import { addSizes, timesSizes } from './size.ts'
import { axisSymbol } from './symbols.ts'

type Shape = readonly Size[] | undefined
export type ShapeRule = (node: Node, facts: Facts, output: number) => Shape

export function shapeAt(node: Node, port: number, facts: Facts): Shape {
  const value = node.input(port)
  return value && facts.shape(value)
}

/** Every output has the shape of one input. */
export function like(port = 0): ShapeRule {
  return (node, facts) => shapeAt(node, port, facts)
}

/** Output 0 as input 0, nothing about the others. */
export const likeFirst: ShapeRule = (node, facts, output) => (output === 0 ? shapeAt(node, 0, facts) : undefined)

export function broadcastShape(ports?: readonly number[]): ShapeRule {
  return (node, facts) => {
    const shapes = (ports ?? node.inputs.map((_, i) => i)).map((port) => node.input(port) && shapeAt(node, port, facts))
    return broadcastShapes(shapes, node)
  }
}

/** An operand of unknown rank hardly ever has more axes than the others: the highest known rank counts. */
function broadcastShapes(shapes: readonly Shape[], node: Node): Shape {
  const known = shapes.filter((s) => s !== undefined)
  if (known.length === 0) return undefined
  const rank = Math.max(...known.map((s) => s.length))
  return Array.from({ length: rank }, (_, i) => {
    const sizes = known.map((s) => s[i - rank + s.length]).filter((s) => s !== undefined && s !== 1)
    if (sizes.length === 0) return known.length === shapes.length ? 1 : made(node, i)
    return sizes.find((s) => typeof s === 'number') ?? (sizes[0] as Size)
  })
}

/** A symbol for one axis of output 0. */
export function made(node: Node, axis: number, output = 0): Size {
  return axisSymbol(node.output(output) as Value, axis)
}

export function madeShape(node: Node, rank: number, output = 0): Size[] {
  return Array.from({ length: rank }, (_, axis) => made(node, axis, output))
}

export const transposeShape: ShapeRule = (node, facts) => {
  const perm = permutation(node, facts)
  const shape = shapeAt(node, 0, facts)
  return perm && (shape?.length === perm.length ? perm.map((p) => shape[p] as Size) : madeShape(node, perm.length))
}

export const reshapeShape: ShapeRule = (node, facts) => {
  const given = facts.ints(node, 'shape') ?? facts.content(node.input(1))
  if (given) {
    const allowZero = (facts.int(node, 'allowzero') ?? 0) !== 0
    return reshapedShape(shapeAt(node, 0, facts), given, allowZero, (axis) => made(node, axis))
  }
  const length = vectorLength(node, 1, facts)
  return length === undefined ? undefined : madeShape(node, length)
}

/** Length of a vector that holds a shape. */
export function vectorLength(node: Node, port: number, facts: Facts): number | undefined {
  const shape = shapeAt(node, port, facts)
  const length = shape?.length === 1 ? shape[0] : undefined
  return typeof length === 'number' && length <= highestRank ? length : undefined
}

/** More axes than any runtime has: a file that declares more is wrong, and its shapes stay unknown. */
const highestRank = 64

export const expandShape: ShapeRule = (node, facts) => {
  const target = facts.content(node.input(1))
  const shape = shapeAt(node, 0, facts)
  if (target) return broadcastShapes([shape, target], node)
  const length = vectorLength(node, 1, facts)
  if (length === undefined) return undefined
  return madeShape(node, Math.max(length, shape?.length ?? 0))
}

export const unsqueezeShape: ShapeRule = (node, facts) => {
  const shape = shapeAt(node, 0, facts)
  const axes = facts.ints(node, 'axes') ?? facts.numbers(node.input(1))
  if (!shape || !axes) return undefined
  const rank = shape.length + axes.length
  const added = new Set(axes.map((a) => (a < 0 ? a + rank : a)))
  const rest = [...shape]
  return Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : (rest.shift() ?? 1)))
}

export const squeezeShape: ShapeRule = (node, facts) => {
  const shape = shapeAt(node, 0, facts)
  const removed = namedAxes(node, facts, node.input(0))
  return shape && removed && shape.filter((_, i) => !removed.includes(i - shape.length))
}

export const gatherShape: ShapeRule = (node, facts) => {
  const data = shapeAt(node, 0, facts)
  const indices = shapeAt(node, 1, facts)
  const place = gatherPlace(node, facts)
  if (!data || !indices || !place) return undefined
  const axis = data.length + place.gathered
  return [...data.slice(0, axis), ...indices, ...data.slice(axis + 1)]
}

export const reduceShape: ShapeRule = (node, facts) => {
  const shape = shapeAt(node, 0, facts)
  const axes = reducedAxes(node, facts)
  if (!shape) return undefined
  if (!axes) return keepsDims(node, facts) ? madeShape(node, shape.length) : undefined
  const reduced = (i: number): boolean => axes.includes(i - shape.length)
  if (keepsDims(node, facts)) return shape.map((size, i) => (reduced(i) ? 1 : size))
  return shape.filter((_, i) => !reduced(i))
}

/** Matrix products and Einsum: each label has the size it has in an operand. */
export const productShape: ShapeRule = (node, facts) => {
  const product = labelledProduct(node, facts)
  if (!product) return undefined
  const shapes = product.operands.map((o) => facts.shape(o.value))
  // Labels of a matrix product of unknown rank, and those of an ellipsis, are assumed, so its shape is not known either.
  const isAssumed = ({ labels }: Operand): boolean =>
    node.op === 'Einsum' ? labels.some((label) => label.startsWith('.')) : node.op !== 'Gemm' && labels.length > 2
  if (product.operands.some((o, i) => !shapes[i] && isAssumed(o))) return undefined
  return product.output.map((label, axis) => {
    const sizes = product.operands.flatMap((o, i) => {
      const at = o.labels.indexOf(label)
      const shape = shapes[i]
      return at < 0 || shape?.length !== o.labels.length ? [] : [shape[at] as Size]
    })
    const wide = sizes.filter((s) => s !== 1)
    if (sizes.length > 0 && wide.length === 0) return 1
    return wide.find((s) => typeof s === 'number') ?? wide[0] ?? made(node, axis)
  })
}

/** MatMulNBits and relatives: the product over the last axis with a packed [N, …] weight. */
export const packedProductShape: ShapeRule = (node, facts) => {
  const shape = shapeAt(node, 0, facts)
  const n = facts.int(node, 'N')
  return shape && [...shape.slice(0, -1), n ?? made(node, shape.length - 1)]
}

export const concatShape: ShapeRule = (node, facts) => {
  const shapes = node.inputs.filter((v) => v !== undefined).map((v) => facts.shape(v))
  const known = shapes.find((s) => s !== undefined)
  if (!known) return undefined
  const named = facts.int(node, 'axis') ?? 1
  const axis = named < 0 ? named + known.length : named
  return known.map((size, i) => {
    if (i !== axis) return size
    let sum: Size = 0
    for (const shape of shapes) {
      const part: Size | undefined = shape?.[i]
      if (part === undefined) return made(node, i)
      sum = addSizes(sum, part)
    }
    return sum
  })
}

export const splitShape: ShapeRule = (node, facts, output) => {
  const shape = shapeAt(node, 0, facts)
  if (!shape) return undefined
  const named = facts.int(node, 'axis') ?? 0
  const axis = named < 0 ? named + shape.length : named
  const sizes = facts.ints(node, 'split') ?? facts.content(node.input(1))
  const whole = shape[axis]
  const equal = typeof whole === 'number' ? Math.ceil(whole / node.outputs.length) : undefined
  return shape.map((size, i) => (i === axis ? (sizes?.[output] ?? equal ?? made(node, i, output)) : size))
}

/** Same rank as input 0, sizes unknown. */
export const rankOfFirst: ShapeRule = (node, facts, output) => {
  const shape = shapeAt(node, 0, facts)
  return shape && madeShape(node, shape.length, output)
}

export const flattenShape: ShapeRule = (node, facts) => {
  const shape = shapeAt(node, 0, facts)
  if (!shape) return madeShape(node, 2)
  const named = facts.int(node, 'axis') ?? 1
  const axis = named < 0 ? named + shape.length : named
  return [shape.slice(0, axis), shape.slice(axis)].map((part) => part.reduce(timesSizes, 1))
}

/** The shape is the content of input 0: ConstantOfShape. */
export const shapeFromContent: ShapeRule = (node, facts) => {
  const content = facts.content(node.input(0))
  if (content) return content
  const length = vectorLength(node, 0, facts)
  return length === undefined ? undefined : madeShape(node, length)
}

export const tileShape: ShapeRule = (node, facts) => {
  const shape = shapeAt(node, 0, facts)
  const repeats = facts.content(node.input(1))
  return shape?.map((size, i) => {
    const repeat = repeats?.[i]
    return repeat === undefined ? made(node, i) : timesSizes(size, repeat)
  })
}

export const gatherNdShape: ShapeRule = (node, facts) => {
  const data = shapeAt(node, 0, facts)
  const indices = shapeAt(node, 1, facts)
  const depth = indices?.at(-1)
  if (!data || !indices || typeof depth !== 'number') return undefined
  return [...indices.slice(0, -1), ...data.slice((facts.int(node, 'batch_dims') ?? 0) + depth)]
}

export const oneHotShape: ShapeRule = (node, facts) => {
  const shape = shapeAt(node, 0, facts)
  return shape && madeShape(node, shape.length + 1)
}

export const constantShape: ShapeRule = (node) => {
  const value = node.attributes.get('value')
  if (value?.kind === 'tensor') return value.value.dims
  for (const name of ['value_ints', 'value_floats', 'value_strings']) {
    const list = node.attributes.get(name)
    if (list && 'value' in list && Array.isArray(list.value)) return [list.value.length]
  }
  return node.attributes.has('value_float') || node.attributes.has('value_int') ? [] : undefined
}

export const shapeOfShape: ShapeRule = (node, facts) => {
  const shape = shapeAt(node, 0, facts)
  return [
    shape ? shape.slice(facts.int(node, 'start') ?? 0, facts.int(node, 'end') ?? shape.length).length : made(node, 0),
  ]
}

export const rangeShape: ShapeRule = (node) => [made(node, 0)]
