import type { Node, Value } from '../../ir/index.ts'
import type { Facts, Size } from '../../ops/index.ts'
import { attend } from './attend.ts'
import type { Frame } from './bias.ts'
import { sumOf } from './bias.ts'
import type { Expansion, Unsupported } from './expansion.ts'
import { unsupported } from './expansion.ts'
import { maskProblem, paddingBias } from './padding.ts'
import type { Workbench } from './workbench.ts'

/** Inputs of com.microsoft::MultiHeadAttention. */
export const multiHeadInputs = {
  query: 0,
  key: 1,
  value: 2,
  bias: 3,
  padding: 4,
  attentionBias: 5,
  pastKey: 6,
  pastValue: 7,
  pastLength: 8,
  beams: 9,
} as const

/**
 * com.microsoft::MultiHeadAttention in standard operators, as ONNX Runtime's CPU kernel computes it: keys in the future get
 * the lowest finite number, padded keys `mask_filter_value`, then `attention_bias` is added.
 *
 * Query i sees key j when `j <= i + past`; for `unidirectional` with more keys than queries the providers of ONNX Runtime
 * differ, and this is the rule of its CPU provider for all queries but the last.
 */
export function expandMultiHeadAttention(node: Node, bench: Workbench): Expansion | Unsupported {
  const { op, facts } = bench
  const problem = problemOf(node, facts)
  if (problem) return problem
  const split = splitInputs(node, bench)
  const past = [multiHeadInputs.pastKey, multiHeadInputs.pastValue].map((port) => node.input(port))
  const [pastKey, pastValue] = past
  const k = pastKey ? op.Concat([pastKey, split.k], 2) : split.k
  const v = pastValue ? op.Concat([pastValue, split.v], 2) : split.v
  const frame: Frame = {
    queries: { value: split.q, axis: -2 },
    keys: { value: k, axis: -2 },
    offset: pastKey && { value: pastKey, axis: -2 },
  }
  const padding = paddingBias(node, bench, {
    mask: node.input(multiHeadInputs.padding),
    batch: { value: split.q, axis: -4 },
    frame,
    starts: false,
  })
  const result = attend(bench, {
    q: split.q,
    k,
    v,
    scale: facts.float(node, 'scale') || undefined,
    bias: sumOf(bench, padding, node.input(multiHeadInputs.attentionBias)),
  })
  return {
    scores: result.entering,
    normalised: result.normalised,
    outputs: [
      bench.mergeHeads(result.output),
      node.output(1) && k,
      node.output(2) && v,
      node.output(3) && result.scores,
    ],
  }
}

/** Why the operator cannot be read. */
function problemOf(node: Node, facts: Facts): Unsupported | undefined {
  const [query, key, value] = [0, 1, 2].map((port) => node.input(port))
  if (facts.int(node, 'num_heads') === undefined) return unsupported('does not say how many heads it has')
  if (node.input(multiHeadInputs.pastLength) || node.input(multiHeadInputs.beams))
    return unsupported('keeps its cache in a buffer that is shared between steps')
  if (!query) return unsupported('has no queries')
  if (!hasKnownBias(node, facts)) return unsupported('has a bias whose parts have unknown sizes')
  if (!key && facts.rank(query) === 3) return unsupported('packs queries, keys and values in one tensor of rank 3')
  if (key && value && (facts.rank(key) ?? facts.rank(value)) === undefined)
    return unsupported('has keys of unknown rank')
  return maskProblem(node.input(multiHeadInputs.padding), facts)
}

/** Queries, keys and values as [B, H, length, size], projection bias added. */
interface SplitInputs {
  readonly q: Value
  readonly k: Value
  readonly v: Value
}

/**
 * The layouts the operator takes: three [B, S, E]; q [B, S, E] with k, v [B, H, T, D]; q [B, S, E] with packed
 * [B, T, H, 2, D]; all packed as [B, S, H, 3, D].
 */
function splitInputs(node: Node, bench: Workbench): SplitInputs {
  const { facts, op } = bench
  const heads = facts.int(node, 'num_heads') as number
  const [query, key, value] = [0, 1, 2].map((port) => node.input(port)) as [Value, Value?, Value?]
  const [queryBias, keyBias, valueBias] = projectionBias(node, bench)
  const added = (x: Value, part: Value | undefined): Value => (part ? op.Add(x, part) : x)
  const unpacked = (x: Value, index: number, part: Value | undefined): Value => {
    const own = op.Squeeze(op.Slice(x, [index], [index + 1], [3]), [3])
    const biased = part ? op.Add(own, op.Reshape(part, op.ints([heads, -1]))) : own
    return op.Transpose(biased, [0, 2, 1, 3])
  }
  if (!key)
    return { q: unpacked(query, 0, queryBias), k: unpacked(query, 1, keyBias), v: unpacked(query, 2, valueBias) }
  const q = bench.splitHeads(added(query, queryBias), heads)
  if (!value) return { q, k: unpacked(key, 0, undefined), v: unpacked(key, 1, undefined) }
  // Keys that come split have their bias inside: it is a cross attention's cache.
  if ((facts.rank(key) ?? facts.rank(value)) === 4) return { q, k: key, v: value }
  return {
    q,
    k: bench.splitHeads(added(key, keyBias), heads),
    v: bench.splitHeads(added(value, valueBias), heads),
  }
}

/** Whether the sizes of the parts of its projection bias are known, where it has one. */
export function hasKnownBias(node: Node, facts: Facts): boolean {
  const bias = node.input(multiHeadInputs.bias)
  return !bias || hiddenSize(node, bias, facts) !== undefined
}

/** The parts of the bias [E + E + Ev] for q, k and v, whose sizes are known; none where there is no bias. */
export function projectionBias(node: Node, { op, facts }: Workbench): readonly (Value | undefined)[] {
  const bias = node.input(multiHeadInputs.bias)
  const hidden = bias && hiddenSize(node, bias, facts)
  if (!bias || hidden === undefined) return []
  const bounds = [0, hidden, 2 * hidden, Number.MAX_SAFE_INTEGER]
  return [0, 1, 2].map((i) => op.Slice(bias, [bounds[i] as number], [bounds[i + 1] as number], [0]))
}

/** The hidden size of q and k: declared, or a third of the bias where q, k and v come in one tensor or alike. */
function hiddenSize(node: Node, bias: Value, facts: Facts): number | undefined {
  const [query, key, value] = [0, 1, 2].map((port) => node.input(port))
  const total = facts.size(bias, -1)
  const size = (x: Value | undefined): Size | undefined => (x && facts.rank(x) === 3 ? facts.size(x, -1) : undefined)
  if (query && key && typeof size(query) === 'number') return size(query) as number
  if (typeof size(key) === 'number') return size(key) as number
  if (typeof total !== 'number') return undefined
  const ofValues = size(value)
  if (typeof ofValues === 'number') return (total - ofValues) / 2
  return value === undefined ? total / 3 : undefined
}
