import { bug } from '../errors.ts'
import type { Model, ModelFunction } from './model.ts'
import type { NodeInit } from './node.ts'
import { Node } from './node.ts'
import type { Tensor } from './tensor.ts'
import type { ValueType } from './value.ts'
import { Value } from './value.ts'

/**
 * Inputs, outputs and nodes in file order. A nested graph has an `owner` node and sees the values of the graphs around it.
 * The body of a model-local function is a graph too: `owner` is the function.
 */
export class Graph {
  name = ''
  docString = ''
  #owner: Node | ModelFunction | Model | undefined
  readonly inputs: Value[] = []
  readonly #outputs: Value[] = []
  readonly #values = new Map<string, Value>()
  #first: Node | undefined
  #last: Node | undefined
  #size = 0
  /** Where the reader found the graph; opaque to everybody but reader and writer. */
  origin: unknown
  /** Whether anything in the graph, nested graphs included, changed since it was read. */
  edited = false
  #counter = 0
  /** Of an outermost graph: how many graphs of its tree have a value of a name. Counted when first asked for. */
  #names: Map<string, number> | undefined

  /** The node whose attribute holds the graph, the function whose body it is, or the model whose main graph it is. */
  get owner(): Node | ModelFunction | Model | undefined {
    return this.#owner
  }

  set owner(owner: Node | ModelFunction | Model | undefined) {
    this.outermost().#names = undefined
    this.#owner = owner
    this.outermost().#names = undefined
  }

  /** The enclosing graph, when this one is nested in a node of it. */
  get parent(): Graph | undefined {
    return this.#owner instanceof Node ? this.#owner.graph : undefined
  }

  get nodeCount(): number {
    return this.#size
  }

  /** Nodes in order. Safe while nodes are inserted or removed: sees insertions after the current node. */
  *nodes(): Generator<Node> {
    let node = this.#first
    while (node) {
      const current = node
      yield current
      node = current.next
      // A removed node keeps its `next`, so the walk goes on behind it; skip followers removed meanwhile.
      while (node?.removed) node = node.next
    }
  }

  /** This graph and all graphs nested in its nodes, outermost first. */
  *withNested(): Generator<Graph> {
    yield this
    for (const node of this.nodes()) for (const graph of node.subgraphs) yield* graph.withNested()
  }

  get outputs(): readonly Value[] {
    return this.#outputs
  }

  /** Edge change 3 of 3. */
  setOutput(index: number, value: Value): void {
    this.loadOutput(index, value)
    this.touch()
  }

