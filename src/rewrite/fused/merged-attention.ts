import type { Node, Value } from '../../ir/index.ts'
import { attend } from './attend.ts'
import type { Frame } from './bias.ts'
import { sumOf } from './bias.ts'
import type { Expansion, Unsupported } from './expansion.ts'
import { unsupported } from './expansion.ts'
import { maskProblem, paddingBias } from './padding.ts'
import type { Workbench } from './workbench.ts'

const inputs = { input: 0, weights: 1, bias: 2, mask: 3, past: 4, attentionBias: 5, pastLength: 6 } as const

/**
 * com.microsoft::Attention in standard operators, its projection `x·W + b` included, as ONNX Runtime's CPU kernel computes
 * it. W is [E, Eq + Ek + Ev], past and present are [2, B, H, length, D].
 */
export function expandMergedAttention(node: Node, bench: Workbench): Expansion | Unsupported {
  const { op, facts } = bench
  const [x, weights] = [node.input(inputs.input), node.input(inputs.weights)]
  const heads = facts.int(node, 'num_heads')
  if (!x || !weights || heads === undefined) return unsupported('lacks its input, its weights or its number of heads')
  if ((facts.int(node, 'do_rotary') ?? 0) !== 0)
    return unsupported('rotates its queries and keys, which only the CUDA provider of ONNX Runtime does')
  if (node.input(inputs.pastLength) || (facts.int(node, 'past_present_share_buffer') ?? 0) !== 0)
    return unsupported('keeps its cache in a buffer that is shared between steps')
  const unreadable = maskProblem(node.input(inputs.mask), facts)
  if (unreadable) return unreadable
  const sizes = hiddenSizes(node, weights, bench)
  if (sizes === undefined) return unsupported('has weights of unknown size')
  const [q, newKey, newValue] = projections(node, bench, { x, weights, sizes }).map((part) =>
    bench.splitHeads(part, heads),
  ) as [Value, Value, Value]
  const past = node.input(inputs.past)
  const cached = (index: number): Value[] =>
    past
      ? [bench.once(`past ${past.name} ${index}`, () => op.Squeeze(op.Slice(past, [index], [index + 1], [0]), [0]))]
      : []
  const k = past ? op.Concat([...cached(0), newKey], 2) : newKey
  const v = past ? op.Concat([...cached(1), newValue], 2) : newValue
  const frame: Frame = {
    queries: { value: q, axis: -2 },
    keys: { value: k, axis: -2 },
    offset: past && { value: past, axis: -2 },
  }
  const padding = paddingBias(node, bench, {
    mask: node.input(inputs.mask),
    batch: { value: x, axis: -3 },
    frame,
    starts: true,
  })
  const scale = facts.float(node, 'scale') || 1 / Math.sqrt(sizes[0] / heads)
  const bias = sumOf(bench, padding, node.input(inputs.attentionBias))
  const result = attend(bench, { q, k, v, scale, bias })
  const present = node.output(1) && op.Concat([op.Unsqueeze(k, [0]), op.Unsqueeze(v, [0])], 0)
  return { scores: result.entering, normalised: result.normalised, outputs: [bench.mergeHeads(result.output), present] }
}

/** Hidden sizes of q, k and v: given, or thirds of the weights. */
function hiddenSizes(node: Node, weights: Value, { facts }: Workbench): [number, number, number] | undefined {
  const given = facts.ints(node, 'qkv_hidden_sizes')
  if (given?.length === 3) return given as [number, number, number]
  const total = facts.size(weights, -1) ?? facts.size(node.input(inputs.bias) ?? weights, -1)
  if (typeof total !== 'number') return undefined
  return [total / 3, total / 3, total / 3]
}

/** `x·W + b` in one product, cut into q, k and v, each [B, S, hidden]. */
function projections(
  node: Node,
  { op }: Workbench,
  { x, weights, sizes }: { x: Value; weights: Value; sizes: readonly number[] },
): Value[] {
  const bias = node.input(inputs.bias)
  const product = op.MatMul(x, weights)
  const all = bias ? op.Add(product, bias) : product
  return op.Split(all, sizes, 2)
}
