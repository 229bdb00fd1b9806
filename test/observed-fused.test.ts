import { describe, expect, it } from 'vitest'
import { instrument } from '../src/calibrate/instrument.ts'
import type { Model } from '../src/ir/index.ts'
import { verify } from '../src/ir/index.ts'
import type { Dense } from './support/attention-reference.ts'
import type { FusedCase } from './support/fused-cases.ts'
import { groupQueryCases, mergedCases, multiHeadCases, onnxCases } from './support/fused-cases.ts'
import type { Feed, OperatorModel } from './support/fused-model.ts'
import { integers, operatorModel, runModel, TestData } from './support/fused-model.ts'

const cases = [...multiHeadCases(), ...mergedCases(), ...onnxCases(), ...groupQueryCases()]

/** L of every row [b][h][s] of a case in float64, by what a sink of 0 takes from its output: `g = 1 / (1 + exp(-L))`. */
function logsumexps(c: FusedCase): number[] {
  const [plain, gated] = [Number.NEGATIVE_INFINITY, 0].map((sink) => c.reference(() => sink)[0] as Dense)
  return byShare(c, plain as Dense, gated as Dense)
}

function byShare(c: Pick<FusedCase, 'heads'>, plain: Dense, gated: Dense): number[] {
  const others = byHead(c, gated)
  return byHead(c, plain).map((row, i) => {
    const other = others[i] as number[]
    const [dot, square] = [other, row].map((by) => row.reduce((sum, x, d) => sum + x * (by[d] as number), 0))
    const g = (dot as number) / (square as number)
    return Math.log(g / (1 - g))
  })
}

/** The rows of an output [B, S, H*D] or [B, H, S, D], in the order b, h, s. */
function byHead({ heads }: Pick<FusedCase, 'heads'>, { dims, data }: Dense): number[][] {
  const [B = 0, first = 0, second = 0] = dims
  const packed = dims.length === 3
  const [S, D] = packed ? [first, second / heads] : [second, dims[3] as number]
  return Array.from({ length: B * heads * S }, (_, row) => {
    const [b, h, s] = [Math.floor(row / (heads * S)), Math.floor(row / S) % heads, row % S]
    const start = packed ? (b * S + s) * heads * D + h * D : row * D
    return [...data.subarray(start, start + D)]
  })
}

/** What the observed model says of L, in the same order, and its outputs. */
async function observed(model: Model, c: Pick<FusedCase, 'model'>) {
  const { values, sites, plan } = instrument(model, { all: false, histograms: false, moments: undefined })
  verify(model)
  expect(sites).toMatchObject([{ node: 'the_attention', graph: '', call: '', unobserved: undefined }])
  const results = await runModel(model, c.model)
  const last = values.at(-1)
  const at = last ? last.at + 3 * last.count + last.rank : 0
  const vector = [...(results[plan.vector as string] as Dense).data]
  const rank = vector[at] as number
  const dims = vector.slice(at + 1, at + 1 + rank)
  const rows = vector.slice(at + 1 + rank, -1)
  expect(vector.at(-1)).toBe(-1)
  const [B = 0, second = 0, third = 0] = dims
  const axis = sites[0]?.heads?.axis
  if (axis !== -2) return { results, heads: sites[0]?.heads?.count, rows }
  // [B, S, H, 1]
  const turned = Array.from({ length: rows.length }, (_, i) => {
    const [b, h, s] = [Math.floor(i / (second * third)), Math.floor(i / second) % third, i % second]
    return rows[(b * second + s) * third + h] as number
  })
  return { results, heads: sites[0]?.heads?.count, rows: turned, B }
}

describe('the rows of a fused operator are observed beside it, as they are by the definition, and its outputs stay', () => {
  for (const c of cases) {
    if (c.cannotRun) continue
    it(c.name, async () => {
      const before = await runModel(operatorModel(c.model), c.model)
      const { results, heads, rows } = await observed(operatorModel(c.model), c)
      expect(heads).toBe(c.heads)
      const expected = logsumexps(c)
      expect(rows).toHaveLength(expected.length)
      for (const [i, l] of expected.entries()) {
        // A row without a key is counted as hidden: whatever is not above -1000 is.
        if (!(l > -500)) expect((rows[i] as number) > -1000).toBe(false)
        else expect(Math.abs((rows[i] as number) - l)).toBeLessThan(2e-5)
      }
      for (const name of c.model.outputs)
        if (name) expect((results[name] as Dense).data).toEqual((before[name] as Dense).data)
    })
  }
})

describe('the rows of a GroupQueryAttention', () => {
  const data = new TestData(23)
  const [B, S, H, KV, D] = [1, 5, 4, 2, 16]
  const spec = (dtype: 'float' | 'float16', attributes: Record<string, number>): OperatorModel => {
    const floats = (dims: readonly number[]): Feed => ({ ...data.floats(dims), dtype })
    const rotary = attributes.do_rotary ? [floats([8, D / 2]), floats([8, D / 2])] : []
    return {
      op: 'GroupQueryAttention',
      domain: 'com.microsoft',
      inputs: [
        ...[H, KV, KV].map((n) => floats([B, S, n * D])),
        ...[0, 1].map(() => floats([B, KV, 3, D])),
        integers('int32', [S + 2], [B]),
        integers('int32', [S + 3], [1]),
        ...rotary,
      ],
      attributes: { num_heads: H, kv_num_heads: KV, ...attributes },
      outputs: ['y', 'present_key', 'present_value'],
    }
  }

  it.each<[string, OperatorModel, number]>([
    ['that rotates its keys', spec('float', { do_rotary: 1 }), 3e-3],
    [
      'that rotates its keys, interleaved, with a cap and a window',
      spec('float', { do_rotary: 1, rotary_interleaved: 1, softcap: 3, local_window_size: 2 }),
      3e-3,
    ],
    ['in half precision', spec('float16', {}), 5e-2],
  ])('%s are what its own sink of 0 takes from its output', async (_, model, tolerance) => {
    const gated = { ...model, attributes: { ...model.attributes, smooth_softmax: 1 } }
    const [plain, other] = await Promise.all([model, gated].map((m) => runModel(operatorModel(m), m)))
    const { rows } = await observed(operatorModel(model), { model })
    const expected = byShare({ heads: H }, plain?.y as Dense, other?.y as Dense)
    expect(rows).toHaveLength(expected.length)
    for (const [i, l] of expected.entries()) expect(Math.abs((rows[i] as number) - l)).toBeLessThan(tolerance)
  })
})
