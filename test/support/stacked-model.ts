import { elementsToBytes } from '../../src/ir/elements.ts'
import { dtypes, OwnedPayload, Tensor } from '../../src/ir/index.ts'
import { modelToBytes, parseModel } from '../../src/onnx/index.ts'
import { random } from './random.ts'

const [width, inner, heads] = [128, 512, 16]

/** An encoder of many layers, width 128 and 16 heads, random weights, names as exporters give them. */
export function stackedModel(layers: number): Uint8Array {
  const names = Array.from({ length: layers }, (_, i) => `/model/encoder/layer.${i}`)
  const weights = names.flatMap((_, i) => [
    ...['q', 'k', 'v', 'o'].map((w) => `float[${width}, ${width}] w${w}${i} = ...`),
    `float[${width}, ${inner}] wi${i} = ..., float[${inner}, ${width}] wf${i} = ...`,
  ])
  const text = `<ir_version: 8, opset_import: ["" : 17]>
stack (float[B, S, ${width}] x) => (float[B, S, ${width}] h${layers})
<float one = {1}, float scale = {0.35}, float[${width}] gain = ..., int64[4] split = {0, 0, ${heads}, ${width / heads}},
 int64[3] merge = {0, 0, ${width}}, ${weights.join(',\n')}>
{
  h0 = Identity (x)
  ${names.map(layerText).join('\n')}
}`
  const seed = random(24)
  const model = parseModel(text, {
    fill: (head) => {
      const size = head.dims.reduce((n, dim) => n * dim, 1)
      const spread = head.dims.length === 1 ? 0.1 : 1 / Math.sqrt(head.dims[0] as number)
      const offset = head.dims.length === 1 ? 1 : 0
      const values = Float32Array.from({ length: size }, () => offset + spread * (2 * seed() - 1))
      return new Tensor({ ...head, payload: new OwnedPayload(elementsToBytes(dtypes.float, values)) })
    },
  })
  return modelToBytes(model)
}

function layerText(name: string, i: number): string {
  const own = (part: string) => `"${name}/${part}_output_0"`
  const node = (part: string) => `["${name}/${part}"]`
  const projected = ['q', 'k', 'v'].map(
    (w) => `${w}a${i} = MatMul (h${i}, w${w}${i})
  ${w}b${i} = Reshape (${w}a${i}, split)
  ${w}${i} = Transpose <perm = [${w === 'k' ? '0, 2, 3, 1' : '0, 2, 1, 3'}]> (${w}b${i})`,
  )
  return `${projected.join('\n  ')}
  s${i} = MatMul (q${i}, k${i})
  t${i} = Mul (s${i}, scale)
  ${node('attention/self/Softmax')} p${i} = Softmax <axis = -1> (t${i})
  c${i} = MatMul (p${i}, v${i})
  d${i} = Transpose <perm = [0, 2, 1, 3]> (c${i})
  ${node('attention/self/Reshape_3')} ${own('attention/self/Reshape_3')} = Reshape (d${i}, merge)
  o${i} = MatMul (${own('attention/self/Reshape_3')}, wo${i})
  a${i} = Add (o${i}, h${i})
  ${own('attention/output/LayerNorm/LayerNormalization')} = LayerNormalization (a${i}, gain)
  u${i} = MatMul (${own('attention/output/LayerNorm/LayerNormalization')}, wi${i})
  ${own('intermediate/intermediate_act_fn/Relu')} = Relu (u${i})
  f${i} = MatMul (${own('intermediate/intermediate_act_fn/Relu')}, wf${i})
  g${i} = Add (f${i}, ${own('attention/output/LayerNorm/LayerNormalization')})
  h${i + 1} = LayerNormalization (g${i}, gain)`
}
