import type { Graph, Node, Tensor } from '../../ir/index.ts'

/** Where the data of a tensor is written: into its message, or into another file. */
export type Place =
  | { readonly kind: 'inline' }
  | { readonly kind: 'external'; readonly location: string; readonly offset: number; readonly length: number }

/** Which tensors are stored in another way than they were read, and what contains such tensors. */
export interface Storage {
  place(tensor: Tensor): Place | undefined
  touches(part: Graph | Node): boolean
}

/** Everything stays where it is; new tensors are written into the model. */
export const inPlace: Storage = { place: () => undefined, touches: () => false }

/** A storage that is filled while the tensors of a model are looked at. */
export class StoragePlan implements Storage {
  readonly #places = new Map<Tensor, Place>()
  readonly #touched = new Set<Graph | Node>()

  set(tensor: Tensor, place: Place, graph: Graph, node?: Node): void {
    this.#places.set(tensor, place)
    if (node) this.#touched.add(node)
    for (let part: Graph | undefined = graph; part && !this.#touched.has(part); part = part.parent)
      this.#touched.add(part)
  }

  get isEmpty(): boolean {
    return this.#places.size === 0
  }

  place(tensor: Tensor): Place | undefined {
    return this.#places.get(tensor)
  }

  touches(part: Graph | Node): boolean {
    return this.#touched.has(part)
  }
}
