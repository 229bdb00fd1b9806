import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { passes } from '../passes/index.ts'
import { halfToNumber, numberToHalf } from '../src/ir/elements.ts'
import { modelToBytes, parseModel } from '../src/onnx/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import type { Form } from '../src/targets/index.ts'
import { targets } from '../src/targets/index.ts'
import { attend } from './support/attention-reference.ts'
import { random } from './support/random.ts'

const [B, H, S, T, D] = [2, 3, 5, 7, 8]
type Fill = 0 | -1e4 | -3.4028234663852886e38 | typeof Number.NEGATIVE_INFINITY

interface Block {
  readonly name: string
  readonly text: (type: string) => string
  /** Whether the block takes the additive mask as an input. */
  readonly masked: boolean
}

/** The same attention, spelled in the ways that decide how the extra column is made. */
const blocks: readonly Block[] = [
  {
    name: 'additive mask',
    masked: true,
    text: (
      t,
    ) => `block (${t}[B,3,S,8] q, ${t}[B,3,T,8] k, ${t}[B,3,T,8] v, ${t}[B,1,1,T] mask) => (${t}[B,3,S,8] y) <${t} scale = {0.5}> {
      kt = Transpose <perm: ints = [0, 1, 3, 2]> (k)
      x = MatMul (q, kt)
      z = Mul (x, scale)
      masked = Add (z, mask)
      p = Softmax <axis: int = -1> (masked)
      y = MatMul (p, v)
    }`,
  },
  {
    name: 'no mask, soft cap',
    masked: false,
    text: (
      t,
    ) => `block (${t}[B,3,S,8] q, ${t}[B,3,T,8] k, ${t}[B,3,T,8] v) => (${t}[B,3,S,8] y) <${t} scale = {0.5}, ${t} cap = {4.0}> {
      kt = Transpose <perm: ints = [0, 1, 3, 2]> (k)
      x = MatMul (q, kt)
      z = Mul (x, scale)
      c = Div (z, cap)
      u = Tanh (c)
      w = Mul (u, cap)
      p = Softmax <axis: int = -1> (w)
      y = MatMul (p, v)
    }`,
  },
  {
    name: 'heads merged with the batch, mask added in 4-D',
    masked: true,
    text: (t) => `block (${t}[B,3,S,8] q, ${t}[B,3,T,8] k, ${t}[B,3,T,8] v, ${t}[B,1,1,T] mask) => (${t}[B,3,S,8] y)
      <${t} scale = {0.5}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] three = {3}, int64[1] minus = {-1}, int64[1] heads = {3}, int64[1] size = {8}, int64[3] flat = {-1, 0, 8}, int64[1] axis = {0}> {
      qs = Shape (q)
      ks = Shape (k)
      batch = Slice (qs, zero, one, axis)
      rows = Slice (qs, two, three, axis)
      keys = Slice (ks, two, three, axis)
      folded3 = Concat <axis: int = 0> (minus, rows, size)
      foldedk = Concat <axis: int = 0> (minus, keys, size)
      q3 = Reshape (q, folded3)
      k3 = Reshape (k, foldedk)
      v3 = Reshape (v, foldedk)
      kt = Transpose <perm: ints = [0, 2, 1]> (k3)
      x = MatMul (q3, kt)
      z = Mul (x, scale)
      four = Concat <axis: int = 0> (batch, heads, rows, keys)
      z4 = Reshape (z, four)
      masked = Add (z4, mask)
      threed = Concat <axis: int = 0> (minus, rows, keys)
      m3 = Reshape (masked, threed)
      p = Softmax <axis: int = -1> (m3)
      y3 = MatMul (p, v3)
      back = Concat <axis: int = 0> (batch, heads, rows, size)
      y = Reshape (y3, back)
    }`,
  },
  {
    name: 'values on the left, keys first',
    masked: false,
    text: (t) => `block (${t}[B,3,S,8] q, ${t}[B,3,T,8] k, ${t}[B,3,T,8] v) => (${t}[B,3,S,8] y) <${t} scale = {0.5}> {
      qt = Transpose <perm: ints = [0, 1, 3, 2]> (q)
      x = MatMul (k, qt)
      z = Mul (x, scale)
      p = Softmax <axis: int = 2> (z)
      vt = Transpose <perm: ints = [0, 1, 3, 2]> (v)
      w = MatMul (vt, p)
      y = Transpose <perm: ints = [0, 1, 3, 2]> (w)
    }`,
  },
]

