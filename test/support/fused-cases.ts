import type { Dense } from './attention-reference.ts'
import { attend, broadcastPick, concat, generate, mergeHeads, pick, splitHeads } from './attention-reference.ts'
import type { Feed, OperatorModel } from './fused-model.ts'
import { integers, TestData } from './fused-model.ts'

/** One input form of a fused operator, with what it means in float64. */
export interface FusedCase {
  readonly name: string
  readonly model: OperatorModel
  /** The outputs of the model, in order, for a sink per head (`-Infinity`: plain softmax). */
  reference(sink: (head: number) => number): readonly Dense[]
  readonly heads: number
  /** ONNX Runtime's CPU provider refuses the operator itself in this form. */
  readonly cannotRun?: boolean
  /** Fully masked rows: plain softmax over them is not compared. */
  readonly maskedRows?: boolean
}

const B = 2
const S = 5
const T = 6
const H = 4
const D = 8
const E = H * D
const lowest = -3.4028234663852886e38

type Bias = (b: number, h: number, i: number, j: number) => number

const none: Bias = () => 0

/** Keys of the future. */
function causal(past: number, fill = Number.NEGATIVE_INFINITY): Bias {
  return (_b, _h, i, j) => (j > i + past ? fill : 0)
}

function added(mask: Dense): Bias {
  return (b, h, i, j) => broadcastPick(mask, [b, h, i, j])
}

function shown(mask: Dense, fill: number): Bias {
  const rank = mask.dims.length
  return (b, h, i, j) => {
    const index = rank === 2 ? [b, j] : rank === 3 ? [b, i, j] : [b, h, i, j]
    return pick(mask, index) > 0 ? 0 : fill
  }
}

function sum(...biases: readonly Bias[]): Bias {
  return (b, h, i, j) => biases.reduce((total, bias) => total + bias(b, h, i, j), 0)
}

/** The lowest number where a key is hidden, in place of what a mask says. */
function overruled(hidden: (b: number, i: number, j: number) => boolean, fill: number, otherwise: Bias): Bias {
  return (b, h, i, j) => (hidden(b, i, j) ? fill : otherwise(b, h, i, j))
}

