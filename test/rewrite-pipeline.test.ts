import { describe, expect, test } from 'vitest'
import { passes } from '../passes/index.ts'
import type { Site } from '../src/attention/index.ts'
import { usage } from '../src/errors.ts'
import type { Model } from '../src/ir/index.ts'
import { dtypes } from '../src/ir/index.ts'
import { parseModel, printModel } from '../src/onnx/index.ts'
import { changesMaths, definePass, equivalent, runPipeline, type stages } from '../src/rewrite/index.ts'
import type { TargetChoice } from '../src/targets/index.ts'
import { targets } from '../src/targets/index.ts'

const target: TargetChoice = { target: targets.get('onnx')!, version: undefined, provider: 'any' }
const relu = () =>
  parseModel('<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Relu (x) }')
const attention = () =>
  parseModel(`<ir_version: 8, opset_import: ["" : 17]>
    g (float[B,2,S,4] q, float[B,2,4,T] k, float[B,2,T,4] v) => (float[B,2,S,4] y) {
      x = MatMul (q, k)
      ["/softmax"] p = Softmax <axis: int = -1> (x)
      y = MatMul (p, v)
    }`)

/** A pass that does what it is told. */
const pass = (name: string, stage: (typeof stages)[number], run: (model: Model) => number) =>
  definePass({ name, stage, summary: name, effect: equivalent, run })

test('passes run by stage, in the order of the list within a stage, and are timed and counted', () => {
  const seen: string[] = []
  const list = (['lower', 'recognize', 'hopfield', 'lower'] as const).map((stage, i) =>
    pass(`${stage}-${i}`, stage, () => seen.push(`${stage}-${i}`)),
  )
  const { runs } = runPipeline(relu(), list, { target })
  expect(seen).toEqual(['recognize-1', 'hopfield-2', 'lower-0', 'lower-3'])
  expect(runs.map((run) => [run.pass, run.changed])).toEqual(seen.map((name, i) => [name, i + 1]))
  expect(runs.every((run) => run.milliseconds >= 0)).toBe(true)
})

test('passes share the sites until one of them edits the model', () => {
  const seen: (readonly Site[])[] = []
  const look = (name: string, run: (model: Model) => number = () => 0) =>
    definePass({
      ...{ name, stage: 'hopfield', summary: name, effect: equivalent },
      run(model, { sites }) {
        seen.push(sites)
        return run(model)
      },
    })
  const edit = (model: Model): number => {
    model.graph.setOutput(0, model.graph.resolve('p')!)
    return 1
  }
  runPipeline(attention(), [look('first'), look('edits', edit), look('last')], { target })
  const [first, second, last] = seen
  expect(second).toBe(first)
  expect(last).not.toBe(first)
  expect(last?.map((site) => site.node.name)).toEqual(['/softmax'])
})

test('the pipeline stops after the stage it is told to', () => {
  const model = attention()
  const { runs } = runPipeline(model, passes, { target, stopAfter: 'hopfield' })
  expect(runs.map((run) => run.stage)).not.toContain('lower')
  expect(printModel(model)).toMatch('outeffhop.Softmax1')
})

test('a pass that changed something is dumped, by name', () => {
  const dumped: string[] = []
  runPipeline(attention(), passes, { target, dump: (name, model) => dumped.push(`${name} ${model.graph.nodeCount}`) })
  expect(dumped.map((line) => line.split(' ')[0])).toEqual(['softmax-to-softmax1', 'lower-softmax1'])
})

test('the domain of the internal operators is imported only while they are there', () => {
  const model = attention()
  runPipeline(model, passes, { target, stopAfter: 'hopfield' })
  expect(model.opsetImports.has('outeffhop')).toBe(true)
  runPipeline(model, passes, { target })
  expect(model.opsetImports.has('outeffhop')).toBe(false)
})

