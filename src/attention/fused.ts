import type { Node, Value } from '../ir/index.ts'
import { annotationOf, dtypes } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import type { Column } from './column.ts'
import { columnOf, isHidden, isZero } from './column.ts'
import type { Sink } from './site.ts'

/** Where a fused attention operator keeps what decides its sink. Input indexes; missing: it has no such input. */
interface FusedForm {
  /** Keys and values as [.., T, features], when they are inputs of their own. */
  readonly key?: number
  readonly value?: number
  readonly pastKey?: number
  readonly pastValue?: number
  /** Masks whose last axis is T. */
  readonly masks?: readonly number[]
  /** The mask that may be a length for each row instead. */
  readonly lengths?: number
  /** An added key bias makes a zero key not zero. */
  readonly bias?: number
  /** Attribute that masks the future, with its default. */
  readonly causal?: readonly [name: string, otherwise: number]
  readonly sink?: { readonly input?: number; readonly attribute?: string }
}

const forms: ReadonlyMap<string, FusedForm> = new Map<string, FusedForm>([
  ['Attention', { key: 1, value: 2, masks: [3], pastKey: 4, pastValue: 5, causal: ['is_causal', 0] }],
  ['ai.onnx.preview::FlexAttention', {}],
  ['com.microsoft::Attention', {}],
  [
    'com.microsoft::MultiHeadAttention',
    { key: 1, value: 2, bias: 3, masks: [4, 5], lengths: 4, pastKey: 6, pastValue: 7, causal: ['unidirectional', 0] },
  ],
  ['com.microsoft::GroupQueryAttention', { sink: { input: 11, attribute: 'smooth_softmax' } }],
  ['com.microsoft::PagedAttention', { sink: { input: 11 } }],
  ['com.microsoft::DecoderAttention', {}],
  ['com.microsoft::DecoderMaskedSelfAttention', {}],
  ['com.microsoft::DecoderMaskedMultiHeadAttention', {}],
  ['com.microsoft::PackedAttention', {}],
  ['com.microsoft::PackedMultiHeadAttention', {}],
  ['com.microsoft::SparseAttention', {}],
  ['com.microsoft::LongformerAttention', {}],
  ['com.microsoft::QAttention', {}],
  ['com.microsoft::QOrderedAttention', {}],
  ['com.microsoft::QOrderedLongformerAttention', {}],
  ['outeffhop::HopfieldAttention', { sink: { input: 4 } }],
])

/** Whether a node is one operator for a whole attention, softmax included. */
export function isFusedAttention(node: Node, facts: Facts): boolean {
  if (facts.callee(node)) return node.domain === 'outeffhop' && forms.has(node.op)
  return forms.has(node.op) || isUnknownAttention(node)
}

/** An operator of a foreign domain that calls itself attention. Linear and deformable attention have no softmax over scores. */
export function isUnknownAttention(node: Node): boolean {
  return (
    !forms.has(node.op) &&
    node.domain !== '' &&
    /attention|sdpa/i.test(node.opType) &&
    !/linear|deform/i.test(node.opType)
  )
}

/** The sink of a fused operator: from its attribute or input, or from a zero row in front of or behind its keys and values. */
export function fusedSink(node: Node, facts: Facts): Sink {
  const form = forms.get(node.op)
  if (!form) return { kind: 'none' }
  if (node.op === 'outeffhop::HopfieldAttention') return givenSink(node.input(4), facts) ?? { kind: 'zero' }
  if (form.sink) {
    const given = form.sink.input === undefined ? undefined : givenSink(node.input(form.sink.input), facts)
    if (given) return given.kind === 'zero' || annotationOf(node, 'form') !== undefined ? given : { kind: 'learned' }
    const smooth = form.sink.attribute !== undefined && facts.int(node, form.sink.attribute) === 1
    return smooth ? { kind: 'zero' } : { kind: 'none' }
  }
  return zeroKeySink(node, form, facts)
}

