import type { Size } from './size.ts'
import { divideSizes, productOf, timesSizes } from './size.ts'

/** Axes (counted from 0) of input and output of a Reshape that hold the same elements. */
interface ReshapeGroup {
  readonly from: readonly number[]
  readonly to: readonly number[]
  /** Whether sizes prove the group; else an axis of equal size on both sides was taken for the same axis. */
  readonly certain: boolean
}

/** An axis found on the other side of a Reshape; not `exact` when the sizes could not decide and position did. */
interface MappedAxis {
  readonly axis: number
  readonly exact: boolean
}

/**
 * Where an axis of one side of a Reshape is on the other, `undefined` when it was merged with another axis or split.
 *
 * @param axis negative axis of `from`
 * @param guess whether an axis that sizes cannot follow is looked for by its place
 */
export function mapThroughReshape(
  from: readonly Size[] | undefined,
  to: readonly Size[] | undefined,
  axis: number,
  guess = true,
): MappedAxis | undefined {
  if (!from || !to) return guess ? { axis, exact: false } : undefined
  const index = from.length + axis
  if (index < 0) return undefined
  const group = reshapeGroups(from, to).find((g) => g.from.includes(index))
  if (group) {
    const size = from[index] as Size
    const own = group.from.filter((i) => from[i] !== 1)
    const other = group.to.filter((i) => to[i] !== 1)
    if (size === 1) return unitAxis(group, from, to, index)
    const alone = own.length === 1 && other.length === 1
    if (alone && (group.certain || guess)) return { axis: (other[0] as number) - to.length, exact: group.certain }
  }
  return guess && axis === -1 ? { axis: -1, exact: false } : undefined
}

/**
 * The axes of the other side that an axis of `from` is made of or part of: several when it was merged, one when it was
 * split off or kept. Negative axes of `to`.
 */
export function relatedThroughReshape(
  from: readonly Size[] | undefined,
  to: readonly Size[] | undefined,
  axis: number,
): number[] {
  if (!from || !to) return axis === -1 ? [-1] : []
  const index = from.length + axis
  const group = reshapeGroups(from, to).find((g) => g.from.includes(index))
  if (!group) return []
  const own = group.from.filter((i) => from[i] !== 1)
  const other = group.to.filter((i) => to[i] !== 1)
  const at = own.indexOf(index)
  if (!group.certain && own.length > 1 && other.length > 1) return []
  // (B, H*D) to (B*H, D): the last axis of the one is part of the last axis of the other.
  const related =
    own.length > 1 && other.length > 1 && at >= 0 ? [at === own.length - 1 ? other.at(-1)! : other[0]!] : other
  return related.map((i) => i - to.length)
}

/** Splits the axes of a Reshape into the smallest groups of equal size, left to right. */
export function reshapeGroups(from: readonly Size[], to: readonly Size[]): ReshapeGroup[] {
  const groups: ReshapeGroup[] = []
  let i = from.length
  let j = to.length
  while (i > 0 || j > 0) {
    const endI = i
    const endJ = j
    let left: Size = i > 0 ? (from[--i] as Size) : 1
    let right: Size = j > 0 ? (to[--j] as Size) : 1
    while (left !== right) {
      if (i > 0 && (j === 0 || contains(right, left))) left = timesSizes(left, from[--i] as Size)
      else if (j > 0 && (i === 0 || contains(left, right))) right = timesSizes(right, to[--j] as Size)
      // All elements are accounted for: what is left on both sides is one group, whatever its symbols say.
      else if (i === 0 && j === 0) break
      else return [...undecided(from, to, endI, endJ), ...groups]
    }
    groups.unshift({ from: range(i, endI), to: range(j, endJ), certain: true })
  }
  return groups
}

/** Whether `whole` is a proper multiple of `part`. */
function contains(whole: Size, part: Size): boolean {
  return divideSizes(whole, part) !== undefined && divideSizes(part, whole) === undefined
}

/** Where sizes cannot decide, an axis of the same size on both sides is taken for the same axis; what lies between is a group. */
function undecided(from: readonly Size[], to: readonly Size[], endI: number, endJ: number): ReshapeGroup[] {
  const groups: ReshapeGroup[] = []
  let startI = 0
  let startJ = 0
  for (let i = 0; i < endI; i++) {
    const next = from[i] === 1 ? -1 : to.indexOf(from[i] as Size, startJ)
    const leading = i === startI && from[i] === to[startJ] && startJ < endJ && groups.every((g) => g.certain)
    const j = leading ? startJ : next
    if (j < 0 || j >= endJ || (!leading && to.indexOf(from[i] as Size, j + 1) >= 0)) continue
    if (!leading) groups.push({ from: range(startI, i), to: range(startJ, j), certain: false })
    groups.push({ from: [i], to: [j], certain: leading })
    startI = i + 1
    startJ = j + 1
  }
  groups.push({ from: range(startI, endI), to: range(startJ, endJ), certain: groups.every((g) => g.certain) })
  return groups
}

/** An axis of size 1 keeps its place when the group has the same axes of size 1 around it. */
function unitAxis(
  group: ReshapeGroup,
  from: readonly Size[],
  to: readonly Size[],
  index: number,
): MappedAxis | undefined {
  const units = group.from.filter((i) => from[i] === 1)
  const others = group.to.filter((i) => to[i] === 1)
  if (units.length !== others.length) return undefined
  const place = units.indexOf(index)
  return { axis: (others[place] as number) - to.length, exact: true }
}

/** The shape a Reshape gives: 0 copies, -1 takes what is left. `name` makes symbols for what cannot be computed. */
export function reshapedShape(
  input: readonly Size[] | undefined,
  target: readonly Size[],
  allowZero: boolean,
  name: (axis: number) => Size,
): Size[] {
  const shape = target.map((size, axis) => (size === 0 && !allowZero ? (input?.[axis] ?? name(axis)) : size))
  const open = shape.indexOf(-1)
  if (open < 0) return shape
  const rest = productOf(shape.filter((_, axis) => axis !== open))
  shape[open] = (input && divideSizes(productOf(input), rest)) ?? name(open)
  return shape
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, k) => start + k)
}
