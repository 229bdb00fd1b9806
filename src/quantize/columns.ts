import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { sliceBounds } from '../ops/index.ts'
import { Layout } from './layout.ts'
import type { WeightProduct } from './products.ts'

/** The product whose columns the channels of a value are, with nothing between that a factor by channel cannot pass. */
export interface ColumnSource {
  readonly product: WeightProduct
  /** Column of the weight for each channel; several channels may share one, where heads are repeated. */
  readonly columns: Int32Array
}

/**
 * Follows the channels of a value back to the weight they come from: through the attention core to the value projection,
 * through a gate to the up projection, through ReLU.
 *
 * Undefined where a value on the way is read by anybody else, or where an operator is not linear by channel.
 */
export function columnsBehind(
  value: Value,
  readers: ReadonlySet<Node>,
  products: ReadonlyMap<Node, WeightProduct>,
  facts: Facts,
): ColumnSource | undefined {
  const shape = facts.shape(value)
  const layout = shape && Layout.ofLast(shape)
  return layout && new Walk(products, facts, shape.at(-1) as number).from(value, readers, layout)
}

/**
 * Where the channels of a value lie in another, `at`, that it is made of by moving elements and what a factor by channel
 * passes; undefined as in {@link columnsBehind}.
 */
export function layoutAt(value: Value, readers: ReadonlySet<Node>, at: Value, facts: Facts): Layout | undefined {
  const shape = facts.shape(value)
  const layout = shape && Layout.ofLast(shape)
  return layout && new Walk(new Map(), facts, shape.at(-1) as number).until(at, value, readers, layout)
}

/** {@link columnsBehind} for channels that lie along more axes than the last; there are `channels` of them. */
export function columnsOf(
  value: Value,
  readers: ReadonlySet<Node>,
  { layout, channels }: { readonly layout: Layout; readonly channels: number },
  products: ReadonlyMap<Node, WeightProduct>,
  facts: Facts,
): ColumnSource | undefined {
  return new Walk(products, facts, channels).from(value, readers, layout)
}

interface Step {
  readonly value: Value
  readonly layout: Layout
  /** Other nodes that may read the value: they read other channels of it. */
  readonly siblings?: readonly Node[]
}

class Walk {
  readonly #products: ReadonlyMap<Node, WeightProduct>
  readonly #facts: Facts
  readonly #channels: number

  constructor(products: ReadonlyMap<Node, WeightProduct>, facts: Facts, channels: number) {
    this.#products = products
    this.#facts = facts
    this.#channels = channels
  }

  from(value: Value, readers: ReadonlySet<Node>, layout: Layout): ColumnSource | undefined {
    if (!isPrivate(value, readers)) return undefined
    const node = value.producer
    if (!node) return undefined
    const product = this.#products.get(node) ?? this.#biased(node)
    if (product) {
      const columns = layout.columns()
      return columns && { product, columns }
    }
    for (const step of this.#before(node, value, layout)) {
      const found = this.from(step.value, new Set([node, ...(step.siblings ?? [])]), step.layout)
      if (found) return found
    }
    return undefined
  }

  /** The layout at a value on the way. */
  until(at: Value, value: Value, readers: ReadonlySet<Node>, layout: Layout): Layout | undefined {
    if (!isPrivate(value, readers)) return undefined
    if (value === at) return layout
    const node = value.producer
    if (!node) return undefined
    for (const step of this.#before(node, value, layout)) {
      const found = this.until(at, step.value, new Set([node, ...(step.siblings ?? [])]), step.layout)
      if (found) return found
    }
    return undefined
  }

