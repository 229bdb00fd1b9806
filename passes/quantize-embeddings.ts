import type { Node, Value } from '../src/ir/index.ts'
import { dtypes, Tensor } from '../src/ir/index.ts'
import { constantTensor, Facts } from '../src/ops/index.ts'
import { largestMagnitude, quantized, signedScale } from '../src/quantize/index.ts'
import { approximate, definePass, dropUnread, Ops, opsetOf } from '../src/rewrite/index.ts'

/** Elements of the smallest table worth it: below 4 MiB of floats there is nothing to save. */
const smallestTable = 1 << 20

/** DequantizeLinear takes one scale for each channel from this opset on. */
const perChannelOpset = 13

/**
 * Stores large tables that rows are looked up in as s8 with one scale for each column, dequantized behind the Gather: the
 * rows that are looked up, not the table.
 */
export const quantizeEmbeddings = definePass({
  name: 'quantize-embeddings',
  stage: 'quantize',
  summary: 'Store large embedding tables as 8-bit integers, one scale for each column.',
  effect: approximate(0.05),
  run(model, { quantization }) {
    if (!quantization?.settings.embeddings || model.opset < perChannelOpset || model.irVersion < 4) return 0
    const facts = new Facts()
    const stored = new Map<Value, StoredTable>()
    const lookups = [...model.graph.nodes()].filter((node) => isLookup(node, facts))
    for (const node of lookups) lookUpIntegers(node, stored, facts)
    return lookups.length
  },
})

function isLookup(node: Node, facts: Facts): boolean {
  const table = node.op === 'Gather' && (node.int('axis') ?? 0) === 0 ? tableAt(node) : undefined
  const indices = node.input(1)
  return table !== undefined && indices !== undefined && !facts.isConstant(indices)
}

function tableAt(node: Node): Tensor | undefined {
  const value = node.input(0)
  const tensor = value && constantTensor(value)
  const large = tensor?.dtype === dtypes.float && tensor.dims.length === 2 && tensor.size >= smallestTable
  return large ? tensor : undefined
}

interface StoredTable {
  readonly integers: Value
  readonly scales: Float64Array
}

function lookUpIntegers(node: Node, tables: Map<Value, StoredTable>, facts: Facts): void {
  const table = node.input(0) as Value
  const stored = tables.get(table) ?? store(table, constantTensor(table) as Tensor)
  tables.set(table, stored)
  const { graph } = node
  const rows = node.output() as Value
  const rank = facts.rank(rows)
  const integers = graph.newValue(`${rows.name}/int8`)
  node.setInput(0, stored.integers)
  node.setOutput(0, integers)
  dropUnread(table)
  const ops = new Ops({ graph, before: node.next, name: rows.name, opset: opsetOf(graph) })
  const dims = [stored.scales.length]
  const scale = ops.constant(Tensor.of(dtypes.float, dims, stored.scales).named(`${table.name}/scale`))
  const zero = ops.constant(
    Tensor.of(dtypes.int8, dims, new Int8Array(stored.scales.length)).named(`${table.name}/zero`),
  )
  const dequantized = ops.DequantizeLinear(integers, scale, zero, rank === undefined ? -1 : rank - 1)
  const last = dequantized.producer as Node
  last.setOutput(0, rows)
  graph.removeValue(dequantized)
}

function store(table: Value, tensor: Tensor): StoredTable {
  const scales = largestMagnitude(tensor, 1).map((magnitude) => signedScale(magnitude, 127))
  return { scales, integers: table.graph.addInitializer(`${table.name}/int8`, quantized(tensor, scales, 1, 127)) }
}
