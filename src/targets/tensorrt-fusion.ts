import { dtypeName, dtypes } from '../ir/index.ts'
import type { FusionFacts, FusionRule } from './fusion.ts'

const built = 'Built with TensorRT-RTX 1.7.1 for SM 8.0, 8.9 and 12.0, one case on each side of the limit; '

/** What keeps TensorRT from making one kernel (`_gemm_mha_v2`, `_gemv_mha_v1`) of an attention step. */
export const tensorrtFusion: readonly FusionRule[] = [
  {
    code: 'float32-attention',
    holds: (facts) =>
      isHalf(facts.dtype) || facts.dtype === undefined || facts.quantized.type === 'int8' || isOneQuery(facts)
        ? undefined
        : 'breaks',
    message: ({ dtype }) => `multiplies in ${dtype === undefined ? 'an unknown type' : dtypeName(dtype)}`,
    advice: 'Convert with --float16 or --bfloat16.',
    source: `${built}float32 has no fused kernel but for one query, float16 and bfloat16 have.`,
  },
  {
    code: 'head-size',
    holds: (facts) => {
      const { headSize, quantized, spelling } = facts
      if (headSize === undefined || isOneQuery(facts)) return undefined
      if (quantized.type === 'int8') return [16, 32, 64].includes(headSize) ? undefined : 'breaks'
      const least = quantized.type === 'float8' && spelling === 'products' ? 1 : 9
      return headSize >= least && headSize <= 256 ? undefined : 'breaks'
    },
    message: ({ headSize, quantized, queries }) => {
      const range = quantized.type === 'int8' ? '16, 32 and 64 in int8' : '9 to 256'
      const single = queries === undefined && headSize === 8 ? ', and 8 where there is one query' : ''
      return `has heads of ${headSize}, fused are ${range}${single}`
    },
    advice: 'Leave the products of these heads in 16-bit floats, or fuse heads of another size.',
    source: `${built}8 and 257 are not fused, 9 and 256 are; in int8 24, 48, 80 and 128 are not; 8 are with one query. The developer guide says 16 to 256.`,
  },
  {
    code: 'value-size',
    holds: ({ headSize, valueSize }) =>
      headSize === undefined || valueSize === undefined || headSize === valueSize ? undefined : 'breaks',
    message: ({ headSize, valueSize }) => `has keys of ${headSize} and values of ${valueSize}`,
    advice: 'Pad the smaller of the two with zeros.',
    source: `${built}values of 16 to 128 beside keys of 64.`,
  },
  {
    code: 'one-key',
    holds: ({ keys, quantized }) => (keys === 1 && quantized.type !== 'float8' ? 'breaks' : undefined),
    message: () => 'has one key only',
    advice: 'Nothing: there is no row of scores to save.',
    source: `${built}one key is not fused, two are; one query is, by the kernel for it.`,
  },
  {
    code: 'order-of-axes',
    holds: ({ inOrder }) => (inOrder === false ? 'breaks' : undefined),
    message: () => 'has its keys or its values on the other side of a product, or turns scores around between both',
    advice: 'Write it as (q · kᵀ) · v, scores as [..., queries, keys].',
    source: `${built}a softmax over queries, (k · qᵀ)ᵀ, vᵀ · pᵀ, and scores with batch and heads swapped are not fused.`,
  },
  {
    code: 'no-batch',
    holds: ({ batch, rows }) => (batch === 'none' || (batch === 'one' && rows === 1) ? 'breaks' : undefined),
    message: () => 'has no batch of heads',
    advice: 'Multiply with an axis for batch and one for heads.',
    source: `${built}products of rank 2, and of rank 3 with one row, are not fused.`,
  },
  {
    code: 'fixed-shapes-only',
    holds: (facts) => (needsFixedShapes(facts) && !hasFixedKernel(facts) ? 'breaks' : undefined),
    message: ({ batch, op }) =>
      batch === 'one'
        ? 'has batch and heads in one axis of its inputs, and shapes that are not those of the kernel for it'
        : op === 'Softmax'
          ? 'changes the shape of its probabilities, and has shapes that are not those of the kernel for it'
          : `normalises by ${op} and not by Softmax, and has shapes that are not those of the kernel for it`,
    advice:
      'Take --form zero-key and operands of rank 4. With fixed shapes, float16, heads of 16, 32 or 64, and as many keys as queries, at most 512, it is fused.',
    source: `${built}\`_gemm_mha_v1\` at 2 to 512 queries and as many keys; not at 513, 127 to 128, heads of 72, bfloat16 or a dynamic axis.`,
  },
  {
    code: 'operator-before',
    holds: ({ before }) => (before.some((op) => !fusedBefore.has(op)) ? 'breaks' : undefined),
    message: ({ before }) => `has ${before.find((op) => !fusedBefore.has(op))} between its scores and the softmax`,
    advice: 'Move it in front of the product where that is the same function; a soft cap (Tanh) cannot be fused.',
    source: `${built}each operator alone between product and softmax: Tanh, Sigmoid, Relu, LeakyRelu, Elu, Softplus, Erf, Pow, Slice and Transpose are not fused.`,
  },
  {
    code: 'operator-after',
    holds: ({ after }) => (after.some((op) => !fusedAfter.has(op)) ? 'breaks' : undefined),
    message: ({ after }) =>
      `has ${after.find((op) => !fusedAfter.has(op))} between the softmax and the product with values`,
    advice: 'Mask before the softmax, and multiply the output and not the probabilities.',
    source: `${built}a product with a number, a Cast, and the guard Where(IsNaN(p), 0, p) stay fused; sums, maxima and products with a tensor do not.`,
  },
  {
    code: 'read-elsewhere',
    holds: ({ readElsewhere }) => (readElsewhere === undefined ? undefined : 'breaks'),
    message: ({ readElsewhere }) => `has "${readElsewhere}" read by something else too, so it has to be stored`,
    advice: 'Do not give out attention weights: export with output_attentions=False.',
    source: `${built}scores or probabilities as an output, and probabilities that weigh two values.`,
  },
  {
    code: 'partly-quantized',
    holds: ({ quantized }) => (quantized.type === 'mixed' ? 'breaks' : undefined),
    message: ({ quantized }) =>
      `has ${listed([...quantized.parts])} quantized right at its products, and not all that a fused kernel wants`,
    advice:
      'Quantize queries, keys, values and probabilities, in int8 the output too, with zero keys in front of the quantizers; or none.',
    source: `${built}in int8 all five, in float8 the first four; QuantizeLinear on probabilities alone, on both operands of the first product alone, or in front of a Pad of keys are not fused.`,
  },
  {
    code: 'int8-keys',
    holds: ({ quantized, keys }) => {
      if (quantized.type !== 'int8') return undefined
      return keys === undefined ? 'depends' : keys > 512 ? 'breaks' : undefined
    },
    message: ({ keys }) =>
      keys === undefined
        ? 'has a dynamic number of keys, and in int8 at most 512 are fused'
        : `has ${keys} keys, in int8 at most 512 are fused`,
    advice: 'Give a profile whose longest is at most 512, a zero key counted, or leave attention in 16-bit floats.',
    source: `${built}512 are fused and 513 not; a profile up to 1024 is not.`,
  },
  {
    code: 'int8-one-query',
    holds: ({ quantized, queries }) => (quantized.type === 'int8' && queries === 1 ? 'breaks' : undefined),
    message: () => 'has one query, for which there is no int8 kernel',
    advice: 'Leave attention in 16-bit floats.',
    source: `${built}one query and 128 keys are fused in float16 and float8.`,
  },
  {
    code: 'float8-keys',
    holds: ({ quantized, keys, queries }) => {
      if (quantized.type !== 'float8' || queries === 1) return undefined
      return keys === undefined ? 'depends' : keys < 32 ? 'breaks' : undefined
    },
    message: ({ keys }) =>
      keys === undefined
        ? 'has a dynamic number of keys, and in float8 at least 32 are fused'
        : `has ${keys} keys, in float8 at least 32 are fused`,
    advice: 'Give a profile whose shortest is at least 32.',
    source: `${built}31 are not fused and 32 are; a profile from 17 is not, one from 32 is. SM 8.0 builds no float8 at all.`,
  },
]

