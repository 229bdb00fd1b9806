import { describe, expect, it } from 'vitest'
import { sitesOf, verdictOf } from './support/attention-text.ts'

function graph(nodes: string, weights = '', inputs = ''): string {
  return `<ir_version: 10, opset_import: ["" : 23, "com.microsoft" : 1, "vendor" : 1, "ai.onnx.preview" : 1]>
    g (float[B, S, 16] q, float[B, S, 16] k, float[B, S, 16] v, float[B, 1, S, S] mask${inputs}) => (float[] y)
    <int64[6] row = {0, 0, 0, 0, 1, 0}, int64[8] column = {0, 0, 0, 0, 0, 0, 0, 1}, int64[6] first = {0, 1, 0, 0, 0, 0}${weights && `, ${weights}`}> { ${nodes} }`
}
const attributes = '<q_num_heads = 4, kv_num_heads = 4>'
const padded = 'kz = Pad (k, row) vz = Pad (v, row)'

describe('fused operators', () => {
  const cases: [verdict: string, name: string, text: string][] = [
    ['fused:fused-operator', 'Attention of the standard', graph(`y = Attention ${attributes} (q, k, v)`)],
    ['fused:fused-operator', 'com.microsoft Attention', graph('y = com.microsoft.Attention <num_heads = 4> (q, k, v)')],
    [
      'fused:fused-operator',
      'MultiHeadAttention',
      graph('y = com.microsoft.MultiHeadAttention <num_heads = 4> (q, k, v)'),
    ],
    [
      'fused:fused-operator',
      'GroupQueryAttention',
      graph('y = com.microsoft.GroupQueryAttention <num_heads = 4, kv_num_heads = 4> (q, k, v)'),
    ],
    ['fused:fused-operator', 'PackedAttention', graph('y = com.microsoft.PackedAttention <num_heads = 4> (q, k, v)')],
    ['fused:fused-operator', 'QAttention', graph('y = com.microsoft.QAttention <num_heads = 4> (q, k, v)')],
    [
      'fused:fused-operator',
      'LongformerAttention',
      graph('y = com.microsoft.LongformerAttention <num_heads = 4> (q, k, v)'),
    ],
    ['fused:fused-operator', 'FlexAttention', graph('y = ai.onnx.preview.FlexAttention (q, k, v)')],
    ['review:fused-operator', 'an attention operator of somebody else', graph('y = vendor.FlashAttention (q, k, v)')],
    [
      'already-softmax1',
      'GroupQueryAttention with smooth_softmax',
      graph('y = com.microsoft.GroupQueryAttention <num_heads = 4, kv_num_heads = 4, smooth_softmax = 1> (q, k, v)'),
    ],
    [
      'already-softmax1',
      'GroupQueryAttention with a head_sink of zeros',
      graph(
        'y = com.microsoft.GroupQueryAttention <num_heads = 4, kv_num_heads = 4> (q, k, v,,,,,,,,, sinks)',
        'float[4] sinks = {0, 0, 0, 0}',
      ),
    ],
    [
      'learned-sink:learned-sink',
      'GroupQueryAttention with a learned head_sink',
      graph(
        'y = com.microsoft.GroupQueryAttention <num_heads = 4, kv_num_heads = 4> (q, k, v,,,,,,,,, sinks)',
        'float[4] sinks = {0.5, 1, 0, -1}',
      ),
    ],
    ['already-softmax1', 'Attention with a zero key', graph(`${padded} y = Attention ${attributes} (q, kz, vz)`)],
    [
      'already-softmax1',
      'Attention with a zero key and a mask column',
      graph(`${padded} m = Pad (mask, column) y = Attention ${attributes} (q, kz, vz, m)`),
    ],
    [
      'already-softmax1',
      'MultiHeadAttention with a zero key in front',
      graph('kz = Pad (k, first) vz = Pad (v, first) y = com.microsoft.MultiHeadAttention <num_heads = 4> (q, kz, vz)'),
    ],
    [
      'fused:fused-operator',
      'a causal Attention whose last zero key is masked',
      graph(`${padded} y = Attention <q_num_heads = 4, kv_num_heads = 4, is_causal = 1> (q, kz, vz)`),
    ],
    [
      'fused:fused-operator',
      'a zero key with a value',
      graph(`kz = Pad (k, row) vz = Pad (v, row, one) y = Attention ${attributes} (q, kz, vz)`, 'float one = {1}'),
    ],
    [
      'fused:fused-operator',
      'a zero key behind a mask that is not known',
      graph(`${padded} y = Attention ${attributes} (q, kz, vz, wide)`, '', ', float[B, 1, S, T] wide'),
    ],
    [
      'fused:fused-operator',
      'a zero key moved by a bias',
      graph(`${padded} y = com.microsoft.MultiHeadAttention <num_heads = 4> (q, kz, vz, bias)`, 'float[48] bias = ...'),
    ],
  ]
  for (const [verdict, name, text] of cases) {
    it(`${verdict.split(':')[0]}: ${name}`, () => expect(sitesOf(text).map(verdictOf)).toEqual([verdict]))
  }

  it('carry the sink that the mask of a zero key holds', () => {
    const [site] = sitesOf(
      graph(`${padded} m = Pad (mask, column, sink) y = Attention ${attributes} (q, kz, vz, m)`, 'float sink = {-2}'),
    )
    expect(site?.sink).toEqual({ kind: 'constant', value: [-2] })
  })

  it('are not linear attention, nor functions of the model that share a name', () => {
    expect(sitesOf(graph('y = com.microsoft.LinearAttention (q, k, v)'))).toEqual([])
    const own = `${graph('y = vendor.MyAttention (q, k, v)')} <domain: "vendor", opset_import: ["" : 23]> MyAttention (q, k, v) => (y) { y = Add (q, k) }`
    expect(sitesOf(own)).toEqual([])
  })

  it('are opened before they are judged when only the softmax is fused with its bias', () => {
    const text = graph(
      'kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) p = com.microsoft.BiasSoftmax <axis = 2, is_inner_broadcast = 0> (s, mask) y = MatMul (p, v)',
    )
    expect(sitesOf(text).map(verdictOf)).toEqual(['fused:fused-operator'])
    const classifier = graph(
      's = MatMul (q, w) y = com.microsoft.BiasSoftmax <axis = 2, is_inner_broadcast = 0> (s, mask)',
      'float[16, 4] w = ...',
    )
    expect(sitesOf(classifier).map(verdictOf)).toEqual(['rejected:k-is-weight'])
  })

  it('ask for a review of a quantized softmax', () => {
    const text = graph(
      'kt = Transpose <perm = [0, 2, 1]> (k) a = QuantizeLinear (q, step, zero) b = QuantizeLinear (kt, step, zero) s = QLinearMatMul (a, step, zero, b, step, zero, step, zero) p = com.microsoft.QLinearSoftmax <axis = -1, opset = 13> (s, step, zero, step, zero) w = QuantizeLinear (v, step, zero) c = QLinearMatMul (p, step, zero, w, step, zero, step, zero) y = DequantizeLinear (c, step, zero)',
      'float step = {0.1}, uint8 zero = {128}',
    )
    expect(sitesOf(text).map(verdictOf)).toEqual(['review:quantized-softmax'])
  })
})