describe('a fault', () => {
  test('inside a pass names the pass and keeps the cause', () => {
    const cause = new TypeError('x is undefined')
    const broken = pass('breaks', 'lower', () => {
      throw cause
    })
    expect(() => runPipeline(relu(), [broken], { target })).toThrow(
      expect.objectContaining({ code: 'bug', message: 'while running breaks: x is undefined', cause }),
    )
  })

  test('that a pass leaves in the graph names the passes of the stage', () => {
    const broken = pass('leaves-a-loose-end', 'hopfield', (model) => {
      const [node] = model.graph.nodes()
      node?.setInput(0, model.graph.newValue('nowhere'))
      return 1
    })
    expect(() => runPipeline(relu(), [broken], { target })).toThrow(/^after leaves-a-loose-end: invariant broken: node/)
  })

  test('of the user is passed on as it is', () => {
    const refusing = pass('refuses', 'lower', () => {
      throw usage('no')
    })
    expect(() => runPipeline(relu(), [refusing], { target })).toThrow(expect.objectContaining({ code: 'usage' }))
  })
})

test('a pass sees its options, the defaults where nothing is given', () => {
  const seen: unknown[] = []
  const optional = definePass({
    name: 'optional',
    stage: 'lower',
    summary: '',
    effect: changesMaths,
    options: {
      deep: { kind: 'flag', default: false, describe: '' },
      limit: { kind: 'number', default: 3, describe: '' },
    },
    run(_model, { options }) {
      seen.push(options)
      return 0
    },
  })
  runPipeline(relu(), [optional], { target, options: { optional: { limit: 5 } } })
  expect(seen).toEqual([{ deep: false, limit: 5 }])
})

describe('the report', () => {
  test('holds every site by the value it produces, with form, reason and sink', () => {
    const model = attention()
    const { report } = runPipeline(model, passes, { target, sink: -2 })
    const p = model.graph.resolve('p')!
    expect(report.sites.get(p)).toMatchObject({
      node: '/softmax',
      verdict: 'attention',
      converted: true,
      form: 'zero-key',
      formReason: 'the sink is appended to the scores, because no mask carries the sink',
      sink: -2,
    })
  })

  test('says which forms were not taken and why', () => {
    const ort: TargetChoice = { target: targets.get('ort')!, version: '1.20', provider: 'any' }
    const { report } = runPipeline(attention(), passes, { target: ort, sink: -2 })
    const [site] = report.sites.values()
    expect(site?.rejectedForms.map((rejected) => rejected.form)).toContain('gqa')
    expect(site?.rejectedForms.every((rejected) => rejected.reason !== '')).toBe(true)
  })
})

test('what was done is written on the node: metadata from IR version 10 on, the doc string before', () => {
  const old = attention()
  runPipeline(old, passes, { target, sink: -2 })
  expect(old.graph.resolve('p')?.producer?.docString).toBe('outeffhop.form=zero-key outeffhop.sink=-2')
  const recent = attention()
  recent.irVersion = 10
  runPipeline(recent, passes, { target })
  expect(Object.fromEntries(recent.graph.resolve('p')?.producer?.metadata ?? [])).toEqual({
    'outeffhop.form': 'zero-key',
    'outeffhop.sink': '0',
  })
})

test('a second run over the result changes nothing', () => {
  for (const sink of [0, -2, () => [1, -1]]) {
    const model = attention()
    runPipeline(model, passes, { target, sink })
    const once = printModel(model)
    const { runs } = runPipeline(model, passes, { target, sink })
    expect(runs.filter((run) => run.changed > 0)).toEqual([])
    expect(printModel(model)).toBe(once)
  }
})

test('declared sizes of the key axis grow with it, graph inputs and outputs keep theirs', () => {
  const model = attention()
  const scores = model.graph.resolve('x')!
  scores.type = { kind: 'tensor', dtype: dtypes.float, shape: ['B', 2, 'S', 'T'] }
  runPipeline(model, passes, { target })
  expect(scores.shape).toEqual(['B', 2, 'S', 'T+1'])
  expect(model.graph.inputs.map((input) => input.shape?.at(-1))).toEqual([4, 'T', 4])
})
