import type { Graph, Node, Value } from '../../ir/index.ts'
import { Field, type Fields } from '../../wire/index.ts'

/** What the reader knows about a graph or function body: the origin of a `Graph`. */
export class GraphOrigin {
  readonly fields: Fields
  /** The IR object that each field describes; `undefined` for fields that describe none. */
  readonly owners: (Node | Value | undefined)[]
  name = ''
  docString = ''

  constructor(fields: Fields) {
    this.fields = fields
    this.owners = new Array(fields.count)
  }
}

export function originOfGraph(graph: Graph): GraphOrigin | undefined {
  return graph.origin instanceof GraphOrigin ? graph.origin : undefined
}

/** The field an IR object was read from. */
export function fieldOf(origin: unknown): Field | undefined {
  return origin instanceof Field ? origin : undefined
}