function givenSink(value: Value | undefined, facts: Facts): Sink | undefined {
  if (!value) return undefined
  const numbers = facts.numbers(value)
  if (!numbers) return { kind: 'learned' }
  return numbers.every((s) => s === 0) ? { kind: 'zero' } : { kind: 'constant', value: numbers }
}

function zeroKeySink(node: Node, form: FusedForm, facts: Facts): Sink {
  const none: Sink = { kind: 'none' }
  if (form.bias !== undefined && node.input(form.bias)) return none
  const key = zeroRow(node, form.key, form.pastKey, facts)
  const value = zeroRow(node, form.value, form.pastValue, facts)
  if (!key || !value || key.side !== value.side || key.count !== value.count) return none
  const causal = form.causal && (facts.int(node, form.causal[0]) ?? form.causal[1]) !== 0
  // A causal mask hides a last key from all queries but the last.
  if (causal && key.side === 'last') return none
  const logits = (form.masks ?? []).flatMap((port) => {
    const mask = node.input(port)
    const lengths = port === form.lengths && mask && facts.rank(mask) === 1
    return mask ? [lengths ? lengthLogit(mask, key, facts) : maskLogit(mask, key, facts)] : []
  })
  if (logits.includes(undefined)) return none
  const count = Math.log(key.count ?? 1)
  const sink =
    logits.flatMap((l) => l ?? []).length > 1
      ? (logits.find((l) => l?.some((x) => x !== 0)) ?? [0])
      : (logits[0] ?? [0])
  if (isHidden(sink)) return none
  const shifted = sink.map((s) => s + count)
  return shifted.every((s) => s === 0) ? { kind: 'zero' } : { kind: 'constant', value: shifted }
}

/** A row of zeros in the keys or values themselves, or a past that is nothing but zeros. */
function zeroRow(node: Node, port: number | undefined, past: number | undefined, facts: Facts): Column | undefined {
  const cached = past === undefined ? undefined : node.input(past)
  if (cached) {
    const row = columnOf(cached, -2, facts)
    // The past comes first, so only a first row of it is the first key.
    if (row) return row.side === 'first' && isZero(row.value) ? row : undefined
    const count = facts.size(cached, -2)
    if (!facts.isConstant(cached) || !constantZero(cached, facts)) return undefined
    return {
      side: 'first',
      count: typeof count === 'number' ? count : undefined,
      value: [0],
      appended: [],
      isKey: true,
    }
  }
  const value = port === undefined ? undefined : node.input(port)
  const row = value && columnOf(value, -2, facts)
  return row && isZero(row.value) ? row : undefined
}

function constantZero(value: Value, facts: Facts): boolean {
  const numbers = facts.numbers(value)
  if (numbers) return numbers.every((x) => x === 0)
  const node = value.producer
  if (node?.op !== 'ConstantOfShape')
    return node?.op === 'Expand' && node.input(0) ? constantZero(node.input(0) as Value, facts) : false
  const fill = node.attributes.get('value')
  return fill?.kind !== 'tensor' || facts.contentOf(fill.value)?.[0] === 0
}

/** A first key counts wherever the lengths are one more than something. */
function lengthLogit(lengths: Value, key: Column, facts: Facts): readonly number[] | undefined {
  const add = lengths.producer
  const more = add?.op === 'Add' && add.inputs.some((v) => (facts.scalar(v) ?? 0) >= 1)
  return more && key.side === 'first' ? [0] : undefined
}

/** The logit a mask adds to the extra key: its own number, or 0 where a boolean or integer mask shows the key. */
function maskLogit(mask: Value, key: Column, facts: Facts): readonly number[] | undefined {
  const column = columnOf(mask, -1, facts)
  if (!column || column.side !== key.side || !Array.isArray(column.value)) return undefined
  const counts = mask.dtype === dtypes.bool || mask.dtype === dtypes.int32 || mask.dtype === dtypes.int64
  if (!counts) return column.value as readonly number[]
  return (column.value as readonly number[]).every((x) => x !== 0) ? [0] : undefined
}
