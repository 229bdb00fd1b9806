import type { Graph, Model, ModelFunction, Node, Value } from '../ir/index.ts'
import type { ContentChange } from './constants.ts'
import { constantTensorOf, contentChange } from './constants.ts'
import { attributeText, matchNodes } from './match.ts'

/** What became of a node. */
export interface NodeChange {
  /** In the second model; in the first one where it was removed. */
  readonly node: Node
  readonly kind: 'added' | 'removed' | 'changed'
  readonly details: readonly Detail[]
}

/** What is different about a node that both models have. */
export type Detail =
  | {
      readonly what: 'operator' | 'attribute' | 'input' | 'output'
      readonly name: string
      readonly before: string
      readonly after: string
    }
  | { readonly what: 'constant'; readonly name: string; readonly change: ContentChange }

/** What is different about a graph that both models have, or one of them. */
export interface GraphChange {
  /** `""` for the main graph, `node/attribute` for a nested one, `function:domain.name` for a body. */
  readonly graph: string
  readonly nodes: readonly NodeChange[]
  /** Inputs and outputs. */
  readonly interface: readonly string[]
  /** Nodes that are the same. */
  readonly same: number
}

export interface ModelDifference {
  /** Versions, opsets and functions, one sentence each. */
  readonly header: readonly string[]
  /** Graphs that differ. */
  readonly graphs: readonly GraphChange[]
}

/**
 * What is different between two models, node by node, in nested graphs and functions too. Nodes are the same by name, then
 * by structure; constants are compared by content, whatever they are called and however large.
 */
export function diffModels(a: Model, b: Model): ModelDifference {
  const graphs = [...diffGraphs('', a.graph, b.graph)]
  const nameOf = ({ domain, name }: ModelFunction) => `${domain === '' ? '' : `${domain}.`}${name}`
  const others = new Map(b.functions.map((fn) => [nameOf(fn), fn]))
  const header = [...headerChanges(a, b)]
  for (const fn of a.functions) {
    const other = others.get(nameOf(fn))
    others.delete(nameOf(fn))
    if (other === undefined) header.push(`function "${nameOf(fn)}" is gone`)
    else graphs.push(...diffGraphs(`function:${nameOf(fn)}`, fn.body, other.body))
  }
  for (const name of others.keys()) header.push(`function "${name}" is new`)
  return { header, graphs: graphs.filter((graph) => graph.nodes.length > 0 || graph.interface.length > 0) }
}

function* headerChanges(a: Model, b: Model): Generator<string> {
  if (a.irVersion !== b.irVersion) yield `IR version ${a.irVersion}, then ${b.irVersion}`
  for (const domain of new Set([...a.opsetImports.keys(), ...b.opsetImports.keys()])) {
    const [before, after] = [a.opsetImports.get(domain), b.opsetImports.get(domain)]
    if (before !== after)
      yield `opset ${domain === '' ? 'ai.onnx' : domain} ${before ?? 'none'}, then ${after ?? 'none'}`
  }
}

function* diffGraphs(name: string, a: Graph, b: Graph): Generator<GraphChange> {
  const pairs = matchNodes(a, b)
  const counterpart = new Map<Value, Value>()
  for (const [node, other] of pairs) {
    for (const [i, value] of node.outputs.entries()) {
      const same = other.output(i)
      if (value && same) counterpart.set(value, same)
    }
  }
  const before = new Map(Array.from(pairs, ([node, other]) => [other, node]))
  const nodes: NodeChange[] = [...a.nodes()]
    .filter((node) => !pairs.has(node) && node.op !== 'Constant')
    .map((node) => ({ node, kind: 'removed', details: [] }))
  let same = 0
  for (const node of b.nodes()) {
    const old = before.get(node)
    if (old === undefined) {
      if (node.op !== 'Constant') nodes.push({ node, kind: 'added', details: [] })
      continue
    }
    const details = [...nodeDetails(old, node, counterpart)]
    if (details.length > 0) nodes.push({ node, kind: 'changed', details })
    else same++
  }
  yield { graph: name, nodes, interface: [...interfaceChanges(a, b)], same }
  for (const [node, other] of pairs) {
    for (const [attribute, graph] of nestedOf(node)) {
      const inner = nestedOf(other).find(([same]) => same === attribute)?.[1]
      if (inner) yield* diffGraphs(`${name === '' ? '' : `${name}/`}${other.label}/${attribute}`, graph, inner)
    }
  }
}

function nestedOf(node: Node): (readonly [string, Graph])[] {
  return [...node.attributes].flatMap(([name, attribute]) => {
    if (attribute.kind === 'graph') return [[name, attribute.value] as const]
    if (attribute.kind === 'graphs') return attribute.value.map((graph, i) => [`${name}_${i}`, graph] as const)
    return []
  })
}

function* interfaceChanges(a: Graph, b: Graph): Generator<string> {
  const sides = [
    ['input', a.inputs, b.inputs],
    ['output', a.outputs, b.outputs],
  ] as const
  for (const [what, before, after] of sides) {
    const [names, others] = [before, after].map((values) => values.map(({ name }) => name)) as [string[], string[]]
    for (const name of names) if (!others.includes(name)) yield `${what} "${name}" is gone`
    for (const name of others) if (!names.includes(name)) yield `${what} "${name}" is new`
  }
}

function* nodeDetails(a: Node, b: Node, counterpart: ReadonlyMap<Value, Value>): Generator<Detail> {
  if (a.op !== b.op) yield { what: 'operator', name: 'operator', before: a.op, after: b.op }
  if (a.op !== 'Constant') yield* attributeDetails(a, b)
  for (let i = 0; i < Math.max(a.inputs.length, b.inputs.length); i++)
    yield* inputDetails(`input ${i}`, a.input(i), b.input(i), counterpart)
  for (const [i, value] of a.outputs.entries()) {
    const after = b.output(i)
    if (value?.name !== after?.name && (value?.outputUses || after?.outputUses))
      yield { what: 'output', name: `output ${i}`, ...names(value, after) }
  }
}

function* attributeDetails(a: Node, b: Node): Generator<Detail> {
  for (const name of new Set([...a.attributes.keys(), ...b.attributes.keys()])) {
    const [x, y] = [a.attributes.get(name), b.attributes.get(name)]
    if (x?.kind === 'tensor' && y?.kind === 'tensor') {
      const change = contentChange(x.value, y.value)
      if (change !== undefined) yield { what: 'constant', name, change }
    } else {
      const [before, after] = [x, y].map((attribute) => (attribute === undefined ? 'none' : attributeText(attribute)))
      if (before !== after) yield { what: 'attribute', name, before: before as string, after: after as string }
    }
  }
}

function* inputDetails(
  name: string,
  a: Value | undefined,
  b: Value | undefined,
  counterpart: ReadonlyMap<Value, Value>,
): Generator<Detail> {
  const [x, y] = [a && constantTensorOf(a), b && constantTensorOf(b)]
  if (x && y) {
    const change = contentChange(x, y)
    if (change !== undefined) yield { what: 'constant', name: `${name} "${b?.name}"`, change }
    return
  }
  const isSame =
    a === undefined || b === undefined
      ? a === b
      : counterpart.has(a)
        ? counterpart.get(a) === b
        : a.producer === undefined && b.producer === undefined && !x && !y && a.name === b.name
  if (!isSame) yield { what: 'input', name, ...names(a, b) }
}

function names(a: Value | undefined, b: Value | undefined): { before: string; after: string } {
  return { before: a?.name ?? 'none', after: b?.name ?? 'none' }
}
