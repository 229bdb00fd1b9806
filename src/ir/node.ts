import type { Attribute, Attributes } from './attribute.ts'
import type { Graph } from './graph.ts'
import type { Value } from './value.ts'

export interface NodeInit {
  readonly name?: string
  readonly opType: string
  readonly domain?: string
  readonly overload?: string
  /** A function is called once, with the node, when an attribute is first read. */
  readonly attributes?: Attributes | ((node: Node) => Attributes)
  /** Graphs held by attributes, known up front so that scopes can be walked without decoding attributes. */
  readonly subgraphs?: readonly Graph[]
  readonly docString?: string
  readonly metadata?: ReadonlyMap<string, string>
  readonly origin?: unknown
}

const empty: Attributes = new Map()
const noSubgraphs: readonly Graph[] = []
const noMetadata: ReadonlyMap<string, string> = new Map()

/** One operator application. Made by `Graph.insert` or the reader; inputs and outputs are set through methods only. */
export class Node {
  readonly graph: Graph
  readonly opType: string
  readonly domain: string
  readonly overload: string
  #name: string
  #attributes: Attributes | ((node: Node) => Attributes)
  #subgraphs: readonly Graph[]
  #inputs: (Value | undefined)[] = []
  #outputs: (Value | undefined)[] = []
  #docString: string
  #metadata: ReadonlyMap<string, string>
  /** Where the reader found the node; opaque to everybody but reader and writer. */
  readonly origin: unknown
  /** Whether the node itself changed since it was read (a change inside a nested graph does not count). */
  edited = false
  /** Neighbours in the order of the graph; changed by `Graph` only. */
  previous: Node | undefined
  next: Node | undefined
  /** Whether the node was taken out of its graph. */
  removed = false

  constructor(graph: Graph, init: NodeInit) {
    this.graph = graph
    this.#name = init.name ?? ''
    this.opType = init.opType
    // "ai.onnx" is the long name of the default domain.
    this.domain = init.domain === undefined || init.domain === 'ai.onnx' ? '' : init.domain
    this.overload = init.overload ?? ''
    this.#attributes = init.attributes ?? empty
    this.#subgraphs = init.subgraphs ?? noSubgraphs
    this.#docString = init.docString ?? ''
    this.#metadata = init.metadata ?? noMetadata
    this.origin = init.origin
    for (const graph of this.#subgraphs) graph.owner = this
  }

  get name(): string {
    return this.#name
  }

  set name(name: string) {
    this.#name = name
    this.touch()
  }

  /** Operator with its domain, as messages print it: `Softmax`, `com.microsoft::Attention`. */
  get op(): string {
    return this.domain === '' ? this.opType : `${this.domain}::${this.opType}`
  }

  /** How the node is called in messages: its name, or its operator and first output when it has none. */
  get label(): string {
    return this.#name !== '' ? this.#name : `${this.op}(${this.outputs.find((o) => o)?.name ?? ''})`
  }

  get docString(): string {
    return this.#docString
  }

  set docString(text: string) {
    this.#docString = text
    this.touch()
  }

  get metadata(): ReadonlyMap<string, string> {
    return this.#metadata
  }

  setMetadata(key: string, value: string): void {
    this.#metadata = new Map(this.#metadata).set(key, value)
    this.touch()
  }

  get attributes(): Attributes {
    if (typeof this.#attributes === 'function') this.#attributes = this.#attributes(this)
    return this.#attributes
  }

  /** Sets or (with `undefined`) removes an attribute. */
  setAttribute(name: string, attribute: Attribute | undefined): void {
    const next = new Map(this.attributes)
    if (attribute === undefined) next.delete(name)
    else next.set(name, attribute)
    this.#attributes = next
    this.#subgraphs = [...next.values()].flatMap((a) =>
      a.kind === 'graph' ? [a.value] : a.kind === 'graphs' ? a.value : [],
    )
    for (const graph of this.#subgraphs) graph.owner = this
    this.touch()
  }

  /** Nested graphs of If, Loop, Scan and the like. */
  get subgraphs(): readonly Graph[] {
    return this.#subgraphs
  }

  get inputs(): readonly (Value | undefined)[] {
    return this.#inputs
  }

  get outputs(): readonly (Value | undefined)[] {
    return this.#outputs
  }

  /** Input `index`, `undefined` when absent or omitted. */
  input(index: number): Value | undefined {
    return this.#inputs[index]
  }

  output(index = 0): Value | undefined {
    return this.#outputs[index]
  }

  /** Integer attribute as a number; `undefined` when absent or of another kind. */
  int(name: string): number | undefined {
    const a = this.attributes.get(name)
    return a?.kind === 'int' ? Number(a.value) : undefined
  }

  float(name: string): number | undefined {
    const a = this.attributes.get(name)
    return a?.kind === 'float' ? a.value : undefined
  }

  string(name: string): string | undefined {
    const a = this.attributes.get(name)
    return a?.kind === 'string' ? a.value : undefined
  }

  ints(name: string): readonly number[] | undefined {
    const a = this.attributes.get(name)
    return a?.kind === 'ints' ? a.value.map(Number) : undefined
  }

  /** Edge change 1 of 3. `undefined` omits an optional input; trailing omitted inputs are dropped. */
  setInput(index: number, value: Value | undefined): void {
    this.loadInput(index, value)
    while (this.#inputs.length > 0 && this.#inputs.at(-1) === undefined) this.#inputs.pop()
    this.touch()
  }

  /** `setInput` without marking an edit; for the reader. */
  loadInput(index: number, value: Value | undefined): void {
    while (this.#inputs.length <= index) this.#inputs.push(undefined)
    this.#inputs[index]?.removeUse(this, index)
    this.#inputs[index] = value
    value?.addUse(this, index)
  }

  /** Edge change 2 of 3. The value must have no other producer. */
  setOutput(index: number, value: Value | undefined): void {
    this.loadOutput(index, value)
    this.touch()
  }

  /** `setOutput` without marking an edit; for the reader. */
  loadOutput(index: number, value: Value | undefined): void {
    while (this.#outputs.length <= index) this.#outputs.push(undefined)
    const old = this.#outputs[index]
    if (old?.producer === this) old.producer = undefined
    this.#outputs[index] = value
    if (value) value.producer = this
  }

  /** Sets all inputs and outputs of a new node, without marking an edit; for `Graph`. */
  connect(inputs: readonly (Value | undefined)[], outputs: readonly (Value | undefined)[]): void {
    // Copies have no room to grow, which lists that were pushed to do: it adds up over all nodes.
    this.#inputs = inputs.slice()
    this.#outputs = outputs.slice()
    for (let i = 0; i < inputs.length; i++) inputs[i]?.addUse(this, i)
    for (const value of outputs) if (value) value.producer = this
  }

  /** Marks the node and everything that contains it as edited. */
  touch(): void {
    this.edited = true
    this.graph.touch()
  }
}
