import type { Attribute } from './attribute.ts'
import { Graph } from './graph.ts'

/** A model-local function: a body that sees only its own inputs, with its own opset imports. */
export interface ModelFunction {
  readonly domain: string
  readonly name: string
  readonly overload: string
  /** Attributes without a default. */
  readonly attributes: readonly string[]
  /** Attributes with a default. */
  readonly defaults: ReadonlyMap<string, Attribute>
  readonly opsetImports: Map<string, number>
  readonly body: Graph
  readonly model: Model
  readonly origin: unknown
  edited: boolean
}

/** A whole model: opset imports, metadata, main graph and model-local functions. */
export class Model {
  irVersion = 0
  producerName = ''
  producerVersion = ''
  docString = ''
  readonly graph: Graph
  readonly functions: ModelFunction[] = []
  #opsetImports: ReadonlyMap<string, number> = new Map()
  #metadata: ReadonlyMap<string, string> = new Map()
  /** Where the reader found the model; opaque to everybody but reader and writer. */
  origin: unknown
  edited = false
  /** Whether fields of the model message itself (versions, imports, metadata, doc string) changed. */
  headerEdited = false

  constructor() {
    this.graph = new Graph()
    this.graph.owner = this
  }

  /** Opset version by domain; the default domain is `''`. */
  get opsetImports(): ReadonlyMap<string, number> {
    return this.#opsetImports
  }

  /** Version of the default-domain opset; 1 when the model imports none (the standard's default). */
  get opset(): number {
    return this.#opsetImports.get('') ?? 1
  }

  setOpset(domain: string, version: number): void {
    if (this.#opsetImports.get(domain) === version) return
    this.#opsetImports = new Map(this.#opsetImports).set(domain, version)
    this.#touchHeader()
  }

  removeOpset(domain: string): void {
    const next = new Map(this.#opsetImports)
    if (!next.delete(domain)) return
    this.#opsetImports = next
    this.#touchHeader()
  }

  get metadata(): ReadonlyMap<string, string> {
    return this.#metadata
  }

  setMetadata(key: string, value: string): void {
    this.#metadata = new Map(this.#metadata).set(key, value)
    this.#touchHeader()
  }

  /** Sets imports and metadata without marking an edit; for the reader. */
  load(opsetImports: ReadonlyMap<string, number>, metadata: ReadonlyMap<string, string>): void {
    this.#opsetImports = opsetImports
    this.#metadata = metadata
  }

  /** Every graph of the model: main graph, function bodies, and what is nested in them. */
  *graphs(): Generator<Graph> {
    yield* this.graph.withNested()
    for (const fn of this.functions) yield* fn.body.withNested()
  }

  /** Adds a model-local function (marks an edit). */
  addFunction(fn: Omit<ModelFunction, 'model' | 'origin' | 'edited'>): ModelFunction {
    const added: ModelFunction = { ...fn, model: this, origin: undefined, edited: true }
    fn.body.owner = added
    this.functions.push(added)
    this.edited = true
    return added
  }

  #touchHeader(): void {
    this.headerEdited = true
    this.edited = true
  }
}
