import { numberToBfloat16, numberToHalf } from '../../src/ir/elements.ts'

/** Attention steps on both sides of each rule for what TensorRT fuses. */

/** What a step has other than 4 heads of 64 in float16, 128 queries and keys, and a batch that is not known. */
export interface FusionCase {
  readonly name: string
  readonly type?: 'float16' | 'bfloat16' | 'float'
  readonly head?: number
  readonly value?: number
  readonly queries?: number | 'S'
  readonly keys?: number | 'T'
  /** Axes in front of queries and keys. */
  readonly front?: readonly (number | string)[]
  /** Nodes from the scores `s` to what is normalised, `x`; from the probabilities `p` to what weighs values, `w`. */
  readonly before?: string
  readonly after?: string
  /** Initializers and inputs that these read. */
  readonly constants?: string
  readonly inputs?: string
  readonly output?: string
  /** From `q`, `k` and `v` to scores and from `w` to `y`, instead of the usual. */
  readonly scores?: string
  readonly context?: string
  readonly quantize?: { readonly type: 'int8' | 'float8e4m3fn'; readonly parts: string }
  readonly sizes?: readonly [number, number, number]
  /** Whether one kernel is expected; the code of the rule where not. */
  readonly fused: true | string
}

/** Numbers of float16 are written as their bits. */
const half = (c: string) => ({ type: 'float16' as const, constants: c })
const int8 = (parts: string, rest: Partial<FusionCase> = {}) => ({
  quantize: { type: 'int8' as const, parts },
  ...rest,
})
const float8 = (parts: string, rest: Partial<FusionCase> = {}) => ({
  quantize: { type: 'float8e4m3fn' as const, parts },
  ...rest,
})

export const fusionCases: readonly FusionCase[] = [
  { name: 'float16', fused: true },
  { name: 'bfloat16', type: 'bfloat16', fused: true },
  { name: 'float32', type: 'float', fused: 'float32-attention' },
  { name: 'float32, one query', type: 'float', queries: 1, fused: true },
  { name: 'heads of 8', head: 8, fused: 'head-size' },
  { name: 'heads of 9', head: 9, fused: true },
  { name: 'heads of 256', head: 256, fused: true },
  { name: 'heads of 257', head: 257, fused: 'head-size' },
  { name: 'one query, heads of 8', head: 8, queries: 1, fused: true },
  { name: 'values of another size', value: 32, fused: 'value-size' },
  { name: 'one key', keys: 1, fused: 'one-key' },
  { name: 'two keys', keys: 2, fused: true },
  { name: 'lengths that are not known', queries: 'S', keys: 'T', fused: true },
  { name: '4096 keys', queries: 4096, keys: 4096, fused: true },
  { name: 'no batch', front: [], fused: 'no-batch' },
  { name: 'one axis of 8', front: [8], fused: true },
  { name: 'one axis of 1', front: [1], fused: 'no-batch' },
  { name: 'one axis that is not known', front: ['N'], fused: 'fixed-shapes-only' },
  { name: 'one axis, heads of 72', front: [8], head: 72, fused: 'fixed-shapes-only' },
  { name: 'one axis, a key more than queries', front: [8], keys: 129, fused: 'fixed-shapes-only' },
  { name: 'one axis, 513 keys', front: [8], queries: 513, keys: 513, fused: 'fixed-shapes-only' },
  { name: 'five axes', front: [2, 3, 4], fused: true },
  { name: 'a mask', inputs: ', float16[B,1,1,128] mask', before: 'x = Add (s, mask)', fused: true },
  { name: 'a bias of heads', inputs: ', float16[1,4,128,128] bias', before: 'x = Add (s, bias)', fused: true },
  {
    name: 'a boolean mask',
    inputs: ', bool[B,1,128,128] mask',
    before: 'x = Where (mask, s, low)',
    ...half('float16 low = {61666}'),
    fused: true,
  },
  {
    name: 'a soft cap',
    before: 's1 = Tanh (s) x = Mul (s1, c)',
    ...half('float16 c = {16384}'),
    fused: 'operator-before',
  },
  {
    name: 'a softmax in float32',
    before: 'x = Cast <to: int = 1> (s)',
    after: 'w = Cast <to: int = 10> (p)',
    fused: true,
  },
  { name: 'probabilities times a number', after: 'w = Mul (p, c)', ...half('float16 c = {16384}'), fused: true },
  {
    name: 'probabilities times a tensor',
    inputs: ', float16[B,4,1,1] g',
    after: 'w = Mul (p, g)',
    fused: 'operator-after',
  },
  {
    name: 'a guard against NaN',
    after: 'n = IsNaN (p) w = Where (n, zero, p)',
    ...half('float16 zero = {0}'),
    fused: true,
  },
  { name: 'probabilities that are given out', output: ', float16[B,4,128,128] p', fused: 'read-elsewhere' },
  { name: 'scores that are given out', output: ', float16[B,4,128,128] s', fused: 'read-elsewhere' },
  {
    name: 'keys on the left',
    scores:
      'qt = Transpose <perm: ints = [0, 1, 3, 2]> (q) s0 = MatMul (k, qt) s = Transpose <perm: ints = [0, 1, 3, 2]> (s0)',
    fused: 'order-of-axes',
  },
  {
    name: 'Einsum with heads inside',
    front: ['B'],
    scores: 's = Einsum <equation: string = "bshd,bthd->bhst"> (q, k)',
    context: 'y = Einsum <equation: string = "bhst,bthd->bshd"> (w, v)',
    fused: true,
  },
  { name: 'int8, all five quantized', ...int8('qkvpy'), fused: true },
  { name: 'int8, the output left', ...int8('qkvp'), fused: 'partly-quantized' },
  { name: 'int8, the first product alone', ...int8('qk'), fused: 'partly-quantized' },
  { name: 'int8, probabilities alone', ...int8('p'), fused: 'partly-quantized' },
  { name: 'int8, keys and values alone', ...int8('kv'), fused: true },
  { name: 'int8, heads of 48', ...int8('qkvpy', { head: 48 }), fused: 'head-size' },
  { name: 'int8, 512 keys', ...int8('qkvpy', { queries: 512, keys: 512 }), fused: true },
  { name: 'int8, 513 keys', ...int8('qkvpy', { queries: 513, keys: 513 }), fused: 'int8-keys' },
  { name: 'int8, one query', ...int8('qkvpy', { queries: 1 }), fused: 'int8-one-query' },
  { name: 'int8, up to 512 keys', ...int8('qkvpy', { keys: 'T', sizes: [1, 64, 512] }), fused: true },
  { name: 'int8, up to 1024 keys', ...int8('qkvpy', { keys: 'T', sizes: [1, 64, 1024] }), fused: 'int8-keys' },
  { name: 'int8 in float32', ...int8('qkvpy', { type: 'float' }), fused: true },
  { name: 'float8, four quantized', ...float8('qkvp'), fused: true },
  { name: 'float8, probabilities left', ...float8('qkv'), fused: 'partly-quantized' },
  { name: 'float8 in float32', ...float8('qkvp', { type: 'float' }), fused: 'float32-attention' },
  { name: 'float8, 31 keys', ...float8('qkvp', { keys: 31 }), fused: 'float8-keys' },
  { name: 'float8, 32 keys', ...float8('qkvp', { keys: 32 }), fused: true },
  { name: 'float8, 16 keys and more', ...float8('qkvp', { keys: 'T', sizes: [16, 64, 128] }), fused: 'float8-keys' },
  { name: 'float8, 32 keys and more', ...float8('qkvp', { keys: 'T', sizes: [32, 64, 128] }), fused: true },
]

