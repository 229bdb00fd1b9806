import { writeFileSync } from 'node:fs'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { test } from 'vitest'
import { passes } from '../passes/index.ts'
import { modelToBytes, parseModel, printModel } from '../src/onnx/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import { targets } from '../src/targets/index.ts'
test('fn', async () => {
  for (const ver of [7, 9, 10, 11, 12, 13, 17, 18, 21, 26]) for (const sink of [0, -2]) for (const form of ['zero-key', 'primitives'] as const) for (const kind of ['fn', 'plain', 'cond'] as const) {
    if (kind === 'fn' && ver < 13) continue
    const body = `  kt = Transpose <perm: ints = [0, 1, 3, 2]> (k)
      x = MatMul (q, kt)
      m = Add (x, mask)
      p = Softmax <axis: int = 3> (m)
      y = MatMul (p, v)`
    const cond = ver >= 9 ? `  kt = Transpose <perm: ints = [0, 1, 3, 2]> (k)
      x = MatMul (q, kt)
      zz = Sub (mask, mask)
      hid = Equal (hide, hide)
      hidden = Not (hid)
      m = Where (hidden, mask, x)
      p = Softmax <axis: int = 3> (m)
      y = MatMul (p, v)` : body
    const text = kind === 'fn'
      ? `<ir_version: 8, opset_import: ["" : ${ver}, "local" : 1]>
    g (float[B,3,S,8] q, float[B,3,T,8] k, float[B,3,T,8] v, float[B,1,1,T] mask) => (float[B,3,S,8] y) { y = local.attend (q, k, v, mask) }
    <domain: "local", opset_import: ["" : ${ver}]>
    attend (q, k, v, mask) => (y) { ${body} }`
      : `<ir_version: 8, opset_import: ["" : ${ver}]>
    g (float[B,3,S,8] q, float[B,3,T,8] k, float[B,3,T,8] v, float[B,1,1,T] mask, bool[B,1,1,T] hide) => (float[B,3,S,8] y) { ${kind === 'cond' ? cond.replace('hid = Equal (hide, hide)\n      hidden = Not (hid)', 'hidden = Identity (hide)') : body} }`
    const m = parseModel(text)
    try {
      const { report } = runPipeline(m, passes, { target: { target: targets.get('ort')!, version: '1.20', provider: 'any' }, sink, form })
      const s = [...report.sites.values()][0]
      const bytes = modelToBytes(m)
      writeFileSync(`/tmp/rw/t/${kind}-${ver}-${sink}-${form}.onnx`, bytes)
      const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 })
      const q = new Tensor('float32', new Float32Array(2*3*5*8).map((_, i) => Math.sin(i)), [2,3,5,8])
      const k = new Tensor('float32', new Float32Array(2*3*7*8).map((_, i) => Math.cos(i*1.3)), [2,3,7,8])
      const mask = new Tensor('float32', new Float32Array(14), [2,1,1,7])
      const hide = new Tensor('bool', new Uint8Array(14), [2,1,1,7])
      const feeds: any = { q, k, v: k, mask }
      if (session.inputNames.includes('hide')) feeds.hide = hide
      const out = await session.run(feeds)
      console.log(kind, ver, sink, s?.form, s?.formReason?.slice(0, 60), (out.y!.data as Float32Array).slice(0, 3).join(' '))
    } catch (e) { console.log('FAIL', kind, ver, sink, form, String(e).slice(0, 200)); if (kind==='fn') console.log(printModel(m)) }
  }
})