/** Cases of com.microsoft::MultiHeadAttention. */
export function multiHeadCases(): FusedCase[] {
  const data = new TestData(11)
  const q = data.floats([B, S, E], ['B', 'S', E])
  const k = data.floats([B, T, E], ['B', 'T', E])
  const v = data.floats([B, T, H * 6], ['B', 'T', H * 6])
  const ks = data.floats([B, S, E], ['B', 'S', E])
  const vs = data.floats([B, S, E], ['B', 'S', E])
  const k4 = data.floats([B, H, T, D], ['B', H, 'T', D])
  const v4 = data.floats([B, H, T, D], ['B', H, 'T', D])
  const past = [0, 1].map(() => data.floats([B, H, 3, D], ['B', H, 'P', D])) as [Feed, Feed]
  const bias = data.floats([2 * E + H * 6])
  const padding = data.flags('int32', [B, T], ['B', 'T'])
  const allPadded = integersOf([B, T], (i) => (i < T ? 1 : 0), ['B', 'T'])
  const withPast = data.flags('int32', [B, S + 3], ['B', 'P_plus_S'])
  const rows = withFirstKey(data.flags('int32', [B, S, T], ['B', 'S', 'T']))
  const perHead = data.floats([B, H, S, T], ['B', H, 'S', 'T'], { spread: 2 })
  const shared = data.floats([1, 1, S, T], [1, 1, 'S', 'T'], { spread: 2 })
  interface Form {
    readonly inputs: readonly (Feed | undefined)[]
    readonly attributes?: Record<string, number>
    readonly outputs?: readonly (string | undefined)[]
    readonly bias?: Bias
    readonly parts?: readonly [Dense, Dense, Dense]
    readonly cannotRun?: boolean
    readonly maskedRows?: boolean
  }
  const make = (name: string, form: Form): FusedCase => {
    const [query, key, value, projection, , , pastKey, pastValue] = form.inputs
    const plus = (x: Dense, from: number): Dense =>
      projection ? generate(x.dims, (i) => pick(x, i) + pick(projection.value, [from + (i[2] ?? 0)])) : x
    const split = (feed: Feed | undefined, from: number): Dense =>
      feed?.value.dims.length === 4 ? feed.value : splitHeads(plus(feed!.value, from), H)
    const parts = form.parts ?? [split(query, 0), split(key, E), split(value, 2 * E)]
    const joined = [1, 2].map((i) => {
      const cached = i === 1 ? pastKey : pastValue
      return cached ? concat(cached.value, parts[i] as Dense, 2) : (parts[i] as Dense)
    }) as [Dense, Dense]
    return {
      name: `MultiHeadAttention: ${name}`,
      heads: H,
      model: {
        op: 'MultiHeadAttention',
        domain: 'com.microsoft',
        inputs: form.inputs,
        attributes: { num_heads: H, ...form.attributes },
        outputs: form.outputs ?? ['y'],
      },
      reference(sink) {
        const result = attend({
          q: parts[0] as Dense,
          k: joined[0],
          v: joined[1],
          scale: form.attributes?.scale,
          bias: form.bias ?? none,
          sink,
        } as Parameters<typeof attend>[0])
        return [mergeHeads(result.output), joined[0], joined[1], result.scores].filter(
          (_, i) => (form.outputs ?? ['y'])[i] !== undefined,
        )
      },
      ...(form.cannotRun ? { cannotRun: true } : {}),
      ...(form.maskedRows ? { maskedRows: true } : {}),
    }
  }
  const present = ['y', 'present_key', 'present_value']
  const packed = data.floats([B, S, H, 3, D], ['B', 'S', H, 3, D])
  const packedKv = data.floats([B, T, H, 2, D], ['B', 'T', H, 2, D])
  const unpacked = (x: Feed, index: number): Dense => {
    const [b = 0, s = 0, h = 0, , d = 0] = x.value.dims
    return generate([b, h, s, d], ([i = 0, j = 0, l = 0, m = 0]) => pick(x.value, [i, l, j, index, m]))
  }
  return [
    make('self', { inputs: [q, ks, vs] }),
    make('cross, values of another size', { inputs: [q, k, v] }),
    make('scale', { inputs: [q, k, v], attributes: { scale: 0.3 } }),
    make('projection bias', { inputs: [q, k, v, bias] }),
    make('keys and values split into heads', { inputs: [q, k4, v4] }),
    make('split keys, values and a bias for the queries', {
      inputs: [q, k4, v4, data.floats([3 * E])],
    }),
    make('present without past', { inputs: [q, k, v, bias], outputs: present }),
    make('past and present', { inputs: [q, ks, vs, undefined, undefined, undefined, ...past], outputs: present }),
    make('unidirectional', {
      inputs: [q, ks, vs],
      attributes: { unidirectional: 1 },
      bias: causal(0, lowest),
    }),
    make('unidirectional with past and bias', {
      inputs: [q, ks, vs, data.floats([3 * E]), undefined, undefined, ...past],
      attributes: { unidirectional: 1 },
      outputs: present,
      bias: causal(3, lowest),
    }),
    make('one query with past', {
      inputs: [
        data.floats([B, 1, E], ['B', 1, E]),
        data.floats([B, 1, E], ['B', 1, E]),
        data.floats([B, 1, E], ['B', 1, E]),
        undefined,
        undefined,
        undefined,
        ...past,
      ],
      attributes: { unidirectional: 1 },
      outputs: present,
    }),
    make('key padding [B, T]', {
      inputs: [q, k, v, undefined, padding],
      bias: shown(padding.value, -10000),
    }),
    make('key padding that hides every key of a row', {
      inputs: [q, k, v, undefined, allPadded],
      bias: shown(allPadded.value, -10000),
      maskedRows: true,
    }),
    make('key padding filled with the lowest number', {
      inputs: [q, k, v, undefined, allPadded],
      attributes: { mask_filter_value: lowest },
      bias: shown(allPadded.value, lowest),
      maskedRows: true,
    }),
    make('key padding filled with -inf', {
      inputs: [q, k, v, undefined, allPadded],
      attributes: { mask_filter_value: Number.NEGATIVE_INFINITY },
      bias: shown(allPadded.value, Number.NEGATIVE_INFINITY),
      maskedRows: true,
    }),
    make('key padding and bias', { inputs: [q, k, v, bias, padding], bias: shown(padding.value, -10000) }),
    make('key padding as lengths [B]', {
      inputs: [q, k, v, undefined, integers('int32', [3, 6], ['B'])],
      bias: (b, _h, _i, j) => (j >= [3, 6][b]! ? -10000 : 0),
    }),
    make('key padding as lengths and offsets [3B + 2]', {
      inputs: [q, k, v, undefined, integers('int32', [3, 6, 0, 5, 10, 0, 6, 12], ['L'])],
      bias: (b, _h, _i, j) => (j >= [3, 6][b]! ? -10000 : 0),
    }),
    make('key padding [B, S, T]', { inputs: [q, k, v, undefined, rows], bias: shown(rows.value, -10000) }),
    make('key padding over past and present', {
      inputs: [q, ks, vs, undefined, withPast, undefined, ...past],
      outputs: present,
      bias: shown(withPast.value, -10000),
    }),
    make('unidirectional and key padding', {
      inputs: [q, ks, vs, undefined, data.flags('int32', [B, S], ['B', 'S'])],
      attributes: { unidirectional: 1 },
      get bias(): Bias {
        const mask = this.inputs[4]!.value
        return overruled((_b, i, j) => j > i, lowest, shown(mask, -10000))
      },
    }),
    make('attention bias [B, H, S, T]', {
      inputs: [q, k, v, undefined, undefined, perHead],
      bias: added(perHead.value),
    }),
    make('attention bias [1, 1, S, T]', { inputs: [q, k, v, undefined, undefined, shared], bias: added(shared.value) }),
    make('attention bias and key padding', {
      inputs: [q, k, v, undefined, padding, shared],
      bias: sum(added(shared.value), shown(padding.value, -10000)),
    }),
    make('scores as an output', {
      inputs: [q, k, v, undefined, undefined, shared],
      outputs: [...present, 'qk'],
      bias: added(shared.value),
    }),
    make('packed queries, keys and values', {
      inputs: [packed],
      parts: [unpacked(packed, 0), unpacked(packed, 1), unpacked(packed, 2)],
      cannotRun: true,
    }),
    make('packed keys and values', {
      inputs: [q, packedKv],
      parts: [splitHeads(q.value, H), unpacked(packedKv, 0), unpacked(packedKv, 1)],
      cannotRun: true,
    }),
  ]
}