function isHalf(dtype: FusionFacts['dtype']): boolean {
  return dtype === dtypes.float16 || dtype === dtypes.bfloat16
}

/** One query has a kernel of its own (`_gemv_mha_v1`), in any float and for heads of multiples of 8. */
function isOneQuery({ queries, headSize, quantized, rows }: FusionFacts): boolean {
  if (queries !== 1 || quantized.type !== 'none' || rows === 1) return false
  return headSize !== undefined && headSize % 8 === 0 && headSize <= 256
}

/** Spellings that have a kernel of fixed shapes alone. */
function needsFixedShapes({ spelling, batch, op, before, after, quantized }: FusionFacts): boolean {
  if (spelling === 'operator' || quantized.type !== 'none') return false
  // Scores that were spread out for a mask and put together again are the ones that were there.
  const isReshaped = after.includes('Reshape') && !before.includes('Reshape')
  return batch === 'one' || op !== 'Softmax' || isReshaped
}

function hasFixedKernel(facts: FusionFacts): boolean {
  const { dtype, headSize, queries, keys, batch, rows } = facts
  if (batch === 'one' && rows !== undefined && isOneQuery(facts)) return true
  if (dtype !== dtypes.float16 || headSize === undefined || ![16, 32, 64].includes(headSize)) return false
  if (batch === 'one' && rows === undefined) return false
  return queries !== undefined && queries === keys && queries > 1 && queries <= 512
}

const fusedBefore = new Set(
  (
    'Add Sub Mul Div Scale Where Cast Identity Dropout Reshape Neg Abs Exp Sqrt Floor Sign Gelu Max Min Clip ' +
    'Squeeze Unsqueeze QuantizeLinear DequantizeLinear'
  ).split(' '),
)
const fusedAfter = new Set(
  'Cast Identity Dropout Reshape IsNaN IsNaN-Where Scale QuantizeLinear DequantizeLinear Squeeze Unsqueeze'.split(' '),
)

function listed(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? 'nothing') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}
