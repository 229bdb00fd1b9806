/**
 * Columns appended to scores: the sink of gpt-oss, the zero column of a padded Softmax1, the zero key of `add_zero_attn`.
 *
 * The value of an appended column is computed from where it is appended down to the softmax, through scale, mask and bias.
 */
import type { Node, Tensor, Value } from '../ir/index.ts'
import { isFloat } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { axisOf, contractedLabels, labelAt, labelledProduct, padsOf, recordOf } from '../ops/index.ts'

export interface Column {
  readonly side: 'first' | 'last'
  readonly count: number | undefined
  /** One number for the whole column, one a head, or what is known instead: a parameter, or nothing. */
  readonly value: readonly number[] | 'parameter' | 'unknown'
  /** Nodes that append (one, or one for each operand that is extended). */
  readonly appended: readonly Node[]
  /** Whether a contraction stands between: the column is a key. */
  readonly isKey: boolean
}

const deepest = 64
/** Logits that masks fill with: their exponential is 0 beside any score that is not masked. */
const hidden = -1e4
/** Operators that move or repeat the elements of a constant. */
const moves = new Set([
  'Expand',
  'Cast',
  'CastLike',
  'Identity',
  'Reshape',
  'Unsqueeze',
  'Squeeze',
  'Transpose',
  'Tile',
  'Slice',
])
/** Tensors up to this size are read to see whether they are all zero. */
const largestFill = 1 << 16

/** The appended column of a value along a negative axis. */
export function columnOf(value: Value, axis: number, facts: Facts): Column | undefined {
  return new Columns(facts).of(value, axis, 0, true)
}

class Columns {
  readonly #facts: Facts

  constructor(facts: Facts) {
    this.#facts = facts
  }

  of(value: Value, axis: number, depth: number, mayContract: boolean): Column | undefined {
    const node = value.producer
    if (!node || depth > deepest) return undefined
    const inner = (port: number, at = axis): Column | undefined => {
      const input = node.input(port)
      return input && this.of(input, at, depth + 1, mayContract)
    }
    switch (node.op) {
      case 'Pad':
        return this.#padded(node, axis, inner)
      case 'Concat':
        return this.#joined(node, axis, inner)
      case 'Slice':
      case 'Split':
        return this.#facts.size(value, axis) === this.#sizeOf(node.input(0), axis) ? inner(0) : undefined
      case 'Neg':
        return map(inner(0), (x) => -x)
      case 'Tanh':
        return map(inner(0), Math.tanh)
      case 'Add':
      case 'Sub':
      case 'Mul':
      case 'Div':
      case 'Max':
      case 'Min':
        return this.#combined(node, axis, inner)
      case 'Where':
        return this.#chosen(node, axis, inner)
      default:
        return this.#through(node, value, axis, depth, mayContract)
    }
  }

