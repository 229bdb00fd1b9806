import { realpathSync } from 'node:fs'
import { dirname, relative, sep } from 'node:path'
import { linkOutside, linkWithoutFile, outputTooLarge } from '../../errors.ts'
import type { Graph, Model, Node, Tensor } from '../../ir/index.ts'
import { dtypes } from '../../ir/index.ts'
import type { Piece, Source } from '../../wire/index.ts'
import { Field, totalSize } from '../../wire/index.ts'
import { ExternalPayload } from '../data/external.ts'
import { isInside } from '../data/location.ts'
import { RangePayload } from '../data/range.ts'
import type { Document } from '../document.ts'
import { documentOf } from '../document.ts'
import type { ExternalData } from '../external-modes.ts'
import { schema } from '../schema.ts'
import { DataFile } from './data-file.ts'
import { modelPieces } from './model.ts'
import type { Place } from './storage.ts'
import { inPlace, StoragePlan } from './storage.ts'
import { rangeOf } from './tensor.ts'

/** What is going to be written. */
export interface SavePlan {
  readonly model: readonly Piece[]
  readonly data: DataFile | undefined
}

/** Protobuf ends at 2 GiB; from here on weights get a file of their own, with room for what is not counted. */
const largestModel = 1.9e9
const protobufLimit = 2 ** 31 - 1

/** Plans a save to `path`: sizes and places are known before a byte is written. */
export function planSave(model: Model, path: string, mode: ExternalData): SavePlan {
  const placed = new Placement(model, path, mode).plan()
  if (mode !== 'auto' || totalSize(placed.model) <= largestModel || isCopy(placed.model)) return checked(placed, path)
  return checked(new Placement(model, path, 'always').plan(), path)
}

/** The input as it is, whatever its size, is always written; a new file has to be one that can be read. */
function checked(plan: SavePlan, path: string): SavePlan {
  const bytes = totalSize(plan.model)
  if (bytes > protobufLimit && !isCopy(plan.model)) throw outputTooLarge(path, bytes)
  return plan
}

/** Whether the plan is to copy one whole source. */
function isCopy(pieces: readonly Piece[]): boolean {
  const [piece] = pieces
  return pieces.length === 1 && piece?.kind === 'range' && piece.size === piece.source.size
}

/** Decides for each tensor where its data goes. */
class Placement {
  readonly #model: Model
  readonly #document: Document | undefined
  readonly #mode: ExternalData
  readonly #path: string
  /** The folder of the output, links followed. */
  readonly #folder: string
  readonly #storage = new StoragePlan()
  /** Whether external data of a model is in the folder of the output already. */
  readonly #homes = new Map<Document, boolean>()
  /** What the files that are referred to are called from there. */
  readonly #locations = new Map<Source, string>()
  readonly #data: DataFile

  constructor(model: Model, path: string, mode: ExternalData) {
    this.#model = model
    this.#document = documentOf(model)
    this.#mode = mode
    this.#path = path
    this.#folder = realpathSync(dirname(path))
    this.#data = new DataFile(path)
  }

