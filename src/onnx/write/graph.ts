import type { Graph, Value } from '../../ir/index.ts'
import { Node as IrNode, Value as IrValue } from '../../ir/index.ts'
import type { Piece } from '../../wire/index.ts'
import { delimited, Field, Patch, stringField } from '../../wire/index.ts'
import { type GraphOrigin, originOfGraph } from '../read/origin.ts'
import { schema } from '../schema.ts'
import { nodeChanged, nodePiece } from './node.ts'
import type { Storage } from './storage.ts'
import { tensorPieces } from './tensor.ts'
import { valueInfoPieces } from './types.ts'

const G = schema.Graph

/** The content of a GraphProto: what is as it was keeps its bytes and its place. */
export function graphPieces(graph: Graph, storage: Storage): Piece[] {
  const origin = originOfGraph(graph)
  const patch = new Patch(origin?.fields)
  if (!origin || graph.name !== origin.name) patch.single(G.name, stringField(G.name, graph.name))
  if (graph.docString !== (origin?.docString ?? '')) {
    patch.single(G.docString, graph.docString === '' ? undefined : stringField(G.docString, graph.docString))
  }
  patchNodes(patch, G.node, graph, storage)
  patchInitializers(patch, graph, storage)
  patchInfos(patch, G.input, graph.inputs, origin)
  patchInfos(patch, G.output, graph.outputs, origin)
  patchInner(patch, G.valueInfo, graph)
  return patch.pieces()
}

/** New nodes stand where those stood that they replace, in the order of the graph. */
export function patchNodes(patch: Patch, number: number, graph: Graph, storage: Storage): void {
  const origin = originOfGraph(graph)
  const kept = new Set(origin?.owners)
  const nodes = graph.nodes()
  let next = nodes.next()
  /** The nodes in front of the next one that was read and is still there. */
  const inserted = (): Piece[] => {
    const pieces: Piece[] = []
    for (; !next.done && !kept.has(next.value); next = nodes.next()) pieces.push(nodePiece(number, next.value, storage))
    return pieces
  }
  for (const index of patch.indices(number)) {
    const owner = origin?.owners[index]
    const before = inserted()
    if (!(owner instanceof IrNode) || owner.removed) patch.replace(index, ...before)
    else {
      if (nodeChanged(owner, storage)) patch.replace(index, ...before, nodePiece(number, owner, storage))
      else patch.insert(index, ...before)
      next = nodes.next()
    }
  }
  patch.add(number, ...inserted())
}

function patchInitializers(patch: Patch, graph: Graph, storage: Storage): void {
  const origin = originOfGraph(graph)
  const done = new Set<Value>()
  for (const number of [G.initializer, G.sparseInitializer]) {
    for (const index of patch.indices(number)) {
      const value = origin?.owners[index]
      if (!(value instanceof IrValue)) continue
      const tensor = graph.values.get(value.name) === value ? value.initializer : undefined
      const isOld = value.initializerOrigin instanceof Field
      if (tensor && isOld && !storage.place(tensor)) done.add(value)
      else if (tensor && !done.has(value)) {
        patch.replace(index, delimited(G.initializer, tensorPieces(tensor, value.name, storage)))
        done.add(value)
      } else patch.replace(index)
    }
  }
  for (const value of graph.values.values()) {
    if (!value.initializer || done.has(value)) continue
    patch.add(G.initializer, delimited(G.initializer, tensorPieces(value.initializer, value.name, storage)))
  }
}

/** Declared inputs or outputs, in order. */
function patchInfos(patch: Patch, number: number, values: readonly Value[], origin: GraphOrigin | undefined): void {
  const slots = [...patch.indices(number)]
  for (const [i, value] of values.entries()) {
    const slot = slots[i]
    if (slot !== undefined && origin?.owners[slot] === value && !value.edited) continue
    const old = slots.find((index) => origin?.owners[index] === value)
    const field = origin && old !== undefined ? new Field(origin.fields, old) : undefined
    const piece = delimited(number, valueInfoPieces(value, field))
    if (slot === undefined) patch.add(number, piece)
    else patch.replace(slot, piece)
  }
  for (const slot of slots.slice(values.length)) patch.replace(slot)
}

/** Declared types of values that are neither inputs nor outputs. */
export function patchInner(patch: Patch, number: number, graph: Graph): void {
  const origin = originOfGraph(graph)
  const declared = new Set<Value>()
  for (const index of patch.indices(number)) {
    const value = origin?.owners[index]
    if (!origin || !(value instanceof IrValue)) continue
    declared.add(value)
    if (graph.values.get(value.name) !== value || value.type === undefined || isGone(value)) patch.replace(index)
    else if (value.edited) {
      patch.replace(index, delimited(number, valueInfoPieces(value, new Field(origin.fields, index))))
    }
  }
  for (const value of graph.values.values()) {
    if (value.type === undefined || declared.has(value) || graph.outputs.includes(value)) continue
    if (!value.isInput && value.edited && !isGone(value)) {
      patch.add(number, delimited(number, valueInfoPieces(value)))
    }
  }
}

/** Whether nothing defines the value any more: the node that did was taken out. */
function isGone(value: Value): boolean {
  return value.producer === undefined && !value.isInput && value.initializer === undefined && !value.isUsed
}