  #sizeOf(value: Value | undefined, axis: number) {
    return value && this.#facts.size(value, axis)
  }

  #padded(node: Node, axis: number, inner: (port: number) => Column | undefined): Column | undefined {
    const rank = node.input(0) && this.#facts.rank(node.input(0) as Value)
    const pads = rank === undefined ? undefined : padsOf(node, this.#facts, rank)
    const pad = pads?.get(axis)
    if (!pad) return pads ? inner(0) : undefined
    const mode = node.string('mode') ?? 'constant'
    if (mode !== 'constant' || (pad.before > 0 && pad.after > 0) || pad.before < 0 || pad.after < 0) return undefined
    const fill = this.#facts.float(node, 'value') ?? (node.input(2) ? this.#facts.scalar(node.input(2)) : 0)
    const side = pad.before > 0 ? 'first' : 'last'
    return {
      side,
      count: pad.before + pad.after,
      value: fill === undefined ? 'unknown' : [fill],
      appended: [node],
      isKey: false,
    }
  }

  #joined(node: Node, axis: number, inner: (port: number) => Column | undefined): Column | undefined {
    const named = this.#facts.int(node, 'axis') ?? 0
    const rank = this.#facts.rank(node.output() as Value)
    const along = named < 0 ? named : rank === undefined ? undefined : named - rank
    if (along === undefined) return undefined
    if (along !== axis) return merged(node.inputs.map((_, port) => inner(port)))
    const all = node.inputs.map((v) => v !== undefined && this.#facts.isConstant(v))
    // Of parts that are all constant (a mask of zeros is one), the column is the one that is one wide.
    const constant = all.every(Boolean) ? node.inputs.map((v) => this.#sizeOf(v, axis) === 1) : all
    const last = constant.length - 1
    if (constant.filter(Boolean).length !== 1 || (!constant[0] && !constant[last])) return undefined
    const side = constant[0] ? 'first' : 'last'
    const part = node.input(side === 'first' ? 0 : last) as Value
    const count = this.#facts.size(part, axis)
    const fill = this.fillOf(part)
    const value = fill === undefined ? (this.#numbersOf(part) ?? 'parameter') : [fill]
    return { side, count: typeof count === 'number' ? count : undefined, value, appended: [node], isKey: false }
  }

  /** The numbers of a small constant, also where it is repeated along other axes. */
  #numbersOf(value: Value): number[] | undefined {
    const numbers = this.#facts.numbers(value)
    const node = value.producer
    if (numbers || !node || !moves.has(node.op)) return numbers
    return node.input(0) && this.#numbersOf(node.input(0) as Value)
  }

  /** The one number a constant is filled with. */
  fillOf(value: Value): number | undefined {
    const content = this.#facts.numbers(value)
    if (content && content.length > 0) return content.every((x) => x === content[0]) ? content[0] : undefined
    const stored = tensorOf(value)
    if (stored) return uniform(stored)
    const node = value.producer
    if (node?.op === 'ConstantOfShape') {
      const fill = node.attributes.get('value')
      return fill?.kind === 'tensor' ? this.#facts.contentOf(fill.value)?.[0] : 0
    }
    return node && moves.has(node.op) && node.input(0) ? this.fillOf(node.input(0) as Value) : undefined
  }

  #combined(node: Node, axis: number, inner: (port: number) => Column | undefined): Column | undefined {
    const columns = [inner(0), inner(1)] as const
    const column = columns[0] ?? columns[1]
    if (!column) return undefined
    const [a, b] = [0, 1].map((port) => columns[port]?.value ?? this.#plainValue(node, port, axis, column))
    if (a === undefined || b === undefined) return undefined
    // A row maximum is taken off every column alike and softmax does not see it.
    const shift = node.op === 'Sub' && columns[1] === undefined && isRowMaximum(node.input(1))
    const value = shift ? a : combine(node.op, a, b)
    return {
      ...column,
      value,
      appended: columns.flatMap((c) => c?.appended ?? []),
      isKey: columns.some((c) => c?.isKey),
    }
  }

  /** What an operand that was not extended holds in the column: itself where it broadcasts, else its stored last column. */
  #plainValue(node: Node, port: number, axis: number, column: Column): Column['value'] | undefined {
    const value = node.input(port)
    if (!value) return undefined
    const fill = this.#facts.isConstant(value) ? this.fillOf(value) : undefined
    if (fill !== undefined) return [fill]
    const tensor = tensorOf(value)
    if (tensor && isFloat(tensor.dtype)) return storedColumn(tensor, axis, column.side) ?? 'unknown'
    return 'unknown'
  }

  #chosen(node: Node, axis: number, inner: (port: number) => Column | undefined): Column | undefined {
    const branches = [inner(1), inner(2)] as const
    const column = branches[0] ?? branches[1]
    if (!column) return undefined
    const condition = inner(0)
    const [a, b] = [1, 2].map((port) => branches[port - 1]?.value ?? this.#plainValue(node, port, axis, column))
    const choice = condition && Array.isArray(condition.value) ? (condition.value[0] as number) : undefined
    const value = choice === undefined ? 'unknown' : ((choice === 0 ? b : a) ?? 'unknown')
    return { ...column, value }
  }

  #through(node: Node, value: Value, axis: number, depth: number, mayContract: boolean): Column | undefined {
    const product = labelledProduct(node, this.#facts)
    if (product) {
      const label = labelAt(product.output, axis)
      const owners = product.operands.filter((o) => label !== undefined && o.labels.includes(label))
      const [own] = owners
      if (!mayContract || owners.length !== 1 || !own || label === undefined || contractedLabels(product).length === 0)
        return undefined
      const at = axisOf(own.labels, label) as number
      const column = this.of(own.value, at, depth + 1, false)
      // Only a zero key gives a score that is known; any other extra key is a key like the others.
      if (column) return isZero(column.value) ? { ...column, value: [0], isKey: true } : undefined
      // A product with constants mixes heads, and a mix of zeros is 0.
      const mixes = product.operands.every((o) => o === own || this.#facts.isConstant(o.value))
      const mixed = mixes ? this.of(own.value, at, depth + 1, mayContract) : undefined
      return mixed && isZero(mixed.value) ? mixed : undefined
    }
    const record = recordOf(node)
    if (record?.passage !== 'layout' && record?.passage !== 'arithmetic') return undefined
    const [place, ...more] = record.axes?.back(node, node.outputs.indexOf(value), axis, this.#facts) ?? []
    const input = place && node.input(place.port)
    if (!place?.exact || !input || more.length > 0) return undefined
    return this.of(input, place.axis, depth + 1, mayContract)
  }
}

/** Whether a mask hides the column, so that it is no sink. */
export function isHidden(value: Column['value']): boolean {
  return Array.isArray(value) && value.every((logit) => logit <= hidden)
}

export function isZero(value: Column['value']): boolean {
  return Array.isArray(value) && value.every((x) => x === 0)
}

function map(column: Column | undefined, f: (x: number) => number): Column | undefined {
  return column && (Array.isArray(column.value) ? { ...column, value: column.value.map(f) } : column)
}

function combine(op: string, a: Column['value'], b: Column['value']): Column['value'] {
  if ((op === 'Mul' && (isZero(a) || isZero(b))) || (op === 'Div' && isZero(a))) return [0]
  if (!Array.isArray(a) || !Array.isArray(b)) return a === 'parameter' || b === 'parameter' ? 'parameter' : 'unknown'
  const x = a as readonly number[]
  const y = b as readonly number[]
  if (x.length !== y.length && x.length !== 1 && y.length !== 1) return 'unknown'
  const f = operations[op] as (p: number, q: number) => number
  return Array.from({ length: Math.max(x.length, y.length) }, (_, i) =>
    f(x[x.length === 1 ? 0 : i] as number, y[y.length === 1 ? 0 : i] as number),
  )
}

const operations: Record<string, (a: number, b: number) => number> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Max: Math.max,
  Min: Math.min,
}