  /** Gives out these values instead of those it did. */
  setOutputs(values: readonly Value[]): void {
    for (const value of this.#outputs.splice(0)) value.outputUses--
    for (const value of values) this.loadOutput(this.#outputs.length, value)
    this.touch()
  }

  /** `setOutput` without marking an edit; for the reader. */
  loadOutput(index: number, value: Value): void {
    const old = this.#outputs[index]
    if (old) old.outputUses--
    this.#outputs[index] = value
    value.outputUses++
  }

  /** Values defined in this graph, by name. */
  get values(): ReadonlyMap<string, Value> {
    return this.#values
  }

  /** The value a name means here: own values first, then the enclosing graphs (ONNX lexical scoping). */
  resolve(name: string): Value | undefined {
    return this.#values.get(name) ?? this.parent?.resolve(name)
  }

  /** The value of that name in this graph, made when missing. Does not mark an edit. */
  value(name: string): Value {
    const found = this.#values.get(name)
    if (found) return found
    const value = new Value(this, name)
    this.#values.set(name, value)
    const names = this.outermost().#names
    names?.set(name, (names.get(name) ?? 0) + 1)
    return value
  }

  /** A new value with a name nobody in scope (outer and nested graphs included) uses. */
  newValue(hint: string, type?: ValueType): Value {
    const value = this.value(this.freeName(hint))
    if (type) value.type = type
    return value
  }

  /** `hint`, or `hint_1`, `hint_2`, … when the name is taken anywhere in the model this graph is part of. */
  freeName(hint: string): string {
    const names = this.outermost().#countNames()
    const taken = (name: string): boolean => (names.get(name) ?? 0) > 0
    if (!taken(hint)) return hint
    for (;;) {
      const name = `${hint}_${++this.#counter}`
      if (!taken(name)) return name
    }
  }

  #countNames(): Map<string, number> {
    if (this.#names) return this.#names
    const names = new Map<string, number>()
    for (const graph of this.withNested()) {
      for (const name of graph.#values.keys()) names.set(name, (names.get(name) ?? 0) + 1)
    }
    this.#names = names
    return names
  }

  /** The main graph or function body this graph is nested in; itself when not nested. */
  outermost(): Graph {
    let graph: Graph = this
    while (graph.parent) graph = graph.parent
    return graph
  }

  /** Adds an input. `loadInput` semantics: no edit is marked, call {@link touch} when editing. */
  addInput(value: Value): void {
    value.isInput = true
    this.inputs.push(value)
  }

  /** A new initializer with a free name. */
  addInitializer(hint: string, tensor: Tensor): Value {
    const value = this.newValue(hint)
    value.initializer = tensor.named(value.name)
    return value
  }

  /** Removes the definition of a value nobody uses any more (an initializer or the output of a removed node). */
  removeValue(value: Value): void {
    if (value.isUsed) throw bug(`value "${value.name}" is removed while in use`, { value: value.name })
    if (this.#values.delete(value.name)) {
      const names = this.outermost().#names
      names?.set(value.name, (names.get(value.name) ?? 1) - 1)
    }
    this.touch()
  }

  /** Appends a node as read from a file; marks no edit. */
  load(init: NodeInit, inputs: readonly (Value | undefined)[], outputs: readonly (Value | undefined)[]): Node {
    const node = new Node(this, init)
    node.connect(inputs, outputs)
    this.#link(node, undefined)
    return node
  }

  /** Inserts a new node before `before`, at the end when `undefined`. */
  insert(
    init: NodeInit,
    inputs: readonly (Value | undefined)[],
    outputs: readonly (Value | undefined)[],
    before: Node | undefined,
  ): Node {
    const node = new Node(this, init)
    node.connect(inputs, outputs)
    this.#link(node, before)
    node.touch()
    return node
  }

  /** Takes a node out: its inputs lose a use, its outputs their producer. */
  remove(node: Node): void {
    if (node.removed || node.graph !== this) throw bug(`node "${node.label}" is not in this graph`)
    for (const [index] of node.inputs.entries()) node.loadInput(index, undefined)
    for (const [index] of node.outputs.entries()) node.loadOutput(index, undefined)
    if (node.previous) node.previous.next = node.next
    else this.#first = node.next
    if (node.next) node.next.previous = node.previous
    else this.#last = node.previous
    node.removed = true
    if (node.subgraphs.length > 0) this.outermost().#names = undefined
    this.#size--
    this.touch()
  }

  /** The model this graph belongs to; `undefined` while it is being built. */
  get model(): Model | undefined {
    const owner = this.outermost().owner
    return owner instanceof Node || owner === undefined ? undefined : 'functions' in owner ? owner : owner.model
  }

  /** Marks the graph and everything that contains it as edited. */
  touch(): void {
    if (this.edited && !(this.owner instanceof Node && !this.owner.graph.edited)) return
    this.edited = true
    const owner = this.owner
    if (owner instanceof Node) owner.graph.touch()
    else if (owner) owner.edited = true
  }

  #link(node: Node, before: Node | undefined): void {
    if (before && (before.graph !== this || before.removed)) throw bug('the node to insert before is not in this graph')
    const previous = before ? before.previous : this.#last
    node.previous = previous
    node.next = before
    if (previous) previous.next = node
    else this.#first = node
    if (before) before.previous = node
    else this.#last = node
    this.#size++
  }
}