function integersOf(
  dims: readonly number[],
  element: (i: number) => number,
  shape: readonly (string | number)[],
): Feed {
  const size = dims.reduce((a, b) => a * b, 1)
  return { dtype: 'int32', value: { dims, data: Float64Array.from({ length: size }, (_, i) => element(i)) }, shape }
}

/** Cases of com.microsoft::Attention. */
export function mergedCases(): FusedCase[] {
  const data = new TestData(12)
  const width = 12
  const x = data.floats([B, S, width], ['B', 'S', width])
  const weights = data.floats([width, 3 * E], undefined, { spread: 0.3 })
  const bias = data.floats([3 * E], undefined, { spread: 0.3 })
  const past = data.floats([2, B, H, 3, D], [2, 'B', H, 'P', D])
  const padding = data.flags('int32', [B, S], ['B', 'S'])
  const rows = withFirstKey(data.flags('int32', [B, S, S], ['B', 'S', 'S']))
  interface Form {
    readonly mask?: Feed
    readonly past?: Feed
    readonly attentionBias?: Feed
    readonly weights?: Feed
    readonly projection?: Feed
    readonly attributes?: Record<string, number | readonly number[]>
    readonly present?: boolean
    readonly bias?: Bias
    readonly maskedRows?: boolean
  }
  const make = (name: string, form: Form): FusedCase => {
    const w = form.weights ?? weights
    const b = form.projection ?? bias
    const sizes = (form.attributes?.qkv_hidden_sizes as number[] | undefined) ?? [E, E, E]
    const all = generate([B, S, w.value.dims[1]!], ([i = 0, s = 0, e = 0]) => {
      let total = pick(b.value, [e])
      for (let c = 0; c < width; c++) total += pick(x.value, [i, s, c]) * pick(w.value, [c, e])
      return total
    })
    const from = [0, sizes[0]!, sizes[0]! + sizes[1]!]
    const parts = sizes.map((size, part) =>
      splitHeads(
        generate([B, S, size], ([i = 0, s = 0, e = 0]) => pick(all, [i, s, from[part]! + e])),
        H,
      ),
    ) as [Dense, Dense, Dense]
    const cached = (index: number): Dense | undefined =>
      form.past && generate([B, H, 3, D], (i) => pick(form.past!.value, [index, ...i]))
    const k = form.past ? concat(cached(0)!, parts[1], 2) : parts[1]
    const v = form.past ? concat(cached(1)!, parts[2], 2) : parts[2]
    const present = form.present
      ? generate([2, ...k.dims], ([which = 0, ...i]) => pick(which === 0 ? k : v, i))
      : undefined
    return {
      name: `Attention with merged weights: ${name}`,
      heads: H,
      model: {
        op: 'Attention',
        domain: 'com.microsoft',
        inputs: [x, w, b, form.mask, form.past, form.attentionBias],
        attributes: { num_heads: H, ...form.attributes },
        outputs: form.present ? ['y', 'present'] : ['y'],
      },
      reference(sink) {
        const scale = form.attributes?.scale as number | undefined
        const result = attend({
          q: parts[0],
          k,
          v,
          bias: form.bias ?? none,
          sink,
          ...(scale === undefined ? {} : { scale }),
        })
        return [mergeHeads(result.output), ...(present ? [present] : [])]
      },
      ...(form.maskedRows ? { maskedRows: true } : {}),
    }
  }
  const ends = integers('int32', [3, 5], ['B'])
  const spans = integers('int32', [4, 5, 1, 2], ['twoB'])
  const noKey = integersOf([B, S], (i) => (i < S ? 1 : 0), ['B', 'S'])
  const withPast = data.flags('int32', [B, S + 3], ['B', 'P_plus_S'])
  const perHead = data.floats([1, H, S, S], [1, H, 'S', 'S'], { spread: 2 })
  const single = data.floats([B, 1, S, S], ['B', 1, 'S', 'S'], { spread: 2 })
  return [
    make('no mask', {}),
    make('scale', { attributes: { scale: 0.3 } }),
    make('mask [B, T]', { mask: padding, bias: shown(padding.value, -10000) }),
    make('mask [B, T] and unidirectional', {
      mask: padding,
      attributes: { unidirectional: 1 },
      bias: overruled((_b, i, j) => j > i, lowest, shown(padding.value, -10000)),
    }),
    make('mask that hides every key of a row', { mask: noKey, bias: shown(noKey.value, -10000), maskedRows: true }),
    make('mask filled with the lowest number', {
      mask: noKey,
      attributes: { mask_filter_value: lowest },
      bias: shown(noKey.value, lowest),
      maskedRows: true,
    }),
    make('mask filled with -inf', {
      mask: noKey,
      attributes: { mask_filter_value: Number.NEGATIVE_INFINITY },
      bias: shown(noKey.value, Number.NEGATIVE_INFINITY),
      maskedRows: true,
    }),
    make('mask [B, S, T]', { mask: rows, bias: shown(rows.value, -10000) }),
    make('mask [B, S, T] and unidirectional', {
      mask: rows,
      attributes: { unidirectional: 1 },
      bias: overruled((_b, i, j) => j > i, lowest, shown(rows.value, -10000)),
    }),
    make('ends [B]', { mask: ends, bias: (b, _h, _i, j) => (j >= [3, 5][b]! ? -10000 : 0) }),
    make('ends and starts [2B]', {
      mask: spans,
      bias: (b, _h, _i, j) => (j >= [4, 5][b]! || j < [1, 2][b]! ? -10000 : 0),
    }),
    make('ends [B] of unknown length', {
      mask: { ...ends, shape: ['L'] },
      bias: (b, _h, _i, j) => (j >= [3, 5][b]! ? -10000 : 0),
    }),
    make('a mask that broadcasting left of none [B, 1]', { mask: integersOf([B, 1], () => 0, ['B', 1]) }),
    make('past and present', { past, present: true }),
    make('present without past', { present: true }),
    make('unidirectional with past', {
      past,
      present: true,
      attributes: { unidirectional: 1 },
      bias: causal(3, lowest),
    }),
    make('unidirectional with past and mask', {
      past,
      present: true,
      mask: withPast,
      attributes: { unidirectional: 1 },
      bias: overruled((_b, i, j) => j > i + 3, lowest, shown(withPast.value, -10000)),
    }),
    make('attention bias [1, H, S, T]', { attentionBias: perHead, bias: added(perHead.value) }),
    make('attention bias and mask', {
      attentionBias: single,
      mask: padding,
      bias: sum(added(single.value), shown(padding.value, -10000)),
    }),
    make('values of another size', {
      weights: data.floats([width, 2 * E + H * 6], undefined, { spread: 0.3 }),
      projection: data.floats([2 * E + H * 6], undefined, { spread: 0.3 }),
      attributes: { qkv_hidden_sizes: [E, E, H * 6] },
    }),
  ]
}

