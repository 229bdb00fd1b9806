import type { Node } from '../../ir/index.ts'
import { attr, Tensor } from '../../ir/index.ts'
import type { FusedPart } from '../../targets/index.ts'
import type { Unsupported } from './expansion.ts'
import { unsupported } from './expansion.ts'
import type { Workbench } from './workbench.ts'
import type { SinkLogits } from './zero-row.ts'
import { isZeroSink } from './zero-row.ts'

/** Where both operators take their sinks: a logit per query head. */
const headSink = 11

/** What a com.microsoft::GroupQueryAttention has beside q, k, v and its cache. */
export function partsOfGroupQuery(node: Node): FusedPart[] {
  const parts: FusedPart[] = []
  if (node.input(10)) parts.push('bias')
  if (node.output(3)) parts.push('scores')
  return parts
}

/** What a com.microsoft::PagedAttention has beside its paged cache. */
export function partsOfPaged(node: Node, { facts }: Workbench): FusedPart[] | Unsupported {
  if (facts.int(node, 'num_heads') === undefined) return unsupported('does not say how many heads it has')
  if (node.string('kv_cache_layout') === 'LATENT')
    return unsupported('has a latent cache, beside which no sink is taken')
  return []
}

/** The attribute for a sink of 0, the sink input for any other. */
export function giveGroupQuerySink(node: Node, bench: Workbench, sink: SinkLogits): void {
  if (isZeroSink(sink)) node.setAttribute('smooth_softmax', attr.int(1))
  else giveHeadSink(node, bench, sink)
}

/** The operator has no attribute: a sink of 0 is a list of zeros. */
export function giveHeadSink(node: Node, bench: Workbench, sink: SinkLogits): void {
  const heads = bench.facts.int(node, 'num_heads') ?? 0
  const logits = typeof sink === 'number' ? Array.from({ length: heads }, () => sink) : sink
  node.setInput(headSink, bench.op.constant(Tensor.of(bench.dtype, [logits.length], logits)))
}
