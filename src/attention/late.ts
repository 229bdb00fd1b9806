import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { axisOf, labelAt, labelledProduct, recordOf } from '../ops/index.ts'

/** A division of a product of exponentials by their sum. */
export interface LateDivision {
  /** The nodes on the way from the exponentials to the divisor. */
  readonly nodes: readonly Node[]
  /** Whether every row is divided by its own sum and nothing else reads what changes when the division comes first. */
  readonly certain: boolean
}

interface Quotient {
  readonly node: Node
  readonly top: Value
  readonly exponentials: Value
  /** The axis that is summed. */
  readonly axis: number | undefined
}

const layout = new Set(['Cast', 'CastLike', 'Identity', 'Dropout', 'Transpose', 'Reshape', 'Squeeze', 'Unsqueeze'])
const sums = new Set([...layout, 'ReduceSum', 'ReduceL1', 'Add', 'Sum', 'Max', 'Clip', 'Reciprocal', 'Div', 'Pow'])
const longest = 12

/** Sees `(e · V) / Σ e`, which is `(e / Σ e) · V`; `undefined` where the dividend is no product of the exponentials. */
export function lateDivision(quotient: Quotient, facts: Facts): LateDivision | undefined {
  const { top, exponentials, axis } = quotient
  const inProduct = (node: Node): boolean => labelledProduct(node, facts) !== undefined
  const upper = wayBack(top, exponentials, (node) => layout.has(node.op) || inProduct(node))
  const products = upper?.filter(({ node }) => inProduct(node)) ?? []
  if (!upper || products.length !== 1) return undefined
  const [below] = quotient.node.inputs.filter((value) => value !== top)
  const lower = below && wayBack(below, exponentials, (node) => sums.has(node.op))
  const nodes = lower?.map(({ node }) => node) ?? []
  if (!lower || axis === undefined) return { nodes, certain: false }
  const alone = isAlone(exponentials, [...upper, ...lower, { node: quotient.node, port: 0 }])
  return { nodes, certain: alone && isAligned(exponentials, axis, upper, lower, facts) }
}

interface Via {
  readonly node: Node
  readonly port: number
}

/** The nodes between two values in dataflow order, through operators that may stand there. */
function wayBack(end: Value, start: Value, may: (node: Node) => boolean, left = longest): Via[] | undefined {
  if (end === start) return []
  const node = end.producer
  if (!node || left === 0 || !may(node)) return undefined
  for (const [port, input] of node.inputs.entries()) {
    const way = input && wayBack(input, start, may, left - 1)
    if (way) return [...way, { node, port }]
  }
  return undefined
}

/** Whether nothing but the given nodes reads a value or what they make of it. */
function isAlone(start: Value, ways: readonly Via[]): boolean {
  const nodes = new Set(ways.map(({ node }) => node))
  const last = ways.at(-1)?.node
  const values = [start, ...ways.filter(({ node }) => node !== last).map(({ node }) => node.output())]
  return values.every((value) => !value || (value.outputUses === 0 && value.uses.every(({ node }) => nodes.has(node))))
}

/** Whether every axis of the exponentials but the summed one is the same axis of dividend and divisor. */
function isAligned(start: Value, axis: number, upper: readonly Via[], lower: readonly Via[], facts: Facts): boolean {
  const rank = facts.rank(start)
  if (rank === undefined || followed(axis, upper, facts) !== undefined) return false
  const axes = Array.from({ length: rank }, (_, i) => i - rank).filter((at) => at !== axis)
  return axes.every((at) => {
    const [above, below] = [followed(at, upper, facts), followed(at, lower, facts)]
    return above !== undefined && above === below
  })
}

/** Where an axis is at the end of a way; `undefined` when it is summed over or cannot be told. */
function followed(axis: number, way: readonly Via[], facts: Facts): number | undefined {
  let at: number | undefined = axis
  for (const via of way) at = at === undefined ? undefined : behind(via, at, facts)
  return at
}

function behind({ node, port }: Via, axis: number, facts: Facts): number | undefined {
  const product = labelledProduct(node, facts)
  if (product) {
    const label = labelAt(product.operands.find((o) => o.port === port)?.labels ?? [], axis)
    return label === undefined ? undefined : axisOf(product.output, label)
  }
  const [place, ...more] = recordOf(node)?.axes?.forward(node, port, axis, facts) ?? []
  return place?.exact && more.length === 0 ? place.axis : undefined
}