/** Cases of ai.onnx Attention. */
export function onnxCases(): FusedCase[] {
  const data = new TestData(13)
  const KV = 2
  const q = data.floats([B, H, S, D], ['B', H, 'S', D])
  const k = data.floats([B, KV, T, D], ['B', KV, 'T', D])
  const v = data.floats([B, KV, T, 6], ['B', KV, 'T', 6])
  const ks = data.floats([B, KV, S, D], ['B', KV, 'S', D])
  const vs = data.floats([B, KV, S, 6], ['B', KV, 'S', 6])
  const q3 = data.floats([B, S, E], ['B', 'S', E])
  const k3 = data.floats([B, S, KV * D], ['B', 'S', KV * D])
  const v3 = data.floats([B, S, KV * 6], ['B', 'S', KV * 6])
  const past = [data.floats([B, KV, 3, D], ['B', KV, 'P', D]), data.floats([B, KV, 3, 6], ['B', KV, 'P', 6])] as const
  const heads3 = { q_num_heads: H, kv_num_heads: KV }
  const present = ['y', 'present_key', 'present_value']
  interface Form {
    readonly q?: Feed
    readonly k?: Feed
    readonly v?: Feed
    readonly mask?: Feed
    readonly past?: boolean
    readonly lengths?: readonly number[]
    readonly attributes?: Record<string, number>
    readonly outputs?: readonly (string | undefined)[]
    readonly bias?: Bias
    readonly opset?: number
    readonly cannotRun?: boolean
    readonly maskedRows?: boolean
    readonly exact?: boolean
  }
  const make = (name: string, form: Form): FusedCase => {
    const [query, key, value] = [form.q ?? q, form.k ?? k, form.v ?? v]
    const packed = query.value.dims.length === 3
    const split = (feed: Feed, count: number): Dense => (packed ? splitHeads(feed.value, count) : feed.value)
    const parts = [split(query, H), split(key, KV), split(value, KV)] as const
    const joinedKey = form.past ? concat(past[0].value, parts[1], 2) : parts[1]
    const joinedValue = form.past ? concat(past[1].value, parts[2], 2) : parts[2]
    const outputs = form.outputs ?? ['y']
    const { scale, softcap, qk_matmul_output_mode: mode = 0 } = form.attributes ?? {}
    return {
      name: `Attention of the standard: ${name}`,
      heads: H,
      model: {
        op: 'Attention',
        opset: form.opset ?? (form.lengths ? 24 : 23),
        inputs: [
          query,
          key,
          value,
          form.mask,
          ...(form.past ? past : [undefined, undefined]),
          form.lengths && integers('int64', form.lengths, ['B']),
        ],
        attributes: { ...(packed ? heads3 : {}), ...form.attributes },
        outputs,
      },
      reference(sink) {
        const result = attend({
          q: parts[0],
          k: joinedKey,
          v: joinedValue,
          bias: form.bias ?? none,
          sink,
          ...(scale === undefined ? {} : { scale }),
          ...(softcap === undefined ? {} : { softcap }),
        })
        const capped = softcap
          ? generate(result.raw.dims, (i) => softcap * Math.tanh(pick(result.raw, i) / softcap))
          : result.raw
        const shownScores = [result.raw, capped, result.scores, result.probabilities][mode] as Dense
        return [packed ? mergeHeads(result.output) : result.output, joinedKey, joinedValue, shownScores].filter(
          (_, i) => outputs[i] !== undefined,
        )
      },
      ...(form.cannotRun ? { cannotRun: true } : {}),
      ...(form.maskedRows ? { maskedRows: true } : {}),
    }
  }
  const mask2 = data.floats([S, T], ['S', 'T'], { spread: 2 })
  const mask4 = data.floats([B, 1, S, T], ['B', 1, 'S', 'T'], { spread: 2 })
  const maskH = data.floats([B, H, S, T], ['B', H, 'S', 'T'], { spread: 2 })
  const row = data.floats([B, 1, 1, T], ['B', 1, 1, 'T'], { spread: 2 })
  const bool4 = someShown(data, [B, 1, S, T], ['B', 1, 'S', 'T'])
  const bool2 = someShown(data, [S, T], ['S', 'T'])
  const hiddenRow = someShown(data, [B, 1, S, T], ['B', 1, 'S', 'T'], (b, i) => b === 1 && i === 2)
  const maskPast = data.floats([S, S + 3], ['S', 'P_plus_S'], { spread: 2 })
  const boolPast = someShown(data, [B, 1, S, S + 3], ['B', 1, 'S', 'P_plus_S'])
  const boolean =
    (mask: Feed): Bias =>
    (b, h, i, j) =>
      broadcastPick(mask.value, [b, h, i, j]) > 0 ? 0 : Number.NEGATIVE_INFINITY
  const beyond =
    (lengths: readonly number[]): Bias =>
    (b, _h, _i, j) =>
      j >= lengths[b]! ? Number.NEGATIVE_INFINITY : 0
  return [
    make('split heads, grouped', {}),
    make('merged heads', { q: q3, k: k3, v: v3 }),
    make('scale and soft cap', { attributes: { scale: 0.7, softcap: 1.3 } }),
    make('mask [S, T]', { mask: mask2, bias: added(mask2.value) }),
    make('mask [B, 1, S, T]', { mask: mask4, bias: added(mask4.value) }),
    make('mask [B, H, S, T]', { mask: maskH, bias: added(maskH.value) }),
    make('mask [B, 1, 1, T]', { mask: row, bias: added(row.value), cannotRun: true }),
    make('boolean mask [B, 1, S, T]', { mask: bool4, bias: boolean(bool4) }),
    make('boolean mask [S, T]', { mask: bool2, bias: boolean(bool2) }),
    make('boolean mask that hides every key of a query', {
      mask: hiddenRow,
      bias: boolean(hiddenRow),
      maskedRows: true,
    }),
    make('causal', { k: ks, v: vs, attributes: { is_causal: 1 }, bias: causal(0) }),
    make('causal with merged heads', { q: q3, k: k3, v: v3, attributes: { is_causal: 1 }, bias: causal(0) }),
    make('causal with more keys than queries', { attributes: { is_causal: 1 }, bias: causal(0) }),
    make('causal and a mask', {
      k: ks,
      v: vs,
      attributes: { is_causal: 1 },
      mask: data.floats([S, S], ['S', 'S']),
      get bias(): Bias {
        return sum(causal(0), added(this.mask!.value))
      },
    }),
    make('past and present', { k: ks, v: vs, past: true, outputs: present }),
    make('causal with past', {
      k: ks,
      v: vs,
      past: true,
      outputs: present,
      attributes: { is_causal: 1 },
      bias: causal(3),
    }),
    make('merged heads and past', { q: q3, k: k3, v: v3, past: true, outputs: present }),
    make('present without past', { outputs: present }),
    make('causal with past and mask', {
      k: ks,
      v: vs,
      past: true,
      outputs: present,
      mask: maskPast,
      attributes: { is_causal: 1 },
      bias: sum(causal(3), added(maskPast.value)),
    }),
    make('past and boolean mask', {
      k: ks,
      v: vs,
      past: true,
      outputs: present,
      mask: boolPast,
      bias: boolean(boolPast),
    }),
    make('soft cap under a mask', {
      mask: bool4,
      attributes: { softcap: 1.2 },
      bias: boolean(bool4),
    }),
    ...[0, 1, 2, 3].map((mode) =>
      make(`scores as an output, mode ${mode}`, {
        mask: mask4,
        bias: added(mask4.value),
        outputs: [...present, 'qk'],
        attributes: { softcap: 1.2, qk_matmul_output_mode: mode },
      }),
    ),
    make('lengths of an outer cache', { lengths: [4, 6], bias: beyond([4, 6]) }),
    make('lengths and a mask', { lengths: [4, 6], mask: mask4, bias: sum(beyond([4, 6]), added(mask4.value)) }),
    make('lengths and causal', {
      lengths: [5, 6],
      attributes: { is_causal: 1 },
      bias: sum(beyond([5, 6]), (b, _h, i, j) => (j > i + [5, 6][b]! - S ? Number.NEGATIVE_INFINITY : 0)),
    }),
    make('a window on both sides', {
      opset: 25,
      attributes: { left_window_size: 2, right_window_size: 1 },
      bias: (_b, _h, i, j) => (j < i - 2 || j > i + 1 ? Number.NEGATIVE_INFINITY : 0),
      cannotRun: true,
    }),
    make('a causal window with past', {
      opset: 25,
      k: ks,
      v: vs,
      past: true,
      outputs: present,
      attributes: { is_causal: 1, left_window_size: 2 },
      bias: (_b, _h, i, j) => (j < i + 3 - 2 || j > i + 3 ? Number.NEGATIVE_INFINITY : 0),
      cannotRun: true,
    }),
    make('softmax in another precision', { attributes: { softmax_precision: 11 } }),
  ]
}

