import { describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import { findSites } from '../src/attention/index.ts'
import type { Tensor } from '../src/ir/index.ts'
import { verify } from '../src/ir/index.ts'
import { modelToBytes } from '../src/onnx/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import { generateFeeds, installedRuntime, openSession } from '../src/runtime/index.ts'
import type { Form } from '../src/targets/index.ts'
import { targets } from '../src/targets/index.ts'
import { modelOf } from './support/attention-text.ts'
import { largestDifference } from './support/compare-outputs.ts'
import { appendSink } from './support/oracle.ts'

const heads = 'float[B, 2, S, 8]'
const header = `<ir_version: 8, opset_import: ["" : 17]> main (${heads} q, ${heads} k, ${heads} v) =>`
const both: readonly Form[] = ['zero-key', 'primitives']
const bodies: [name: string, text: string, forms?: readonly Form[]][] = [
  [
    'Loop, with keys and values from outside',
    `${header} (${heads} y) {
      turns = Constant <value_int = 3> () go = Constant <value = bool {1}> () kt = Transpose <perm = [0, 1, 3, 2]> (k)
      y = Loop (turns, go, q) <body = turn (int64 i, bool on, ${heads} state) => (bool on2, ${heads} next)
        { on2 = Identity (on) s = MatMul (state, kt) p = Softmax <axis = -1> (s) next = MatMul (p, v) }> }`,
  ],
  [
    'Loop, with keys made inside',
    `${header} (${heads} y) {
      turns = Constant <value_int = 2> () go = Constant <value = bool {1}> ()
      y = Loop (turns, go, q) <body = turn (int64 i, bool on, ${heads} state) => (bool on2, ${heads} next)
        { on2 = Identity (on) kt = Transpose <perm = [0, 1, 3, 2]> (state) s = MatMul (state, kt)
          p = Softmax <axis = -1> (s) next = MatMul (p, v) }> }`,
  ],
  [
    'Scan over the batch',
    `${header} (${heads} y) {
      y = Scan (q, k, v) <num_scan_inputs = 3, body = row (float[2, S, 8] a, float[2, S, 8] b, float[2, S, 8] c) => (float[2, S, 8] r)
        { bt = Transpose <perm = [0, 2, 1]> (b) s = MatMul (a, bt) p = Softmax <axis = -1> (s) r = MatMul (p, c) }> }`,
  ],
  [
    'Loop with a cache that grows',
    `${header} (${heads} y, float[B, 2, K, 8] ks, float[B, 2, K, 8] vs) {
      turns = Constant <value_int = 3> () go = Constant <value = bool {1}> ()
      y, ks, vs = Loop (turns, go, q, k, v) <body = turn (int64 i, bool on, ${heads} state, float[B, 2, P, 8] oldk, float[B, 2, P, 8] oldv)
          => (bool on2, ${heads} next, float[B, 2, L, 8] newk, float[B, 2, L, 8] newv)
        { on2 = Identity (on) newk = Concat <axis = 2> (oldk, state) newv = Concat <axis = 2> (oldv, state)
          kt = Transpose <perm = [0, 1, 3, 2]> (newk) s = MatMul (state, kt) p = Softmax <axis = -1> (s) next = MatMul (p, newv) }> }`,
    ['primitives'],
  ],
  [
    'function that calls a function, called from a Loop and with attributes of its calls',
    `<ir_version: 8, opset_import: ["" : 17, "local" : 1]> main (${heads} q, ${heads} k, ${heads} v) => (${heads} y) {
      turns = Constant <value_int = 2> () go = Constant <value = bool {1}> () first = local.Layer <sharp = 0.3> (q, k, v)
      y = Loop (turns, go, first) <body = turn (int64 i, bool on, ${heads} state) => (bool on2, ${heads} next)
        { on2 = Identity (on) next = local.Layer <sharp = 0.7> (state, k, v) }> }
    <domain: "local", opset_import: ["" : 17]> Core <sharp> (q, k, v) => (c) {
      kt = Transpose <perm = [0, 1, 3, 2]> (k) s0 = MatMul (q, kt) by = Constant <value_float: float = @sharp> () s = Mul (s0, by)
      p = Softmax <axis = -1> (s) c = MatMul (p, v) }
    <domain: "local", opset_import: ["" : 17, "local" : 1]> Layer <sharp> (x, k, v) => (y) {
      c = local.Core <sharp: float = @sharp> (x, k, v) y = Add (c, x) }`,
  ],
]

describe.runIf(installedRuntime() !== undefined)('attention in the body of a', () => {
  const target = { target: targets.get('ort')!, version: '1.20', provider: 'any' } as const
  const cases = bodies.flatMap(([name, text, forms = both]) =>
    forms.flatMap((form) => [0, -2].map((sink) => [name, form, sink, text] as [string, Form, number, string])),
  )
  it.each(cases)('%s is converted where it is, and right: %s, sink %d', async (_, form, sink, text) => {
    const model = modelOf(text)
    const names = new Set(findSites(model).map((site) => site.output.name))
    const expected = appendSink(modelToBytes(model), names, sink)
    const { feeds = {} } = generateFeeds(model, { batch: 2, other: 5, past: 3 }, 7)
    const { report } = runPipeline(model, passes, { target, form, sink })
    verify(model)
    expect([...report.sites.values()].map((site) => [site.converted, site.form])).toEqual([[true, form]])
    const [theirs, ours] = await Promise.all([expected, modelToBytes(model)].map((bytes) => run(bytes, feeds)))
    expect(largestDifference(theirs!, ours!)).toBeLessThanOrEqual(2e-6)
  })
})

async function run(
  bytes: Uint8Array,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Readonly<Record<string, Tensor>>> {
  const session = await openSession(bytes, { threads: 1 })
  try {
    return await session.run(feeds)
  } finally {
    await session.close()
  }
}
