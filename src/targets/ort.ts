import { dtypes } from '../ir/index.ts'
import { ortFused } from './ort-fused.ts'
import { ortOperators } from './ort-operators.ts'
import { ortTraps } from './ort-traps.ts'
import type { Target } from './target.ts'

const { bfloat16, float, float16 } = dtypes

/** ONNX Runtime, its CPU, CUDA and WebGPU execution providers. */
export const ort: Target = {
  name: 'ort',
  summary: 'ONNX Runtime.',
  defaultVersion: '1.20',
  domains: ['ai.onnx.ml', 'com.microsoft', 'com.microsoft.nchwc', 'ai.onnx.preview.training', 'ai.onnx.training'],
  operators: ortOperators,
  // Read in its source: the CPU kernel took 4 bits only until onnxruntime#24384, which 1.22 was the first release to have.
  attributes: [{ op: 'com.microsoft::MatMulNBits', attribute: 'bits', value: 8, since: '1.22' }],
  lacks: new Set(),
  // A model of one Identity in each type was loaded in 1.17 to 1.30.
  refusedTypes: [dtypes.complex64, dtypes.complex128],
  // Measured by loading a one-node model of every opset and IR version in the releases 1.15 to 1.30; 1.19 is the oldest
  // release the forms were run on.
  opsets: [
    [26, '1.25'],
    [24, '1.24'],
    [23, '1.23'],
    [22, '1.21'],
    [0, '1.19'],
  ],
  irVersions: [
    [12, '1.24'],
    [11, '1.23'],
    [0, '1.19'],
  ],
  newest: { opset: 26, irVersion: 13 },
  quantized: 'kernels',
  fused: ortFused,
  runtimeTraps: ortTraps,
  forms: [
    {
      form: 'gqa',
      summary: 'One com.microsoft.GroupQueryAttention with smooth_softmax or head_sink.',
      conditions: {
        since: '1.30',
        providers: ['cpu'],
        dtypes: [float, float16],
        sink: 'any',
        mask: true,
        headSizeMultipleOf: 8,
        selfAttention: true,
      },
      source:
        'Measured on 1.19 to 1.30: the attribute causal=0 exists from 1.30. Read in its source: the WebGPU kernel refuses causal=0, the CUDA kernel refuses a bias beside a sink.',
    },
    {
      form: 'attention-zero-key',
      summary: 'A zero key and a zero value in front of the Attention operator of opset 23 and later.',
      conditions: {
        since: '1.23',
        providers: ['cpu'],
        opset: 23,
        dtypes: [float],
        sink: 'any',
        mask: true,
        copiesKeys: true,
      },
      source:
        'Measured on 1.23 to 1.30. In half precision it computes in half precision: slower than plain operators and less exact. Read in their source: the CUDA kernel of some releases refuses boolean masks and grouped heads, the WebGPU kernel says it is not implemented.',
    },
    {
      form: 'mha-zero-key',
      summary: 'A zero key and a zero value added to com.microsoft.MultiHeadAttention.',
      conditions: { dtypes: [float, float16], sink: 'zero', mask: false, copiesKeys: true },
      source:
        'Measured on 1.19 to 1.30 without a mask: a fast path of the CPU provider. With a bias right from 1.21 only.',
    },
    {
      form: 'zero-key',
      summary: 'A zero key and a zero value added to the plain operators, in place.',
      conditions: { sink: 'any', mask: true, copiesKeys: true },
      source: 'Measured on 1.19 to 1.30; standard operators only, so right on every provider.',
    },
    {
      form: 'function',
      summary: 'One HopfieldAttention node with a model-local function body; a kernel takes it where one is loaded.',
      conditions: { opset: 15, dtypes: [float, float16, bfloat16], sink: 'any', mask: true, onRequest: true },
      source:
        'Measured on 1.19 to 1.30: the body is inlined at load and optimised like the plain graph. Measured on 1.16, 1.17 and 1.32: a registered operator of the same name is taken in its place, and refuses element types it was not registered for.',
    },
    {
      form: 'primitives',
      summary: 'Softmax1 spelled with ReduceMax, Exp, ReduceSum and Div.',
      conditions: { sink: 'any', mask: true },
      source: 'Measured on 1.19 to 1.30; standard operators only.',
    },
  ],
}
