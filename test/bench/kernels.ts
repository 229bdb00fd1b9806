/**
 * The kernel of the form `function` against the form `zero-key`, block by block, in onnxruntime-node on one thread: CPU time of
 * runs that alternate, and the most memory a process of its own had. As in `forms.ts` masks are made ready before the clock starts.
 *
 * OUTEFFHOP_KERNELS names the folder that `outeffhop-convert kernels --build -o` was given; its default otherwise. Linux only.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { InferenceSession } from 'onnxruntime-node'
import { passes } from '../../passes/index.ts'
import { cacheFolder } from '../../src/cache/index.ts'
import { findKernels } from '../../src/kernel-places.ts'
import { modelToBytes, parseModel } from '../../src/onnx/index.ts'
import { runPipeline } from '../../src/rewrite/index.ts'
import type { Form } from '../../src/targets/index.ts'
import { targets } from '../../src/targets/index.ts'
import type { Mask, Shape } from './blocks.ts'
import { block, cpuTime, feedsFor, masks, options, prepareMask, shapes } from './blocks.ts'
import { median, record } from './measure.ts'

const seconds = Number(process.env.BENCH_SECONDS ?? 4)
const folder = process.env.OUTEFFHOP_KERNELS ?? join(cacheFolder(process.env), 'kernels')
const { library, bridge } = findKernels(folder)

if (library === null || bridge === null) console.log(`skipped: nothing is built in ${folder}: kernels --build`)
else {
  const load = (): void => createRequire(import.meta.url)(bridge).load(library)
  const plain = await sessionsOf('zero-key')
  // Sessions that are there already do not change.
  load()
  const fused = await sessionsOf('function')
  for (const [name, other] of plain) await compareTimes(name, fused.get(name) as Subject, other)
  await compareMemory(bridge, library)
}

interface Subject {
  readonly session: InferenceSession
  readonly feeds: ReturnType<typeof feedsFor>
}

async function sessionsOf(form: Form): Promise<Map<string, Subject>> {
  const subjects = new Map<string, Subject>()
  for (const shape of shapes)
    for (const mask of masks) {
      const model = converted(shape, mask, form)
      const feeds = await prepareMask(model, feedsFor(shape, mask))
      const session = await InferenceSession.create(modelToBytes(model), options)
      subjects.set(`${shape.join('x')} ${mask}`, { session, feeds })
    }
  return subjects
}

function converted(shape: Shape, mask: Mask, form: Form) {
  const model = parseModel(block(shape, mask, 17))
  const target = { target: targets.get('ort')!, version: '1.30', provider: 'cpu' } as const
  const { report } = runPipeline(model, passes, { target, sink: 0, form })
  const [site] = [...report.sites.values()]
  if (site?.form !== form) throw new Error(`${shape.join('x')} ${mask} became ${site?.form} and not ${form}`)
  return model
}

async function compareTimes(name: string, fused: Subject, plain: Subject): Promise<void> {
  const time = ({ session, feeds }: Subject) => cpuTime(() => session.run(feeds))
  for (let i = 0; i < 3; i++) {
    await time(plain)
    await time(fused)
  }
  const [before, own]: [number[], number[]] = [[await time(plain)], []]
  const end = performance.now() + 1000 * seconds
  while (performance.now() < end || own.length < 9) {
    own.push(await time(fused))
    before.push(await time(plain))
  }
  const ratios = own.map((t, i) => t / (((before[i] as number) + (before[i + 1] as number)) / 2))
  const about = { bench: 'kernels', case: name, subject: 'kernel', peer: 'zero-key' }
  record([{ ...about, metric: 'CPU time ratio', value: median(ratios), runs: ratios.length }])
}

/** MB over a process that loads the same model and does not run it. */
async function compareMemory(addon: string, operators: string): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'outeffhop-kernels-bench-'))
  const program = fileURLToPath(new URL('./kernels-once.js', import.meta.url))
  const peak = (...args: string[]): number =>
    Number(execFileSync(process.execPath, [program, ...args], { encoding: 'utf8' }))
  try {
    for (const shape of shapes.filter(([, , length]) => length >= 512))
      for (const mask of masks)
        for (const form of ['zero-key', 'function'] as const) {
          const file = join(scratch, 'model.onnx')
          writeFileSync(file, modelToBytes(converted(shape, mask, form)))
          const words = [file, JSON.stringify(shape), mask, ...(form === 'function' ? [addon, operators] : ['', ''])]
          const peaks = [0, 1, 2].map(() => peak(...words, '2') - peak(...words, '0'))
          const about = { bench: 'kernels', case: `${shape.join('x')} ${mask}`, peer: '', runs: peaks.length }
          const subject = form === 'function' ? 'kernel' : form
          record([{ ...about, subject, metric: 'peak MB of running', value: median(peaks) }])
        }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
