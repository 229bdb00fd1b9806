import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { axisOf, contractedLabels, labelAt, labelledProduct, recordOf } from '../ops/index.ts'

const farthest = 64
const ancestry = 400
const combining = new Set(['Add', 'Sub', 'Mul', 'Div', 'Sum', 'Max', 'Min', 'Concat'])

interface Place {
  readonly value: Value
  readonly axis: number
  /** Projections that may still be passed. */
  readonly projections: number
}

/**
 * The node where what lies along an axis meets data that does not: scores of keys against queries that are no product of the
 * two (additive, of a graph network, by distance), or one that was reduced since. Statistics of the keys themselves, numbers
 * and constants are no queries. `products`: whether a product of data counts, which else is a context of another attention.
 */
export function pairingOf(value: Value, axis: number, facts: Facts, products = true): Node | undefined {
  const seen = new Set<Value>()
  const open: Place[] = [{ value, axis, projections: 1 }]
  for (let place = open.shift(); place; place = open.shift()) {
    const at = place
    const node = at.value.producer
    if (!node || seen.has(at.value) || seen.size > farthest) continue
    seen.add(at.value)
    const product = labelledProduct(node, facts)
    if (product) {
      const label = labelAt(product.output, at.axis)
      const owners = product.operands.filter((o) => label !== undefined && o.labels.includes(label))
      const [own] = owners
      if (!own || label === undefined) continue
      if (owners.length > 1)
        open.push(...owners.map((o) => ({ ...at, value: o.value, axis: axisOf(o.labels, label) as number })))
      if (owners.length > 1 || contractedLabels(product).length === 0) continue
      const others = product.operands.filter((o) => o !== own)
      if (products && others.every((o) => isQuery(o.value, own.value, facts))) return node
      if (at.projections > 0 && others.every((o) => facts.isConstant(o.value)))
        open.push({ value: own.value, axis: axisOf(own.labels, label) as number, projections: at.projections - 1 })
      continue
    }
    if (meetsQuery(node, at, facts)) return node
    open.push(...behind(node, at, facts))
  }
  return undefined
}

function behind(node: Node, { value, axis, projections }: Place, facts: Facts): Place[] {
  const places = recordOf(node)?.axes?.back(node, node.outputs.indexOf(value), axis, facts) ?? []
  return places.flatMap((place) => {
    const input = node.input(place.port)
    return input && !facts.isConstant(input) ? [{ value: input, axis: place.axis, projections }] : []
  })
}

/** Whether a node combines something that has the axis with a query that has not. */
function meetsQuery(node: Node, { value, axis }: Place, facts: Facts): boolean {
  if (!combining.has(node.op)) return false
  const places = recordOf(node)?.axes?.back(node, node.outputs.indexOf(value), axis, facts) ?? []
  const spanning = new Set(
    places.flatMap(({ port, axis: at }) => {
      const input = node.input(port)
      return input && !facts.isConstant(input) && isOwn(input, at, facts) ? [input] : []
    }),
  )
  const [key] = spanning
  return key !== undefined && node.inputs.some((v) => v && !spanning.has(v) && isQuery(v, key, facts))
}

/** Whether a value has the axis itself instead of being repeated along it. */
function isOwn(value: Value, axis: number, facts: Facts): boolean {
  let [at, along] = [value, axis]
  for (let node = at.producer; node && recordOf(node)?.passage === 'layout'; node = at.producer) {
    const [place, ...more] = recordOf(node)?.axes?.back(node, node.outputs.indexOf(at), along, facts) ?? []
    if (!place) return false
    const input = node.input(place.port)
    if (!input || more.length > 0) return true
    at = input
    along = place.axis
  }
  return true
}

/** Whether a value is data of more than one number that was not computed from the keys beside it. */
function isQuery(value: Value, key: Value, facts: Facts): boolean {
  const shape = facts.shape(value)
  if (facts.isConstant(value) || !shape || shape.every((size) => size === 1)) return false
  const seen = new Set<Value>()
  const open = [value]
  for (let at = open.pop(); at && seen.size < ancestry; at = open.pop()) {
    if (at === key) return false
    if (seen.has(at)) continue
    seen.add(at)
    open.push(...(at.producer?.inputs ?? []).filter((input) => input !== undefined))
  }
  return true
}
