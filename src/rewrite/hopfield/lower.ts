import type { Node, Value } from '../../ir/index.ts'
import { attr, dtypes, Tensor } from '../../ir/index.ts'
import type { Facts } from '../../ops/index.ts'
import { dtypeOf } from '../../ops/index.ts'
import type { Form } from '../../targets/index.ts'
import type { SharedValues } from '../fused/workbench.ts'
import { Workbench } from '../fused/workbench.ts'
import { giveAttentionZeroKey } from '../fused/zero-key-attention.ts'
import { giveMultiHeadZeroKey } from '../fused/zero-key-multi-head.ts'
import type { SinkLogits } from '../fused/zero-row.ts'
import { isZeroSink } from '../fused/zero-row.ts'
import { importDomain } from '../opset.ts'
import { lowerToFunction, markForPlugin } from './function.ts'
import type { HopfieldAttributes } from './node.ts'
import { attributesOf, logitsOf } from './node.ts'

/** What a form is built from. */
interface Parts extends HopfieldAttributes {
  readonly q: Value
  readonly k: Value
  readonly v: Value
  readonly mask: Value | undefined
  readonly sink: SinkLogits
}

type LowerForm = (node: Node, parts: Parts, bench: Workbench) => Node

const forms: Readonly<Partial<Record<Form, LowerForm>>> = {
  gqa: groupQuery,
  'attention-zero-key': onnxAttention,
  'mha-zero-key': multiHead,
  function: (node, parts, bench) => lowerToFunction(node, { mask: parts.mask, sink: parts.sink }, bench),
  plugin: (node, parts, bench) => markForPlugin(lowerToFunction(node, { mask: parts.mask, sink: parts.sink }, bench)),
}

/** Forms that replace a whole attention step by one operator. */
export const blockForms: ReadonlySet<Form> = new Set(Object.keys(forms) as Form[])

/** Replaces a HopfieldAttention node by the operator of its form; the node it became. */
export function lowerHopfield(node: Node, facts: Facts, shared: SharedValues): Node {
  const [q, k, v, mask] = node.inputs
  const attributes = attributesOf(node)
  const parts: Parts = { ...attributes, q: q as Value, k: k as Value, v: v as Value, mask, sink: logitsOf(node) }
  const bench = new Workbench(node, dtypeOf(parts.v) ?? dtypeOf(parts.q) ?? dtypes.float, facts, shared)
  return (forms[attributes.form] as LowerForm)(node, parts, bench)
}

/** Puts an operator in the place of the node, with its output. */
function replaced(
  node: Node,
  init: { opType: string; domain?: string; attributes: Record<string, ReturnType<typeof attr.int>> },
  inputs: readonly (Value | undefined)[],
): Node {
  const { graph, name, docString, metadata } = node
  const output = node.output() as Value
  const logits = node.input(4)
  node.setOutput(0, undefined)
  const given = [...inputs]
  while (given.at(-1) === undefined) given.pop()
  const { attributes, ...rest } = init
  const made = graph.insert(
    { name, docString, metadata, ...rest, attributes: new Map(Object.entries(attributes)) },
    given,
    [output],
    node,
  )
  graph.remove(node)
  if (logits && !logits.isUsed) logits.graph.removeValue(logits)
  if (rest.domain) importDomain(graph, rest.domain)
  return made
}

/** ai.onnx Attention with a zero key in front. */
function onnxAttention(node: Node, parts: Parts, bench: Workbench): Node {
  const { q, k, v, mask, heads, kvHeads, scale, softcap, layout } = parts
  const counts = layout === 'BSE' ? { q_num_heads: attr.int(heads), kv_num_heads: attr.int(kvHeads) } : {}
  const cap = softcap === 0 ? {} : { softcap: attr.float(softcap) }
  const attributes = { scale: attr.float(scale), ...counts, ...cap }
  const made = replaced(node, { opType: 'Attention', attributes }, [q, k, v, mask])
  giveAttentionZeroKey(made, bench.before(made), parts.sink)
  return made
}

/** com.microsoft::MultiHeadAttention with a zero key in front. */
function multiHead(node: Node, parts: Parts, bench: Workbench): Node {
  const { q, k, v, mask, heads, scale } = parts
  const attributes = { num_heads: attr.int(heads), scale: attr.float(scale) }
  const bias = mask && scoreShaped(bench, mask, q)
  const made = replaced(node, { opType: 'MultiHeadAttention', domain: 'com.microsoft', attributes }, [
    q,
    k,
    v,
    undefined,
    undefined,
    bias,
  ])
  giveMultiHeadZeroKey(made, bench.before(made), parts.sink)
  return made
}

/**
 * com.microsoft::GroupQueryAttention, not causal, with its own sink. `seqlens_k` is the number of keys less one, for every
 * row, `total_sequence_length` the number of keys.
 */
function groupQuery(node: Node, parts: Parts, bench: Workbench): Node {
  const { q, k, v, mask, heads, kvHeads, scale, softcap, sink } = parts
  const { op } = bench
  const length = { value: q, axis: -2 }
  const batch = { value: q, axis: -3 }
  const total = bench.once(`keys ${bench.sizeName(length)}`, () => op.Cast(bench.length(length), dtypes.int32))
  const last = bench.once(`last key ${bench.sizeName(length)} ${bench.sizeName(batch)}`, () =>
    op.Expand(op.Sub(total, op.constant(Tensor.of(dtypes.int32, [1], [1]))), bench.length(batch)),
  )
  const zero = isZeroSink(sink)
  const logits = typeof sink === 'number' ? Array.from({ length: heads }, () => sink) : sink
  const attributes = {
    num_heads: attr.int(heads),
    kv_num_heads: attr.int(kvHeads),
    scale: attr.float(scale),
    causal: attr.int(0),
    ...(zero ? { smooth_softmax: attr.int(1) } : {}),
    ...(softcap === 0 ? {} : { softcap: attr.float(softcap) }),
  }
  const headSink = zero ? undefined : op.constant(Tensor.of(bench.dtype, [heads], logits))
  const bias = mask && scoreShaped(bench, mask, q, k)
  const none = undefined
  return replaced(node, { opType: 'GroupQueryAttention', domain: 'com.microsoft', attributes }, [
    ...[q, k, v, none, none, last, total],
    ...[none, none, none, bias, headSink],
  ])
}

/** A mask as [B or 1, H or 1, S, T]: the kernels repeat it over batch and heads, not over queries and keys. */
function scoreShaped(bench: Workbench, mask: Value, queries: Value, keys?: Value): Value {
  const { op, facts } = bench
  const rank = facts.rank(mask) as number
  const four =
    rank === 4
      ? mask
      : bench.once(`rank 4 ${mask.name}`, () =>
          op.Unsqueeze(
            mask,
            Array.from({ length: 4 - rank }, (_, i) => i),
          ),
        )
  const rows = { value: queries, axis: -2 }
  const columns = keys && { value: keys, axis: -2 }
  const wide = facts.size(four, -2) === facts.size(queries, -2)
  const long = !columns || facts.size(four, -1) === facts.size(columns.value, -2)
  if (wide && long) return four
  return bench.once(`whole ${mask.name} ${bench.sizeName(rows)} ${columns ? bench.sizeName(columns) : ''}`, () =>
    op.Expand(four, op.Concat([bench.length(rows), columns ? bench.length(columns) : op.ints([1])], 0)),
  )
}
