import type { Graph } from './graph.ts'
import type { Tensor } from './tensor.ts'

/**
 * An attribute of a node. Integers are numbers while exact and bigint beyond 2^53; strings are text decoded losslessly
 * (bytes that are not UTF-8 become lone surrogates and are written back as they were).
 *
 * `ref` stands for an attribute of the enclosing function; `opaque` carries what this version does not interpret.
 */
export type Attribute =
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'int'; readonly value: number | bigint }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'tensor'; readonly value: Tensor }
  | { readonly kind: 'graph'; readonly value: Graph }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'ints'; readonly value: readonly (number | bigint)[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'tensors'; readonly value: readonly Tensor[] }
  | { readonly kind: 'graphs'; readonly value: readonly Graph[] }
  | { readonly kind: 'ref'; readonly name: string; readonly type: number }
  | { readonly kind: 'opaque'; readonly origin: unknown }

export type AttributeKind = Attribute['kind']
export type Attributes = ReadonlyMap<string, Attribute>

/** What a builder accepts for an attribute: the JavaScript value decides the kind; `float()` forces a float. */
export const attr = {
  int: (value: number | bigint): Attribute => ({ kind: 'int', value }),
  float: (value: number): Attribute => ({ kind: 'float', value }),
  string: (value: string): Attribute => ({ kind: 'string', value }),
  ints: (value: readonly (number | bigint)[]): Attribute => ({ kind: 'ints', value }),
  floats: (value: readonly number[]): Attribute => ({ kind: 'floats', value }),
  strings: (value: readonly string[]): Attribute => ({ kind: 'strings', value }),
  tensor: (value: Tensor): Attribute => ({ kind: 'tensor', value }),
  graph: (value: Graph): Attribute => ({ kind: 'graph', value }),
  ref: (name: string, type: number): Attribute => ({ kind: 'ref', name, type }),
}
