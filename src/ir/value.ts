import type { DType } from './dtype.ts'
import type { Graph } from './graph.ts'
import type { Node } from './node.ts'
import type { Tensor } from './tensor.ts'

/** A dimension: a number, the name of a symbol, or `undefined` when nothing is known. */
export type Dim = number | string | undefined

/** The declared type of a value. Only tensors are interpreted; sequences, maps, optionals and sparse stay opaque. */
export type ValueType =
  | { readonly kind: 'tensor'; readonly dtype: DType; readonly shape: readonly Dim[] | undefined }
  | { readonly kind: 'opaque'; readonly origin: unknown }

/** A place that reads a value: input `index` of `node`. */
export interface Use {
  readonly node: Node
  readonly index: number
}

/**
 * An edge of a graph. A value has at most one producer: a node output, a graph input or an initializer.
 *
 * Values are shared across scopes: a nested graph that reads an outer value holds the same object.
 * Edges are changed only through `Node.setInput`, `Node.setOutput` and `Graph.setOutput`.
 */
export class Value {
  readonly name: string
  /** The graph the value is defined in. */
  readonly graph: Graph
  /** The producing node; `undefined` for graph inputs and initializers. */
  producer: Node | undefined
  /** Constant data when the value is an initializer of its graph. */
  #initializer: Tensor | undefined
  #type: ValueType | undefined
  /** Every reading node input, in insertion order, nested graphs included. */
  #uses: Use[] | undefined
  /** How many graph outputs name this value (its own graph's or a nested graph's). */
  outputUses = 0
  /** Whether the value is an input of its graph. An input may also be an initializer (its default, IR version < 4 style). */
  isInput = false
  /** Where the reader found the value_info (or the declared input or output); opaque. */
  origin: unknown
  /** Whether the declared type was changed since the file was read. */
  edited = false
  /** Where the reader found the initializer; opaque. */
  initializerOrigin: unknown

  constructor(graph: Graph, name: string) {
    this.graph = graph
    this.name = name
  }

  get type(): ValueType | undefined {
    return this.#type
  }

  /** Declares the type. A declared type of a value that is neither input nor output is written as value_info. */
  set type(type: ValueType | undefined) {
    this.#type = type
    this.edited = true
    this.graph.touch()
  }

  /** Sets what the reader found, without marking an edit. */
  load(type: ValueType | undefined, origin: unknown): void {
    this.#type = type
    this.origin = origin
  }

  get initializer(): Tensor | undefined {
    return this.#initializer
  }

  /** Sets the initializer without marking an edit; for the reader. */
  loadInitializer(tensor: Tensor, origin: unknown): void {
    this.#initializer = tensor
    this.initializerOrigin = origin
  }

  /** Replaces the constant data (its payload is written at save). */
  set initializer(tensor: Tensor | undefined) {
    this.#initializer = tensor
    this.initializerOrigin = undefined
    this.graph.touch()
  }

  get dtype(): DType | undefined {
    return this.#type?.kind === 'tensor' ? this.#type.dtype : this.#initializer?.dtype
  }

  /** Declared shape, or the initializer's dims; `undefined` when not declared. */
  get shape(): readonly Dim[] | undefined {
    return this.#initializer?.dims ?? (this.#type?.kind === 'tensor' ? this.#type.shape : undefined)
  }

  get uses(): readonly Use[] {
    return this.#uses?.slice() ?? []
  }

  /** Distinct nodes that read the value. */
  get consumers(): readonly Node[] {
    return [...new Set(this.#uses?.map((use) => use.node))]
  }

  get isUsed(): boolean {
    return (this.#uses?.length ?? 0) > 0 || this.outputUses > 0
  }

  /** Points every reader at `other`, graph outputs included unless `keepOutputs`. */
  replaceUsesWith(other: Value, options: { keepOutputs?: boolean; except?: Node } = {}): void {
    for (const { node, index } of this.uses) if (node !== options.except) node.setInput(index, other)
    if (options.keepOutputs || this.outputUses === 0) return
    for (const graph of this.graph.withNested()) {
      graph.outputs.forEach((value, index) => {
        if (value === this) graph.setOutput(index, other)
      })
    }
  }

  /** For `Node.setInput` only. */
  addUse(node: Node, index: number): void {
    if (this.#uses) this.#uses.push({ node, index })
    else this.#uses = [{ node, index }]
  }

  /** For `Node.setInput` only. */
  removeUse(node: Node, index: number): void {
    const at = this.#uses?.findIndex((use) => use.node === node && use.index === index) ?? -1
    if (at >= 0) this.#uses?.splice(at, 1)
  }
}
