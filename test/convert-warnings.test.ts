import { expect, it } from 'vitest'
import type { ConvertOptions } from '../src/index.ts'
import { convert } from '../src/index.ts'
import { modelToBytes, parseModel } from '../src/onnx/index.ts'

const already = `
<ir_version: 8, opset_import: ["" : 17]>
block (float[B,S,4] q, float[B,4,T] k, float[B,T,4] v) => (float[B,S,4] y) <int64[1] last = {-1}, float one = {1}> {
  s = MatMul (q, k) e = Exp (s) t = ReduceSum (e, last) u = Add (t, one) [mine] p = Div (e, u) y = MatMul (p, v)
}`
const quantized = `
<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
block (float[B,S,4] q, float[B,4,T] k, float[B,T,4] v) => (float[B,S,4] y) <float step = {0.01}, uint8 origin = {0}> {
  s = MatMul (q, k) a = QuantizeLinear (s, step, origin)
  [mine] b = com.microsoft.QLinearSoftmax <axis = -1, opset = 13> (a, step, origin, step, origin)
  p = DequantizeLinear (b, step, origin) y = MatMul (p, v)
}`

async function codes(text: string, options: ConvertOptions): Promise<string[]> {
  const model = modelToBytes(parseModel(text))
  const { document } = await convert(model, { ...options, dryRun: true, allowNone: true })
  return document.warnings.map(({ code }) => code)
}

it('a sink that was asked for is not passed over in silence where a site is Softmax1 already', async () => {
  expect(await codes(already, { sink: -4 })).toContain('sink-not-used')
  expect(await codes(already, { sink: 0 })).not.toContain('sink-not-used')
  expect(await codes(already, {})).not.toContain('sink-not-used')
})

it('a name that does not convert its site is said to have no effect', async () => {
  expect(await codes(quantized, { force: 'mine' })).toContain('force-without-effect')
  expect(await codes(quantized, { force: 'other' })).not.toContain('force-without-effect')
})
