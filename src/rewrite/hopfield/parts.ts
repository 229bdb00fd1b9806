import type { Block } from '../../attention/index.ts'
import type { Facts } from '../../ops/index.ts'
import type { Form, FusedPart } from '../../targets/index.ts'
import type { SinkLogits } from '../fused/zero-row.ts'
import { isZeroSink } from '../fused/zero-row.ts'

/** The fused operator a form is written with; `undefined` for a form of several operators. */
export function operatorOf(form: Form): string | undefined {
  return operators[form]
}

const operators: Readonly<Partial<Record<Form, string>>> = {
  gqa: 'com.microsoft::GroupQueryAttention',
  'attention-zero-key': 'Attention',
  'mha-zero-key': 'com.microsoft::MultiHeadAttention',
}

/** What the operator of a form has beside q, k and v when it stands for a block. */
export function partsOfBlock(block: Block, sink: SinkLogits, form: Form, facts: Facts): FusedPart[] {
  const parts: FusedPart[] = []
  const zero = isZeroSink(sink)
  const written = form !== 'gqa' && !zero
  if (block.masks.length > 0 || written) {
    if (form !== 'attention-zero-key') parts.push('bias')
    else parts.push(block.masks.some((mask) => differsByHead(mask, facts)) ? 'mask-per-head' : 'mask')
    if (block.softcap !== 0) parts.push('softcap-and-mask')
  }
  if (!zero) parts.push(typeof sink === 'number' ? 'sink' : 'sink-per-head')
  return parts
}

function differsByHead(mask: Block['masks'][number], facts: Facts): boolean {
  const value = mask.kind === 'additive' ? mask.value : mask.condition
  const rank = facts.rank(value)
  return rank === undefined || (rank >= 3 && facts.size(value, -3) !== 1)
}