  /** The product an Add is the bias of. */
  #biased(node: Node): WeightProduct | undefined {
    if (node.op !== 'Add') return undefined
    for (const input of node.inputs) {
      const product = input?.producer && this.#products.get(input.producer)
      if (product?.bias?.node === node) return product
    }
    return undefined
  }

  /** Values the channels come from, as far as a factor by channel may be moved there. */
  #before(node: Node, value: Value, layout: Layout): Step[] {
    const facts = this.#facts
    const source = node.input(0)
    if (!source) return []
    const shape = facts.shape(source)
    const step = (layout: Layout | undefined, at = source, siblings: readonly Node[] = []): Step[] =>
      layout ? [{ value: at, layout, siblings }] : []
    switch (node.op) {
      case 'Identity':
      case 'Relu':
      case 'LeakyRelu':
      case 'Dropout':
        return node.output(0) === value ? step(layout) : []
      case 'Transpose': {
        const perm = facts.ints(node, 'perm') ?? shape?.map((_, i) => shape.length - 1 - i)
        return step(perm && layout.beforeTranspose(perm))
      }
      case 'Reshape':
      case 'Flatten':
      case 'Squeeze':
      case 'Unsqueeze':
        return step(shape && layout.beforeReshape(shape))
      case 'Expand':
        return step(shape && layout.beforeBroadcast(shape))
      case 'Mul':
        return this.#factors(node, layout)
      case 'MatMul': {
        const right = node.input(1)
        const rightShape = right && facts.shape(right)
        return rightShape ? step(layout.beforeProduct(rightShape), right) : []
      }
      case 'Split':
        return this.#split(node, value, layout)
      case 'Slice':
        return this.#slice(node, layout)
      case 'Gather':
        return this.#take(node, layout)
      default:
        return []
    }
  }

  /** Either factor may be scaled in the place of both. */
  #factors(node: Node, layout: Layout): Step[] {
    return node.inputs.flatMap((value) => {
      const shape = value && !this.#facts.isConstant(value) ? this.#facts.shape(value) : undefined
      const before = shape && shape.length === layout.axes.length ? layout.beforeBroadcast(shape) : undefined
      return value && before ? [{ value, layout: before }] : []
    })
  }

  #split(node: Node, value: Value, layout: Layout): Step[] {
    const source = node.input(0) as Value
    const axis = this.#facts.int(node, 'axis') ?? 0
    const sizes = node.outputs.map((part) => part && this.#facts.size(part, toNegative(axis, layout)))
    const at = node.outputs.indexOf(value)
    const start = sizes.slice(0, at).reduce<number>((sum, n) => sum + (typeof n === 'number' ? n : Number.NaN), 0)
    const size = this.#facts.size(source, toNegative(axis, layout))
    if (Number.isNaN(start) || size === undefined) return []
    const before = layout.beforeCut(axis, start, size)
    return before ? [{ value: source, layout: before }] : []
  }

  #slice(node: Node, layout: Layout): Step[] {
    const source = node.input(0) as Value
    const own = this.#bounds(node, layout)
    const siblings = source.consumers.filter((other) => other !== node && other.op === 'Slice')
    if (!own || siblings.some((other) => !apart(own, this.#bounds(other, layout)))) return []
    const before = layout.beforeCut(own.axis, own.start, own.size)
    return before ? [{ value: source, layout: before, siblings }] : []
  }

  /** Start and end of a slice of step 1 along one axis of known size. */
  #bounds(node: Node, layout: Layout): Cut | undefined {
    const [slice, ...more] = sliceBounds(node, this.#facts) ?? []
    if (!slice || more.length > 0 || slice.step !== 1) return undefined
    const axis = toNegative(slice.axis, layout)
    const size = this.#facts.size(node.input(0) as Value, axis)
    if (typeof size !== 'number' || typeof slice.start !== 'number' || typeof slice.end !== 'number') return undefined
    const place = (i: number) => Math.min(size, i < 0 ? Math.max(0, i + size) : i)
    return { axis, size, start: place(slice.start), end: place(slice.end) }
  }

  #take(node: Node, layout: Layout): Step[] {
    const source = node.input(0) as Value
    const own = this.#taken(node)
    const siblings = source.consumers.filter((other) => other !== node && other.op === 'Gather')
    const others = siblings.map((other) => this.#taken(other))
    if (!own || others.some((other) => other?.axis !== own.axis || other.index === own.index)) return []
    const before = layout.beforeTake(own.axis, own.index, own.size, this.#channels)
    return before ? [{ value: source, layout: before, siblings }] : []
  }

  /** A Gather of one element, which takes its axis away. */
  #taken(node: Node): { axis: number; index: number; size: number } | undefined {
    const [source, indices] = [node.input(0) as Value, node.input(1)]
    const rank = this.#facts.rank(source)
    const index = this.#facts.scalar(indices)
    if (rank === undefined || index === undefined || !indices || this.#facts.rank(indices) !== 0) return undefined
    const axis = this.#facts.int(node, 'axis') ?? 0
    const size = this.#facts.size(source, axis < 0 ? axis : axis - rank)
    if (typeof size !== 'number') return undefined
    return { axis: axis < 0 ? axis + rank : axis, index: index < 0 ? index + size : index, size }
  }
}

interface Cut {
  readonly axis: number
  readonly size: number
  readonly start: number
  readonly end: number
}

function apart(a: Cut, b: Cut | undefined): boolean {
  return b !== undefined && a.axis === b.axis && (b.end <= a.start || b.start >= a.end)
}

function toNegative(axis: number, layout: Layout): number {
  return axis < 0 ? axis : axis - layout.axes.length
}

/** Whether only these nodes, and nodes that ask for the shape, read the value. */
export function isPrivate(value: Value, readers: ReadonlySet<Node>): boolean {
  if (value.outputUses > 0 || value.isInput) return false
  return value.consumers.every((node) => readers.has(node) || node.op === 'Shape')
}