/** The model of a case, whose normaliser is the node `softmax`. */
export function fusionModel(given: FusionCase): string {
  const { type = 'float16', head = 64, value = head, queries = 128, front = ['B', 4], quantize } = given
  const keys = given.keys ?? (queries === 1 ? 128 : queries)
  // With heads inside, as an Einsum takes them, the axis of heads stands behind queries and keys.
  const inside = given.scores?.includes('Einsum') ? '4,' : ''
  const tensor = (length: number | string, size: number) => `${type}[${[...front, length].join()},${inside}${size}]`
  const rank = front.length + 2
  const turned = [...Array(rank - 2).keys(), rank - 1, rank - 2].join(', ')
  const parts = quantize?.parts ?? ''
  const node = (part: string, from: string, to: string) =>
    parts.includes(part)
      ? `${to}8 = QuantizeLinear (${from}, ${part}_scale, zero_point) ${to} = DequantizeLinear (${to}8, ${part}_scale, zero_point)`
      : `${to} = Identity (${from})`
  const operands = ['q', 'k', 'v'].map((part) => node(part, `${part}_in`, part)).join('\n   ')
  const scores = given.scores ?? `kt = Transpose <perm: ints = [${turned}]> (k) s = MatMul (q, kt)`
  const context = given.context ?? 'y = MatMul (w, v)'
  const bits = { float16: numberToHalf, bfloat16: numberToBfloat16, float: (x: number) => x }[type]
  const scales = [...parts].map((part) => `${type} ${part}_scale = {${bits(part === 'p' ? 0.007 : 0.02)}}`)
  const zero = quantize ? [`${quantize.type} zero_point = {0}`] : []
  const constants = [given.constants, ...scales, ...zero].filter((text) => text !== undefined).join(', ')
  const output = parts.includes('y') ? `${context.replace(/\by =/, 'y0 =')}\n   ${node('y', 'y0', 'y')}` : context
  return `<ir_version: 10, opset_import: ["" : 19]>
g (${tensor(queries, head)} q_in, ${tensor(keys, head)} k_in, ${tensor(keys, value)} v_in${given.inputs ?? ''})
  => (${tensor(queries, value)} y${given.output ?? ''})
${constants === '' ? '' : `<${constants}>`}
{
   ${operands}
   ${scores}
   ${given.before ?? 'x = Identity (s)'}
   ["softmax"] p = Softmax <axis: int = -1> (x)
   ${given.after ?? node('p', 'p', 'w')}
   ${output}
}`
}
