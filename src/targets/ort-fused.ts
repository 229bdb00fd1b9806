import { dtypes } from '../ir/index.ts'
import type { FusedSpec } from './fused.ts'

const { float, float16 } = dtypes

/** Fused attention operators ONNX Runtime runs with a sink. Versions were measured on the CPU provider of the released packages. */
export const ortFused: readonly FusedSpec[] = [
  {
    op: 'Attention',
    form: 'attention-zero-key',
    conditions: { since: '1.23', dtypes: [float, float16] },
    parts: {
      mask: {},
      // 1.23 and 1.24 refuse a mask whose head axis is not 1.
      'mask-per-head': { since: '1.27' },
      causal: {},
      cache: {},
      'present-alone': { since: '1.24' },
      // 1.24 gives the masked scores for every mode.
      scores: { since: '1.27' },
      // 1.23 and 1.24 cap after the mask, which shows masked keys.
      'softcap-and-mask': { since: '1.27' },
      // 1.24 ignores the lengths.
      lengths: { since: '1.27' },
      // 1.27 counts the causal frontier from the first key.
      'causal-lengths': { since: '1.30' },
      sink: {},
      'sink-per-head': { since: '1.27' },
    },
    source: 'Run on 1.23.2, 1.24.3, 1.27.0 and 1.30.0 against a float64 reference.',
  },
  {
    op: 'com.microsoft::MultiHeadAttention',
    form: 'mha-zero-key',
    conditions: { dtypes: [float, float16] },
    parts: {
      // 1.19 and 1.20 read masks wrongly when there are more keys than queries.
      mask: { since: '1.21' },
      bias: { since: '1.21' },
      causal: {},
      cache: {},
      'present-alone': {},
      scores: { since: '1.22' },
      sink: { since: '1.21' },
      'sink-per-head': { since: '1.21' },
    },
    source: 'Run on 1.20.1 to 1.30.0 against a float64 reference.',
  },
  {
    op: 'com.microsoft::GroupQueryAttention',
    form: 'gqa',
    conditions: { since: '1.20' },
    parts: {
      // The CUDA kernel refuses a bias beside a sink.
      bias: { since: '1.22', providers: ['cpu', 'webgpu'] },
      scores: { since: '1.23' },
      // Tried on 1.30 alone.
      'softcap-and-mask': { since: '1.30' },
      // Only the flash kernel of the CUDA provider reads the values of head_sink; on older GPUs they count as 0.
      sink: { since: '1.23', providers: ['cpu', 'webgpu'] },
      'sink-per-head': { since: '1.23', providers: ['cpu', 'webgpu'] },
    },
    source: 'Run on 1.20.1 to 1.30.0; CUDA and WebGPU kernels read in their source of 1.30.',
  },
  {
    op: 'com.microsoft::PagedAttention',
    form: 'gqa',
    // The WebGPU kernel refuses a sink, and there is no CPU kernel.
    conditions: { since: '1.30', providers: ['cuda'] },
    parts: { sink: {}, 'sink-per-head': {} },
    source: 'Schema and source of 1.30; not run.',
  },
]
