/** The words of every verdict: one sentence a user understands, with names. */
import type { Node } from '../ir/index.ts'
import type { Reason, Verdict, VerdictKind } from './site.ts'

const sentences: Record<Reason, (node: string, detail: string) => string> = {
  'axis-unknown': (n, d) => `${n} normalises an axis that cannot be told: the rank of its input is unknown${d}.`,
  'callers-disagree': (n, d) => `${n} is in a function whose calls use it differently (${d}).`,
  'channel-attention': (n, d) => `${n} weighs channels: its scores ${d}sum over positions, not over features.`,
  excluded: (n) => `${n} was left alone because its name was not selected.`,
  'flattened-axes': (n) => `${n} normalises several axes at once (Softmax before opset 13).`,
  'fused-operator': (n, d) => `${n} ${d}`,
  'kernel-approximation': (n) =>
    `${n} is a factor of a product of softmaxes (a kernel approximation), not a lookup of values.`,
  'k-is-weight': (n, d) => `${n} scores its input against a constant${d}, as a classifier or router does.`,
  'late-division': (n) =>
    `${n} divides a product with values by a sum of exponentials, and that the division could come first is not certain.`,
  'learned-sink': (n, d) => `${n} has a learned sink in its denominator already${d}.`,
  'log-softmax': (n) => `${n} is a LogSoftmax whose logarithms are used: a classifier's output, not attention weights.`,
  'loop-carried': (n) => `${n} takes its scores from an earlier turn of a loop, where they cannot be followed.`,
  'masked-exponentials': (n) => `${n} masks after the exponential, which no Softmax1 expresses directly.`,
  'masked-logarithms': (n) =>
    `${n} is a LogSoftmax whose logarithms are changed (by a mask, say) before Exp makes weights for values of them: it may ` +
    'be attention, and no Softmax1 takes its place as it stands. Mask the scores before it instead.',
  'no-score': (n, d) => `${n} does not normalise scores of queries against keys: ${d}.`,
  'no-value': (n, d) => `${n} is not used to average values: ${d}.`,
  'other-base': (n) =>
    `${n} raises a base other than e to its scores; Softmax1 takes them as powers of e. Multiply them by the logarithm of the ` +
    'base and use Exp.',
  'pairwise-score': (n, d) =>
    `${n} normalises scores that combine keys with queries (${d}) otherwise than by a plain product: it may be attention.`,
  'q-is-weight': (n, d) =>
    `${n} pools with ${d}, which no projection made; say so with the pooling policy if it should count.`,
  'quantized-softmax': (n) =>
    `${n} is a softmax from integers to integers, which nothing can be added to: convert the float model, then quantize it.`,
  'static-memory': (n) =>
    `${n} looks up constant keys and values; say so with the static-memories policy if it should count.`,
  'too-many-calls': (n, d) =>
    `${n} is in a function that is called more than ${d} times, and what the other calls use it for was not looked at.`,
  'unknown-denominator': (n) => `${n} adds something unknown to its denominator.`,
  'unknown-normalisation': (n) =>
    `${n} turns scores into weights for values, and how they are normalised is not known.`,
  'unknown-shift': (n) =>
    `${n} has something subtracted from each row that is not the maximum of what enters it (another maximum, a mean): a shift ` +
    'that softmax ignores and Softmax1 does not.',
  'unknown-sink': (n) => `${n} has a sink that is computed from data.`,
  'unshifted-one': (n) =>
    `${n} is exp(x - max) / (1 + Σ exp(x - max)), as in GERM and the package softmax_one: its 1 is not shifted, so it is ` +
    'neither softmax nor Softmax1. Convert it by name to make it Softmax1.',
  'v-constant': (n, d) => `${n} averages constants${d} (coordinates or a codebook), not values.`,
}

/** A verdict with a reason code. `detail` completes the sentence of the reason. */
export function because(kind: VerdictKind, reason: Reason, node: Node, detail = ''): Verdict {
  return { kind, reason, message: sentences[reason](quote(node), detail) }
}

export function isAttention(node: Node, score: Node, value: Node): Verdict {
  const message = `${quote(node)} turns the scores of ${quote(score)} into weights for the values of ${quote(value)}.`
  return { kind: 'attention', reason: null, message }
}

export function isForced(node: Node): Verdict {
  return { kind: 'attention', reason: null, message: `${quote(node)} counts as attention because it was named.` }
}

export function isAlready(node: Node, how: string): Verdict {
  return { kind: 'already-softmax1', reason: null, message: `${quote(node)} is Softmax1 already: ${how}.` }
}

export function quote(node: Node): string {
  return `"${node.label}"`
}
