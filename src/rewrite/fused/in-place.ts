import type { Site } from '../../attention/index.ts'
import type { Node, Value } from '../../ir/index.ts'
import type { Facts } from '../../ops/index.ts'
import { dtypeOf } from '../../ops/index.ts'
import type { Form, FusedPart, TargetChoice } from '../../targets/index.ts'
import { fusedNeedsProvider, fusedObjection, fusedSince } from '../../targets/index.ts'
import type { Unsupported } from './expansion.ts'
import { giveGroupQuerySink, giveHeadSink, partsOfGroupQuery, partsOfPaged } from './smooth-softmax.ts'
import type { SharedValues } from './workbench.ts'
import { Workbench } from './workbench.ts'
import { giveAttentionZeroKey, partsOfAttention } from './zero-key-attention.ts'
import { giveMultiHeadZeroKey, partsOfMultiHead } from './zero-key-multi-head.ts'
import type { SinkLogits } from './zero-row.ts'
import { isZeroSink, simplest } from './zero-row.ts'

/** How a fused operator becomes Softmax1 without being opened. */
export interface InPlacePlan {
  readonly form: Form
  /** Oldest runtime version that runs the result right; `undefined` when any does. */
  readonly since: string | undefined
  /** The provider it was planned for, when not every one is right. */
  readonly provider: string | undefined
  apply(): void
}

/** Why it cannot. */
export interface InPlaceRefusal {
  /** The form that was looked at; `undefined` when the target has none for the operator. */
  readonly form: Form | undefined
  readonly refused: string
}

interface FusedConversion {
  parts(node: Node, bench: Workbench, sink: SinkLogits): FusedPart[] | Unsupported
  apply(node: Node, bench: Workbench, sink: SinkLogits): void
}

const conversions: ReadonlyMap<string, FusedConversion> = new Map<string, FusedConversion>([
  ['Attention', { parts: partsOfAttention, apply: giveAttentionZeroKey }],
  ['com.microsoft::MultiHeadAttention', { parts: partsOfMultiHead, apply: giveMultiHeadZeroKey }],
  ['com.microsoft::GroupQueryAttention', { parts: partsOfGroupQuery, apply: giveGroupQuerySink }],
  ['com.microsoft::PagedAttention', { parts: partsOfPaged, apply: giveHeadSink }],
])

/** Plans the conversion of a fused operator where it stands, for a target and a sink. */
export function planInPlace(
  site: Site,
  wanted: { readonly sink: SinkLogits; readonly target: TargetChoice },
  facts: Facts,
  shared: SharedValues,
): InPlacePlan | InPlaceRefusal {
  const { node } = site
  const spec = wanted.target.target.fused.find((s) => s.op === node.op)
  const conversion = conversions.get(node.op)
  if (!spec || !conversion)
    return {
      form: undefined,
      refused: `the target "${wanted.target.target.name}" has no form of ${node.op} with a sink`,
    }
  const dtype = typeOfFused(node)
  if (dtype === undefined) return { form: spec.form, refused: `"${node.label}" has an unknown element type` }
  const bench = new Workbench(node, dtype, facts, shared)
  if (bench.op.has(13) === undefined)
    return { form: spec.form, refused: `"${node.label}" is in a function whose opset is far from that of the model` }
  const sink = simplest(wanted.sink)
  const parts = conversion.parts(node, bench, sink)
  if ('unsupported' in parts) return { form: spec.form, refused: `"${node.label}" ${parts.unsupported}` }
  const all = isZeroSink(sink)
    ? parts
    : [...parts, typeof sink === 'number' ? ('sink' as const) : ('sink-per-head' as const)]
  const refused = fusedObjection(spec, wanted.target, all, dtype)
  if (refused !== undefined) return { form: spec.form, refused }
  const provider = fusedNeedsProvider(spec, all) ? wanted.target.provider : undefined
  const apply = (): void => conversion.apply(node, bench, sink)
  return { form: spec.form, since: fusedSince(spec, all), provider, apply }
}

/** Element type of queries, keys and values. */
export function typeOfFused(node: Node): number | undefined {
  const known = (value: Value | undefined): number | undefined => value && dtypeOf(value)
  return known(node.output()) ?? [0, 1, 2].map((port) => known(node.input(port))).find((dtype) => dtype !== undefined)
}
