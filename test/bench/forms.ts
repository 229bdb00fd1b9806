/**
 * Speed of one attention block in each form against the same block with plain softmax, in ONNX Runtime on one thread.
 *
 * Runs alternate vanilla, form, vanilla, form …; the ratio is the median of t(form)_i over the mean of the vanilla runs
 * around it, in CPU time of the process. What a form makes of the mask alone (a padded column, the expansion that fused
 * operators ask for) is made once before the clock starts: a model has one mask and many layers.
 */
import { InferenceSession } from 'onnxruntime-node'
import { passes } from '../../passes/index.ts'
import { modelToBytes, parseModel } from '../../src/onnx/index.ts'
import { runPipeline } from '../../src/rewrite/index.ts'
import type { Form } from '../../src/targets/index.ts'
import { targets } from '../../src/targets/index.ts'
import type { Mask, Shape } from './blocks.ts'
import { block, cpuTime, feedsFor, masks, options, prepareMask, shapes } from './blocks.ts'
import type { ResultRow } from './measure.ts'
import { median, record } from './measure.ts'

const seconds = Number(process.env.BENCH_SECONDS ?? 4)

async function measure(
  shape: Shape,
  mask: Mask,
  form: Form,
  sink: number,
): Promise<{ row: ResultRow } | { skipped: string }> {
  const text = block(shape, mask, form === 'attention-zero-key' ? 23 : 17)
  const model = parseModel(text)
  const { report } = runPipeline(model, passes, {
    target: { target: targets.get('ort')!, version: '1.30', provider: 'cpu' },
    sink,
    form,
  })
  const [site] = [...report.sites.values()]
  const name = `${shape.join('x')} ${mask}`
  if (site?.form !== form)
    return { skipped: `${name} ${form}: ${site?.rejectedForms.find((r) => r.form === form)?.reason ?? 'not offered'}` }
  const vanilla = await InferenceSession.create(modelToBytes(parseModel(text)), options)
  const feeds = feedsFor(shape, mask)
  const prepared = await prepareMask(model, feeds)
  const ours = await InferenceSession.create(modelToBytes(model), options)
  const plainTime = () => cpuTime(() => vanilla.run(feeds))
  const ownTime = () => cpuTime(() => ours.run(prepared))
  for (let i = 0; i < 3; i++) {
    await plainTime()
    await ownTime()
  }
  const [a, v]: [number[], number[]] = [[await plainTime()], []]
  const end = performance.now() + 1000 * seconds
  while (performance.now() < end || v.length < 9) {
    v.push(await ownTime())
    a.push(await plainTime())
  }
  await vanilla.release()
  await ours.release()
  const ratios = v.map((t, i) => t / (((a[i] as number) + (a[i + 1] as number)) / 2))
  return {
    row: {
      bench: 'forms',
      case: name,
      subject: `${form}${sink === 0 ? '' : ` sink ${sink}`}`,
      peer: 'plain softmax block',
      metric: 'CPU time ratio',
      value: median(ratios),
      runs: v.length,
    },
  }
}

for (const shape of shapes)
  for (const mask of masks)
    for (const form of ['zero-key', 'primitives', 'gqa', 'attention-zero-key', 'mha-zero-key', 'function'] as const)
      for (const sink of [0, -2]) {
        const result = await measure(shape, mask, form, sink)
        if ('row' in result) record([result.row])
        else console.log(`skipped ${result.skipped}`)
      }