/** All operands of a Concat over another axis are extended, all by zeros. */
function merged(columns: readonly (Column | undefined)[]): Column | undefined {
  const [column] = columns
  return column && columns.every((c) => c?.side === column.side && isZero(c.value)) ? column : undefined
}

function isRowMaximum(value: Value | undefined): boolean {
  return value?.producer?.op === 'ReduceMax'
}

/** The data of an initializer or a Constant node. */
function tensorOf(value: Value): Tensor | undefined {
  const data = value.producer?.op === 'Constant' ? value.producer.attributes.get('value') : undefined
  return value.initializer ?? (data?.kind === 'tensor' ? data.value : undefined)
}

function uniform(tensor: Tensor): number | undefined {
  if (tensor.size === 0 || tensor.size > largestFill || tensor.payload === undefined || !isFloat(tensor.dtype))
    return undefined
  const [first, ...rest] = tensor.toNumbers()
  return rest.every((x) => x === first) ? first : undefined
}

/** The first or last column of a stored mask: one number where all rows agree, one a head where heads differ. */
function storedColumn(tensor: Tensor, axis: number, side: Column['side']): number[] | undefined {
  const at = tensor.dims.length + axis
  const size = tensor.dims[at]
  if (size === undefined || size === 1 || tensor.size > 1 << 22 || tensor.payload === undefined) return undefined
  const inner = tensor.dims.slice(at + 1).reduce((a, b) => a * b, 1)
  const numbers = tensor.toNumbers(1 << 22)
  const column = numbers.filter((_, i) => Math.floor(i / inner) % size === (side === 'first' ? 0 : size - 1))
  if (column.every((x) => x === column[0])) return column.slice(0, 1)
  const heads = tensor.dims.at(-3) ?? 1
  const rows = column.length / heads
  const perHead = Array.from({ length: heads }, (_, h) => column[h * rows] as number)
  return column.every((x, i) => x === perHead[Math.floor(i / rows) % heads]) ? perHead : undefined
}
