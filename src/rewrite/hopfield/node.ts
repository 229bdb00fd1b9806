import type { Node, Value } from '../../ir/index.ts'
import { attr, dtypes, Tensor } from '../../ir/index.ts'
import type { Form } from '../../targets/index.ts'
import { ownDomain } from '../opset.ts'

/**
 * The internal operator for one whole attention step: `outeffhop::HopfieldAttention(q, k, v, mask?, sink?)`,
 *
 * `y = softmax1(softcap(scale * q·kᵀ) + mask; sink) · v`
 *
 * q, k, v and y are [B, S, H*D] (layout `BSE`) or [B, H, S, D] (`BHSD`), k and v with `kv_num_heads` heads; the mask broadcasts against [B, H, S, T]; the sink is a
 * double initializer of one logit or one per head, 0 where absent. `form` names the spelling it is lowered to.
 */
export const hopfieldOp = { domain: ownDomain, opType: 'HopfieldAttention' } as const

export type Layout = 'BSE' | 'BHSD'

export interface HopfieldAttributes {
  readonly layout: Layout
  readonly heads: number
  readonly kvHeads: number
  readonly scale: number
  /** 0 is none. */
  readonly softcap: number
  readonly form: Form
}

export function isHopfield(node: Node): boolean {
  return node.domain === hopfieldOp.domain && node.opType === hopfieldOp.opType
}

/** Inserts the operator before a node; it takes over `output`. */
export function insertHopfield(
  inputs: { readonly q: Value; readonly k: Value; readonly v: Value; readonly mask: Value | undefined },
  sink: readonly number[],
  attributes: HopfieldAttributes,
  output: Value,
  at: { readonly name: string; readonly before: Node },
): Node {
  const { graph } = at.before
  const zero = sink.every((s) => s === 0)
  const logits = zero ? undefined : graph.newValue(`${output.name}/sink`)
  if (logits) logits.initializer = Tensor.of(dtypes.double, [sink.length], sink, logits.name)
  const given = [inputs.q, inputs.k, inputs.v, inputs.mask, logits]
  while (given.at(-1) === undefined) given.pop()
  return graph.insert(
    {
      name: at.name,
      ...hopfieldOp,
      attributes: new Map([
        ['layout', attr.string(attributes.layout)],
        ['num_heads', attr.int(attributes.heads)],
        ['kv_num_heads', attr.int(attributes.kvHeads)],
        ['scale', attr.float(Math.fround(attributes.scale))],
        ['softcap', attr.float(Math.fround(attributes.softcap))],
        ['form', attr.string(attributes.form)],
      ]),
    },
    given,
    [output],
    at.before,
  )
}

export function attributesOf(node: Node): HopfieldAttributes {
  return {
    layout: node.string('layout') === 'BSE' ? 'BSE' : 'BHSD',
    heads: node.int('num_heads') ?? 1,
    kvHeads: node.int('kv_num_heads') ?? node.int('num_heads') ?? 1,
    scale: node.float('scale') ?? 1,
    softcap: node.float('softcap') ?? 0,
    form: node.string('form') as Form,
  }
}

/** One logit, or one per head. */
export function logitsOf(node: Node): number | readonly number[] {
  const values = node.input(4)?.initializer?.toNumbers() ?? [0]
  return values.every((s) => s === values[0]) ? (values[0] as number) : values
}
