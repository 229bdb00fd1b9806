import type { Size } from '../ops/index.ts'
import { divideSizes } from '../ops/index.ts'

/**
 * A part of an axis. `index` says where along it each channel lies; without one, every channel is at all of its places.
 */
interface Atom {
  readonly size: Size
  readonly index?: Int32Array | undefined
}

/** An axis as parts, the slowest first: `B*H` of a merged batch is two. */
type Axis = readonly Atom[]

/**
 * Where the channels of one value lie in another that it is made of by moving elements around.
 *
 * Made for the last axis of a value and followed backwards, an operator at a time. Every step gives a new layout, or
 * `undefined` where that cannot be told.
 */
export class Layout {
  readonly axes: readonly Axis[]

  constructor(axes: readonly Axis[]) {
    this.axes = axes
  }

  /** The layout of a value whose last axis is the channels. */
  static ofLast(shape: readonly Size[]): Layout | undefined {
    const channels = shape.at(-1)
    if (typeof channels !== 'number') return undefined
    const index = Int32Array.from({ length: channels }, (_, c) => c)
    return new Layout([...shape.slice(0, -1).map((size) => [{ size }]), [{ size: channels, index }]])
  }

  /**
   * The layout of a value whose channels are the heads along `axis`, each with the whole last axis. `axis` is negative; where
   * it is longer than `count`, something else is in front of the heads.
   */
  static ofHeads(shape: readonly Size[], axis: number, count: number): Layout | undefined {
    const [size, last] = [shape.at(axis), shape.at(-1)]
    const outer = size === undefined ? undefined : divideSizes(size, count)
    if (outer === undefined || typeof last !== 'number' || axis >= -1) return undefined
    const index = (at: (c: number) => number) => Int32Array.from({ length: count * last }, (_, c) => at(c))
    const axes: Axis[] = shape.map((size) => [{ size }])
    axes[shape.length + axis] = [{ size: outer }, { size: count, index: index((c) => Math.floor(c / last)) }]
    axes[shape.length - 1] = [{ size: last, index: index((c) => c % last) }]
    return new Layout(axes)
  }

  /** Where each channel is along the last `count` places that an axis is made of, such as heads behind a batch. */
  placesOn(axis: number, count: number): Int32Array | undefined {
    const atoms = [...(this.axes.at(axis) ?? [])].reverse()
    let size = 1
    const inner: Atom[] = []
    for (const atom of atoms) {
      if (size === count) break
      if (typeof atom.size !== 'number') return undefined
      size *= atom.size
      inner.unshift(atom)
    }
    return size === count ? positions(inner) : undefined
  }

  /** Before a Transpose. */
  beforeTranspose(perm: readonly number[]): Layout | undefined {
    if (perm.length !== this.axes.length) return undefined
    const axes: Axis[] = []
    for (const [to, from] of perm.entries()) axes[from] = this.axes[to] as Axis
    return new Layout(axes)
  }

  /** Before the same elements were given another shape. */
  beforeReshape(shape: readonly Size[]): Layout | undefined {
    const atoms = this.axes.flat().filter(({ size }) => size !== 1)
    const axes = shape.map((size) => take(atoms, size))
    return axes.every((axis) => axis !== undefined) && atoms.length === 0 ? new Layout(axes as Axis[]) : undefined
  }

  /** Before axes of one element were repeated or broadcast. `shape` may have fewer axes than the layout. */
  beforeBroadcast(shape: readonly Size[]): Layout | undefined {
    const missing = this.axes.length - shape.length
    if (missing < 0) return undefined
    const axes = shape.map((size, i) => {
      const axis = this.axes[missing + i] as Axis
      return size === 1 ? [{ size }] : sizeOf(axis) === size ? axis : undefined
    })
    return axes.every((axis) => axis !== undefined) ? new Layout(axes as Axis[]) : undefined
  }

  /** Before a part of an axis, from `start` on, was cut out of one of `size`. */
  beforeCut(axis: number, start: number, size: Size): Layout | undefined {
    const at = axis < 0 ? axis + this.axes.length : axis
    const cut = this.axes[at]
    if (cut === undefined || typeof size !== 'number') return undefined
    // A part of an axis no channel depends on cannot be scaled without the rest of it.
    const index = positions(cut)
    return index && this.with(at, [{ size, index: index.map((i) => i + start) }])
  }

  /** Before one element `index` of an axis of `size` was taken, and the axis with it. */
  beforeTake(axis: number, index: number, size: Size, channels: number): Layout | undefined {
    const rank = this.axes.length + 1
    const at = axis < 0 ? axis + rank : axis
    if (typeof size !== 'number') return undefined
    const taken: Axis = [{ size, index: new Int32Array(channels).fill(index < 0 ? index + size : index) }]
    return new Layout([...this.axes.slice(0, at), taken, ...this.axes.slice(at)])
  }

  /** The right operand of a matrix product: rows are free, columns are the last axis. */
  beforeProduct(shape: readonly Size[]): Layout | undefined {
    const rows = this.axes.at(-2)
    if (rows === undefined || shape.length < 2 || rows.some(({ index }) => index)) return undefined
    const batch = new Layout(this.axes.slice(0, -2)).beforeBroadcast(shape.slice(0, -2))
    const last = this.axes.at(-1) as Axis
    if (!batch || sizeOf(last) !== shape.at(-1)) return undefined
    return new Layout([...batch.axes, [{ size: shape.at(-2) as Size }], last])
  }

  /** Where each channel is along the last axis, when it is nowhere else. */
  columns(): Int32Array | undefined {
    if (this.axes.slice(0, -1).some((axis) => axis.some(({ index }) => index))) return undefined
    const last = this.axes.at(-1)
    return last && positions(last)
  }

  private with(at: number, axis: Axis): Layout {
    return new Layout(this.axes.map((old, i) => (i === at ? axis : old)))
  }
}

/** Takes atoms off the front until they are an axis of that size; splits the one that is too large. */
function take(atoms: Atom[], size: Size): Axis | undefined {
  const axis: Atom[] = []
  let need = size
  while (need !== 1) {
    const atom = atoms.shift()
    if (!atom) return undefined
    const rest = divideSizes(need, atom.size)
    if (rest !== undefined) {
      axis.push(atom)
      need = rest
      continue
    }
    const inner = divideSizes(atom.size, need)
    if (inner === undefined || (atom.index && typeof inner !== 'number')) return undefined
    axis.push({ size: need, index: atom.index?.map((i) => Math.floor(i / (inner as number))) })
    atoms.unshift({ size: inner, index: atom.index?.map((i) => i % (inner as number)) })
    need = 1
  }
  return axis.length === 0 ? [{ size: 1 }] : axis
}

/** Index along the whole axis; undefined where a channel is at more than one place of it, or at no certain one. */
function positions(axis: Axis): Int32Array | undefined {
  let index: Int32Array | undefined
  for (const atom of axis) {
    if (atom.size === 1) continue
    if (!atom.index || typeof atom.size !== 'number') return undefined
    const { size } = atom
    const inner = atom.index
    index = index ? index.map((i, c) => i * size + (inner[c] as number)) : inner
  }
  return index
}

function sizeOf(axis: Axis): Size | undefined {
  const [first, ...rest] = axis
  if (!first) return 1
  let size: Size | undefined = first.size
  for (const atom of rest)
    size = typeof size === 'number' && typeof atom.size === 'number' ? size * atom.size : undefined
  return size
}