const sinks: readonly (number | readonly number[])[] = [0, -2, 1.5, [-3, 0, 2]]
const forms: readonly Form[] = ['zero-key', 'primitives']

for (const type of ['float', 'float16'] as const) {
  describe.each(blocks.map((b) => [b.name, b] as const))(`${type}: %s`, (_, block) => {
    for (const form of forms)
      for (const sink of sinks)
        test(`${form} with sink ${sink}`, async () => {
          for (const fill of block.masked
            ? ([0, -1e4, -3.4028234663852886e38, Number.NEGATIVE_INFINITY] as const)
            : ([0] as const))
            await check(block, type, form, sink, fill)
        })
  })
}

async function check(
  block: Block,
  type: 'float' | 'float16',
  form: Form,
  sink: number | readonly number[],
  fill: Fill,
): Promise<void> {
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>\n${block.text(type)}`)
  const { report } = runPipeline(model, passes, {
    target: { target: targets.get('onnx')!, version: undefined, provider: 'any' },
    sink: () => sink,
    form,
  })
  expect([...report.sites.values()].map((site) => site.form)).toEqual([form])
  const next = random(7)
  const draw = (length: number, spread: number): Float64Array =>
    Float64Array.from({ length }, () => round(type, spread * (next() + next() + next() + next() - 2)))
  const [q, k, v] = [draw(B * H * S * D, 2), draw(B * H * T * D, 2), draw(B * H * T * D, 1)]
  const lowest = type === 'float16' && fill < -65504 && Number.isFinite(fill) ? -65504 : fill
  // The last two keys are masked in the first batch row, every key in the second.
  const bias = (b: number, _h: number, _i: number, j: number): number =>
    block.masked && (b === 1 || j >= T - 2) ? lowest : 0
  const cap = block.name.includes('cap') ? { softcap: 4 } : {}
  const expected = attend({
    q: { dims: [B, H, S, D], data: q },
    k: { dims: [B, H, T, D], data: k },
    v: { dims: [B, H, T, D], data: v },
    scale: 0.5,
    ...cap,
    bias,
    sink: (h) => (typeof sink === 'number' ? sink : (sink[h] as number)),
  }).output.data
  const mask = Float64Array.from({ length: B * T }, (_, i) => bias(Math.floor(i / T), 0, 0, i % T))
  const session = await InferenceSession.create(modelToBytes(model), { logSeverityLevel: 3 })
  const feeds = { q: tensor(type, q, [B, H, S, D]), k: tensor(type, k, [B, H, T, D]), v: tensor(type, v, [B, H, T, D]) }
  const outputs = await session.run(block.masked ? { ...feeds, mask: tensor(type, mask, [B, 1, 1, T]) } : feeds)
  const actual = numbers(type, outputs.y!)
  await session.release()
  // fp16: inputs and outputs are rounded, the runtime computes in float; values are up to about 4.
  const tolerance = type === 'float' ? 2e-6 : 4e-3
  let worst = 0
  for (let i = 0; i < expected.length; i++) {
    const masked = block.masked && fill !== 0 && i >= expected.length / 2
    if (masked) expect(actual[i], `a row without a visible key is 0, element ${i}`).toBe(0)
    worst = Math.max(worst, Math.abs((actual[i] as number) - (expected[i] as number)))
    if (Number.isNaN(actual[i])) worst = Number.POSITIVE_INFINITY
  }
  expect(worst, `fill ${fill}`).toBeLessThanOrEqual(tolerance)
}

function round(type: 'float' | 'float16', x: number): number {
  return type === 'float' ? Math.fround(x) : halfToNumber(numberToHalf(x))
}

function tensor(type: 'float' | 'float16', data: Float64Array, dims: number[]): Tensor {
  return type === 'float'
    ? new Tensor('float32', Float32Array.from(data), dims)
    : new Tensor('float16', Uint16Array.from(data, numberToHalf), dims)
}

function numbers(type: 'float' | 'float16', { data }: Tensor): number[] {
  return type === 'float'
    ? [...(data as Float32Array)]
    : Array.from(data as Uint16Array, (x) =>
        typeof x === 'number' && data instanceof Uint16Array ? halfToNumber(x) : x,
      )
}
