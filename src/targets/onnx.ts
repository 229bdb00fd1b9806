import type { Target } from './target.ts'

/** Standard operators only: any runtime that follows the ONNX specification. */
export const onnx: Target = {
  name: 'onnx',
  summary: 'Standard operators only, for any runtime.',
  defaultVersion: undefined,
  domains: ['ai.onnx.ml'],
  operators: new Map(),
  attributes: [],
  lacks: new Set(),
  refusedTypes: [],
  opsets: [],
  irVersions: [],
  newest: undefined,
  quantized: 'kernels',
  fused: [],
  forms: [
    {
      form: 'zero-key',
      summary: 'A zero key and a zero value added to the plain operators, in place.',
      conditions: { sink: 'any', mask: true, copiesKeys: true },
      source: 'Exact by construction: softmax over the scores and one score equal to the sink.',
    },
    {
      form: 'function',
      summary: 'One HopfieldAttention node with a model-local function body.',
      conditions: { opset: 15, sink: 'any', mask: true, onRequest: true },
      source: 'ONNX IR specification, model-local functions (IR version 8).',
    },
    {
      form: 'primitives',
      summary: 'Softmax1 spelled with ReduceMax, Exp, ReduceSum and Div.',
      conditions: { sink: 'any', mask: true },
      source: 'The stable formula itself.',
    },
  ],
}