/** No row of a mask hides the first key: every query keeps one, whatever is causal. */
function withFirstKey(mask: Feed): Feed {
  const width = mask.value.dims.at(-1)!
  for (let i = 0; i < mask.value.data.length; i += width) mask.value.data[i] = 1
  return mask
}

/** A boolean mask in which every row shows some key, but those that are named. */
function someShown(
  data: TestData,
  dims: readonly number[],
  shape: readonly (string | number)[],
  hidden: (b: number, i: number) => boolean = () => false,
): Feed {
  const feed = data.flags('bool', dims, shape)
  const width = dims.at(-1)!
  const rows = dims.at(-2)!
  for (let r = 0; r < feed.value.data.length / width; r++) {
    const [b, i] = [Math.floor(r / rows), r % rows]
    if (hidden(b, i)) feed.value.data.fill(0, r * width, (r + 1) * width)
    else feed.value.data[r * width + (r % width)] = 1
  }
  return feed
}

/** Cases of com.microsoft::GroupQueryAttention. `any` is false where not every provider is right. */
export function groupQueryCases(): (FusedCase & { readonly any: boolean })[] {
  const data = new TestData(14)
  const KV = 2
  const size = 16
  const q = data.floats([B, S, H * size], ['B', 'S', H * size])
  const k = data.floats([B, S, KV * size], ['B', 'S', KV * size])
  const v = data.floats([B, S, KV * size], ['B', 'S', KV * size])
  const one = [H, KV, KV].map((n) => data.floats([B, 1, n * size], ['B', 1, n * size])) as [Feed, Feed, Feed]
  const past = [0, 1].map(() => data.floats([B, KV, 3, size], ['B', KV, 'P', size])) as [Feed, Feed]
  const bias = data.floats([1, H, S, S], [1, H, 'S', 'S'], { spread: 2 })
  interface Form {
    readonly qkv?: readonly [Feed, Feed, Feed]
    readonly past?: boolean
    readonly packed?: boolean
    readonly bias?: Feed
    readonly attributes?: Record<string, number>
    readonly scores?: 'before' | 'after'
    readonly hidden?: (i: number, j: number) => boolean
  }
  const make = (name: string, form: Form): FusedCase & { any: boolean } => {
    const [query, key, value] = form.qkv ?? [q, k, v]
    const length = query.value.dims[1] as number
    const total = length + (form.past ? 3 : 0)
    const packed: Feed = {
      ...query,
      value: concat(concat(query.value, key.value, 2), value.value, 2),
      shape: ['B', 'S', (H + 2 * KV) * size],
    }
    const own = [splitHeads(query.value, H), splitHeads(key.value, KV), splitHeads(value.value, KV)] as const
    const joined = [1, 2].map((i) => (form.past ? concat(past[i - 1]!.value, own[i] as Dense, 2) : (own[i] as Dense)))
    const { scale, softcap } = form.attributes ?? {}
    const future = (i: number, j: number): boolean => j > i + total - length || (form.hidden?.(i, j) ?? false)
    return {
      name: `GroupQueryAttention: ${name}`,
      heads: H,
      any: form.bias === undefined,
      model: {
        op: 'GroupQueryAttention',
        domain: 'com.microsoft',
        inputs: [
          ...(form.packed ? [packed, undefined, undefined] : [query, key, value]),
          ...(form.past ? past : [undefined, undefined]),
          integers('int32', [total - 1, total - 1], ['B']),
          integers('int32', [total], [1]),
          ...[undefined, undefined, undefined],
          form.bias,
        ],
        attributes: {
          num_heads: H,
          kv_num_heads: KV,
          ...form.attributes,
          ...(form.scores ? { qk_output: form.scores === 'before' ? 1 : 2 } : {}),
        },
        outputs: ['y', 'present_key', 'present_value', ...(form.scores ? ['qk'] : [])],
      },
      reference(sink) {
        const result = attend({
          q: own[0],
          k: joined[0] as Dense,
          v: joined[1] as Dense,
          bias: (b, h, i, j) =>
            future(i, j) ? Number.NEGATIVE_INFINITY : form.bias ? broadcastPick(form.bias.value, [b, h, i, j]) : 0,
          sink,
          ...(scale === undefined ? {} : { scale }),
          ...(softcap === undefined ? {} : { softcap }),
        })
        const scores = form.scores === 'before' ? [result.scores] : form.scores ? [result.probabilities] : []
        return [mergeHeads(result.output), joined[0] as Dense, joined[1] as Dense, ...scores]
      },
    }
  }
  return [
    make('a prompt', {}),
    make('packed', { packed: true }),
    make('scale and soft cap', { attributes: { scale: 0.4, softcap: 1.5 } }),
    make('a step with a past', { qkv: one, past: true }),
    make('a local window', { attributes: { local_window_size: 2 }, hidden: (i, j) => j <= i - 2 }),
    make('an attention bias', { bias }),
    make('scores as an output', { scores: 'before' }),
    make('probabilities as an output', { scores: 'after' }),
  ]
}