  plan(): SavePlan {
    for (const { tensor, graph, node } of this.#tensors()) {
      const place = this.#placeOf(tensor, node === undefined || this.#isConstant(node))
      if (place) this.#storage.set(tensor, place, graph, node)
    }
    const storage = this.#storage.isEmpty ? inPlace : this.#storage
    this.#data.close()
    return { model: modelPieces(this.#model, storage), data: this.#data.isEmpty ? undefined : this.#data }
  }

  /** Every tensor whose data may move: initializers, weights in Constant nodes, and external data in attributes. */
  *#tensors(): Generator<{ tensor: Tensor; graph: Graph; node?: Node }> {
    for (const graph of this.#model.graphs()) {
      for (const value of graph.values.values()) {
        const origin = value.initializerOrigin
        const isSparse =
          origin instanceof Field && origin.fields.number(origin.index) === schema.Graph.sparseInitializer
        if (value.initializer && !isSparse) yield { tensor: value.initializer, graph }
      }
    }
    for (const node of this.#nodesWithData()) {
      for (const attribute of node.attributes.values()) {
        if (attribute.kind === 'tensor') yield { tensor: attribute.value, graph: node.graph, node }
        if (attribute.kind === 'tensors')
          for (const tensor of attribute.value) yield { tensor, graph: node.graph, node }
      }
    }
  }

  /** Nodes with data in an attribute: Constants, those that were read with external data, new ones that got it from them. */
  *#nodesWithData(): Generator<Node> {
    const old = new Set(this.#document?.externalNodes)
    const moves = this.#mode === 'always' || this.#mode === 'link'
    if (old.size === 0 && !moves) return
    for (const graph of this.#model.graphs()) {
      for (const node of graph.nodes()) {
        const mayBeNew = old.size > 0 && (node.origin === undefined || node.edited)
        if (old.has(node) || mayBeNew || (moves && this.#isConstant(node))) yield node
      }
    }
  }

  /** A weight in a Constant node is as good as an initializer. In a function it stays: runtimes copy function bodies. */
  #isConstant({ opType, domain, graph }: Node): boolean {
    return opType === 'Constant' && domain === '' && graph.outermost() === this.#model.graph
  }

  #placeOf(tensor: Tensor, movable: boolean): Place | undefined {
    const { payload } = tensor
    if (payload instanceof ExternalPayload) return this.#externalPlace(tensor, payload)
    if (!movable || this.#mode === 'auto' || this.#mode === 'never' || !isLarge(tensor)) return undefined
    return this.#mode === 'always' ? this.#data.add(tensor) : this.#linkPlace(tensor)
  }

  /** External data stays where it is when the new model finds it there, and is copied when not. */
  #externalPlace(tensor: Tensor, payload: ExternalPayload): Place | undefined {
    if (this.#mode === 'never') return { kind: 'inline' }
    if (this.#isHome(payload.document)) return undefined
    return this.#mode === 'link' ? this.#reference(tensor) : this.#data.add(tensor)
  }

  #isHome(document: Document): boolean {
    const known = this.#homes.get(document)
    if (known !== undefined) return known
    const { home } = document
    const isHome = home !== undefined && realpathSync(home) === this.#folder
    this.#homes.set(document, isHome)
    return isHome
  }

  #linkPlace(tensor: Tensor): Place | undefined {
    if (this.#document?.source.path === undefined) throw linkWithoutFile()
    const { payload } = tensor
    const isOurs = payload instanceof RangePayload && payload.source === this.#document.source
    return isOurs ? this.#reference(tensor) : undefined
  }

  /** A reference to the data in the file it is in. */
  #reference(tensor: Tensor): Place {
    const range = tensor.payload && rangeOf(tensor.payload)
    if (!range) throw linkWithoutFile()
    const location = this.#locations.get(range.source) ?? this.#locate(range.source)
    return { kind: 'external', location, offset: range.start, length: range.end - range.start }
  }

  /** What a file is called from the folder of the output, which it has to be in. */
  #locate(source: Source): string {
    if (source.path === undefined) throw linkWithoutFile()
    const file = realpathSync(source.path)
    if (!isInside(this.#folder, file)) throw linkOutside(source.path, dirname(this.#path))
    const location = relative(this.#folder, file).split(sep).join('/')
    this.#locations.set(source, location)
    return location
  }
}

/**
 * Whether a tensor is worth a place in another file. Shapes and the like are not: runtimes read them while they load the
 * graph, when external data is not there yet.
 */
function isLarge({ payload, dtype, dims, expectedBytes }: Tensor): boolean {
  if (!payload || payload.byteLength < 1024 || expectedBytes !== payload.byteLength) return false
  const isInteger = dtype === dtypes.int64 || dtype === dtypes.int32
  return !(isInteger && dims.length <= 1 && payload.byteLength < 1 << 16)
}
