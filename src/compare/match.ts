import type { Attribute, Graph, Node, Value } from '../ir/index.ts'
import { dtypeName } from '../ir/index.ts'
import { constantTensorOf, digestOf } from './constants.ts'

/**
 * Which node of one graph is which of another: by the names of node and output, then by what they read, and by what reads
 * them, again and again until nothing more is found. Nodes of different operators are a pair only by their name.
 */
export function matchNodes(a: Graph, b: Graph): ReadonlyMap<Node, Node> {
  const matching = new Matching(a, b)
  matching.byKey((node) => (node.name === '' ? undefined : `${node.op} ${node.name} ${firstOutput(node)}`))
  matching.byKey((node) => `${node.op} ${firstOutput(node)}`)
  matching.byKey((node) => (node.name === '' ? undefined : `${node.op} ${node.name}`))
  while (matching.byInputs() + matching.byReaders() > 0);
  matching.byKey((node) => (node.name === '' ? undefined : node.name))
  matching.byKey(firstOutput)
  return matching.pairs
}

function firstOutput(node: Node): string {
  return node.outputs.find((value) => value !== undefined)?.name ?? ''
}

class Matching {
  readonly pairs = new Map<Node, Node>()
  readonly #a: readonly Node[]
  readonly #b: readonly Node[]
  readonly #taken = new Set<Node>()
  /** A number for each pair, by either of its nodes. */
  readonly #ids = new Map<Node, number>()
  readonly #constants = new Map<Value, string>()

  constructor(a: Graph, b: Graph) {
    this.#a = [...a.nodes()]
    this.#b = [...b.nodes()]
  }

  /** Pairs nodes whose key only one node of each graph has. */
  byKey(keyOf: (node: Node) => string | undefined): number {
    const others = grouped(this.#openB(), keyOf)
    let found = 0
    for (const [key, nodes] of grouped(this.#openA(), keyOf)) {
      const candidates = others.get(key)
      if (nodes.length === 1 && candidates?.length === 1) found += this.#pair(nodes[0] as Node, candidates[0] as Node)
    }
    return found
  }

  /** Pairs nodes that do the same with the same: in order, where there are several. */
  byInputs(): number {
    const keyOf = (node: Node) => this.#structure(node)
    const others = grouped(this.#openB(), keyOf)
    let found = 0
    for (const [key, nodes] of grouped(this.#openA(), keyOf)) {
      const candidates = others.get(key) ?? []
      if (candidates.length !== nodes.length) continue
      for (const [i, node] of nodes.entries()) found += this.#pair(node, candidates[i] as Node)
    }
    return found
  }

  /** Pairs nodes of one operator that a pair of nodes reads in the same place. */
  byReaders(): number {
    let found = 0
    // Pairs that are added on the way are visited too.
    for (const [node, other] of this.pairs) {
      for (const [i, value] of node.inputs.entries()) {
        const [p, q] = [value?.producer, other.input(i)?.producer]
        if (!p || !q || p.op !== q.op || this.pairs.has(p) || this.#taken.has(q)) continue
        if (p.graph === node.graph && q.graph === other.graph && attributesKey(p) === attributesKey(q))
          found += this.#pair(p, q)
      }
    }
    return found
  }

  #openA(): readonly Node[] {
    return this.#a.filter((node) => !this.pairs.has(node))
  }

  #openB(): readonly Node[] {
    return this.#b.filter((node) => !this.#taken.has(node))
  }

  #pair(a: Node, b: Node): number {
    const id = this.pairs.size
    this.pairs.set(a, b)
    this.#taken.add(b)
    this.#ids.set(a, id)
    this.#ids.set(b, id)
    return 1
  }

  /** What a node does, and with what; undefined while it is not known of all it reads which value that is. */
  #structure(node: Node): string | undefined {
    const inputs = node.inputs.map((value) => (value === undefined ? '-' : this.#identity(value)))
    return inputs.includes(undefined) ? undefined : `${node.op} ${attributesKey(node)} ${inputs.join(' ')}`
  }

  #identity(value: Value): string | undefined {
    const known = this.#constants.get(value)
    if (known !== undefined) return known
    const tensor = constantTensorOf(value)
    if (tensor !== undefined) {
      const digest = `constant:${digestOf(tensor)}`
      this.#constants.set(value, digest)
      return digest
    }
    const { producer } = value
    if (producer === undefined) return `input:${value.name}`
    const id = this.#ids.get(producer)
    return id === undefined ? undefined : `${id}:${producer.outputs.indexOf(value)}`
  }
}

function grouped(nodes: Iterable<Node>, keyOf: (node: Node) => string | undefined): Map<string, Node[]> {
  const groups = new Map<string, Node[]>()
  for (const node of nodes) {
    const key = keyOf(node)
    if (key === undefined) continue
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [node])
    else group.push(node)
  }
  return groups
}

function attributesKey(node: Node): string {
  const words = Array.from(node.attributes, ([name, attribute]) => {
    const digest = attribute.kind === 'tensor' ? digestOf(attribute.value) : ''
    return `${name}=${attributeText(attribute)}${digest}`
  })
  return words.sort().join()
}

/** An attribute as it is printed: tensors by type and shape, graphs as such. */
export function attributeText(attribute: Attribute): string {
  switch (attribute.kind) {
    case 'int':
    case 'float':
      return String(attribute.value)
    case 'string':
      return JSON.stringify(attribute.value)
    case 'ints':
    case 'floats':
      return `[${attribute.value.join(', ')}]`
    case 'strings':
      return `[${attribute.value.map((text) => JSON.stringify(text)).join(', ')}]`
    case 'tensor':
      return `${dtypeName(attribute.value.dtype) ?? attribute.value.dtype}[${attribute.value.dims.join(', ')}]`
    case 'ref':
      return `@${attribute.name}`
    default:
      return attribute.kind
  }
}
