import type { Block, BlockMask, BlockOperand, Site } from '../../attention/index.ts'
import type { Node, Value } from '../../ir/index.ts'
import type { Facts } from '../../ops/index.ts'
import { dtypeOf } from '../../ops/index.ts'
import type { Form } from '../../targets/index.ts'
import { removeDead } from '../dead.ts'
import { fillWhere, sumOf } from '../fused/bias.ts'
import type { SharedValues } from '../fused/workbench.ts'
import { Workbench } from '../fused/workbench.ts'
import { importDomain, ownDomain } from '../opset.ts'
import { sinkOf } from '../softmax1-node.ts'
import type { Layout } from './node.ts'
import { insertHopfield } from './node.ts'

/** Whether heads lie inside the hidden axis of every operand of a block, as operators for [B, S, H*D] take them. */
export function headsInside({ q, k, v, output }: Block): boolean {
  return [q, k, v].every(({ order }) => /^b[st]h[de]$/.test(order)) && output.order === 'bshe'
}

/** GroupQueryAttention and MultiHeadAttention know one layout, the function is defined on the other. */
function layoutOf(block: Block, form: Form): Layout {
  if (form === 'function' || form === 'plugin') return 'BHSD'
  return form !== 'attention-zero-key' || headsInside(block) ? 'BSE' : 'BHSD'
}

/**
 * Replaces the nodes of a block, whose normaliser is a Softmax1 node, by one HopfieldAttention node; removes exactly the
 * nodes this made dead.
 */
export function formBlock(site: Site, block: Block, form: Form, facts: Facts, shared: SharedValues): Node {
  const contraction = site.values[0]?.node as Node
  const dtype = dtypeOf(block.v.value) ?? (dtypeOf(site.output) as number)
  const bench = new Workbench(contraction, dtype, facts, shared)
  const layout = layoutOf(block, form)
  const [q, k, v] = [block.q, block.k, block.v].map((operand) => operandAs(bench, operand, layout)) as [
    Value,
    Value,
    Value,
  ]
  const mask = maskOf(bench, block.masks)
  const original = layout === 'BSE' && block.output.packed ? block.output.packed : block.output.value
  const producer = original.producer as Node
  const result = bench.op.place.graph.newValue(`${original.name}/attention`)
  const { heads, kvHeads, scale, softcap } = block
  const attributes = { layout, heads, kvHeads, scale, softcap, form }
  const at = { name: site.node.name || site.output.name, before: contraction }
  const { values } = sinkOf(site.node)
  importDomain(site.graph, ownDomain)
  const shaped = shapedLike(block.output, original, layout)
  if (!shaped) {
    producer.setOutput(0, undefined)
    site.graph.removeValue(result)
    const node = insertHopfield({ q, k, v, mask }, values, attributes, original, at)
    removeDead([producer])
    return node
  }
  const node = insertHopfield({ q, k, v, mask }, values, attributes, result, at)
  const moved = shaped(bench, result, heads)
  producer.setOutput(0, undefined)
  const last = moved.producer as Node
  last.setOutput(0, original)
  site.graph.removeValue(moved)
  removeDead([producer])
  return node
}

/** What brings the operator's result into the shape the graph goes on with; `undefined` when it has it. */
function shapedLike(
  output: BlockOperand,
  original: Value,
  layout: Layout,
): ((bench: Workbench, result: Value, heads: number) => Value) | undefined {
  if (layout === 'BSE') {
    if (original === output.packed) return undefined
    return ({ op }, result, heads) => {
      const split = op.Reshape(result, op.ints([0, 0, heads, -1]))
      return output.order === 'bshe' ? split : op.Transpose(split, permutation('bshe', output.order))
    }
  }
  if (output.order === 'bhse') return undefined
  return ({ op }, result) => op.Transpose(result, permutation('bhse', output.order))
}

/** An operand as the operator takes it. */
function operandAs(bench: Workbench, { value, order, packed }: BlockOperand, layout: Layout): Value {
  const { op } = bench
  const [length, size] = [order.replace(/[bhde]/g, ''), order.replace(/[bhst]/g, '')]
  const wanted = layout === 'BSE' ? `b${length}h${size}` : `bh${length}${size}`
  if (packed && layout === 'BSE') return packed
  const turned =
    order === wanted
      ? value
      : bench.once(`${value.name} as ${wanted}`, () => op.Transpose(value, permutation(order, wanted)))
  if (layout === 'BHSD') return turned
  return bench.once(`packed ${turned.name}`, () => op.Reshape(turned, op.ints([0, 0, -1])))
}

function permutation(from: string, to: string): number[] {
  return [...to].map((axis) => from.indexOf(axis))
}

/** All masks as one tensor to add. */
function maskOf(bench: Workbench, masks: readonly BlockMask[]): Value | undefined {
  return sumOf(bench, ...masks.map((mask) => (mask.kind === 'additive' ? mask.value : selected(bench, mask))))
}

/** Where a score is replaced by a fill that hides the key, adding the fill hides it just as well. */
function selected(bench: Workbench, mask: Extract<BlockMask, { kind: 'select' }>): Value {
  const fill = bench.facts.scalar(mask.fill) as number
  if (mask.fillWhen) return fillWhere(bench, mask.condition, fill)
  return bench.once(`fill unless ${mask.condition.name} ${fill} ${bench.dtype}`, () =>
    bench.op.Where(mask.condition, bench.number(0), bench.number(fill)),
  )
}
