import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SiteState } from '../src/calibrate/index.ts'
import { CalibrationTable, collect, readOwnTable, writeTable } from '../src/calibrate/index.ts'
import { calibrate } from '../src/calibrate.ts'
import { main } from '../src/cli/main.ts'
import { ConversionRefused, convert, modelToBytes, openData, parseModel } from '../src/index.ts'
import { random } from '../src/runtime/random.ts'
import { recordedWorld } from './support/world.ts'

const [H, S, D, T] = [2, 6, 4, 5]
const types = `float[1,${H},${S},${D}] q, float[1,${H},${D},${T}] k, float[1,${H},${T},3] v`
const result = `float[1,${H},${S},3]`
const header = '<ir_version: 8, opset_import: ["" : 17, "local" : 1]>'
const biased = '<float[1,2,1,1] bias = {3, -3}, int64[4] size = {1, 2, 6, 5}>'
/** Attention of some queries, as nodes. */
const attention = (label: string, q: string, y: string) =>
  `${y}_s = MatMul (${q}, k) ${y}_t = Add (${y}_s, bias) ["${label}"] ${y}_p = Softmax <axis = -1> (${y}_t) ${y} = MatMul (${y}_p, v)`

interface Sample {
  readonly q: number[][][]
  readonly k: number[][][]
  readonly v: number[][][]
  readonly c: boolean
  readonly n: number
}

const next = random(29)
const numbers = (...dims: number[]): unknown =>
  dims.length === 0 ? 2 * next() - 1 : Array.from({ length: dims[0] as number }, () => numbers(...dims.slice(1)))
const samples = Array.from(
  { length: 6 },
  (_, i): Sample => ({
    q: numbers(H, S, D) as number[][][],
    k: numbers(H, D, T) as number[][][],
    v: numbers(H, T, 3) as number[][][],
    c: i % 3 !== 0,
    n: i,
  }),
)

/** `ln Σ exp(times q·k + bias)` of every row of a head, in float64. */
function rowsOf({ q, k }: Sample, head: number, times = 1): number[] {
  return (q[head] as number[][]).map((row) => {
    const scores = Array.from({ length: T }, (_, j) =>
      row.reduce((sum, x, d) => sum + times * x * ((k[head] as number[][])[d] as number[])[j]!, head === 0 ? 3 : -3),
    )
    return Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0))
  })
}

interface Expected {
  readonly graph: RegExp
  readonly node: string
  readonly call?: string
  /** L of the rows of a head in a sample. */
  readonly rows: (sample: Sample, head: number) => number[]
}

interface Scope {
  readonly name: string
  readonly text: string
  readonly inputs?: readonly ('c' | 'n')[]
  readonly sites: readonly Expected[]
}

const repeated = <T>(n: number, of: (i: number) => T[]): T[] => Array.from({ length: n }, (_, i) => of(i)).flat()

const attend = `<domain: "local", opset_import: ["" : 17, "local" : 1]>
Attend (q, k, v, bias) => (y) { ${attention('/softmax', 'q', 'y')} }`

const scopes: readonly Scope[] = [
  {
    name: 'both branches of an If, each by the samples that take it',
    text: `g (${types}, bool c) => (${result} y) ${biased} {
      q2 = Add (q, q)
      ["/if"] y = If (c) <then_branch = a () => (${result} a) { ${attention('/then', 'q', 'a')} },
        else_branch = b () => (${result} b) { ${attention('/else', 'q2', 'b')} }>
    }`,
    inputs: ['c'],
    sites: [
      { graph: /^\/if\/then_branch$/, node: '/then', rows: (s, h) => (s.c ? rowsOf(s, h) : []) },
      { graph: /^\/if\/else_branch$/, node: '/else', rows: (s, h) => (s.c ? [] : rowsOf(s, h, 2)) },
    ],
  },
  {
    name: 'an If in an If, beside attention of the main graph',
    text: `g (${types}, bool c) => (${result} y, ${result} z) ${biased} {
      ${attention('/main', 'q', 'z')}
      no = Not (c)
      ["/outer"] y = If (c) <then_branch = a () => (${result} a) {
          ["/inner"] a = If (no) <then_branch = b () => (${result} b) { b = Identity (v) }, else_branch = d () => (${result} d) { ${attention('/deep', 'q', 'd')} }>
        }, else_branch = e () => (${result} e) { e = Identity (z) }>
    }`,
    inputs: ['c'],
    sites: [
      { graph: /^$/, node: '/main', rows: (s, h) => rowsOf(s, h) },
      {
        graph: /^\/outer\/then_branch\/\/inner\/else_branch$/,
        node: '/deep',
        rows: (s, h) => (s.c ? rowsOf(s, h) : []),
      },
    ],
  },
  {
    name: 'a Loop whose keys grow, for as many steps as a sample says',
    text: `g (${types}, int64 n) => (float[1,${H},${D},T] kf, float[N,1,${H},${S},3] y) <float[1,2,1,1] bias = {3, -3}, bool go = {1}> {
      ["/loop"] kf, vf, y = Loop (n, go, k, v) <body = b (int64 i, bool c, float[1,${H},${D},U] ki, float[1,${H},U,3] vi) => (bool co, float[1,${H},${D},W] kn, float[1,${H},W,3] vn, ${result} a) {
        co = Identity (c)
        s = MatMul (q, ki) t = Add (s, bias) ["/step"] p = Softmax <axis = -1> (t) a = MatMul (p, vi)
        kn = Concat <axis = 3> (ki, k) vn = Concat <axis = 2> (vi, v)
      }>
    }`,
    inputs: ['n'],
    // The keys of step i are those of the first step, i + 1 times.
    sites: [
      {
        graph: /^\/loop\/body$/,
        node: '/step',
        rows: (s, h) => repeated(s.n, (i) => rowsOf(s, h).map((l) => l + Math.log(i + 1))),
      },
    ],
  },
  {
    name: 'a Scan with a state and an output axis',
    text: `g (${types}) => (float[3,1,${H},${S},3] y) <float[1,2,1,1] bias = {3, -3}, float[1] zero = {0}, int64[1] axis0 = {0}> {
      q0 = Unsqueeze (q, axis0) q1 = Add (q0, q0) q2 = Add (q1, q0) qs = Concat <axis = 0> (q0, q1, q2)
      ["/scan"] st, y = Scan (zero, qs) <num_scan_inputs = 1, scan_output_axes = [0], body = b (float[1] si, ${result.replace(',3]', `,${D}]`)} qi) => (float[1] so, ${result} a) {
        so = Identity (si) ${attention('/scanned', 'qi', 'a')}
      }>
    }`,
    sites: [{ graph: /^\/scan\/body$/, node: '/scanned', rows: (s, h) => repeated(3, (i) => rowsOf(s, h, i + 1)) }],
  },
  {
    name: 'a function, by each of its calls, those of a function that calls it too',
    text: `g (${types}) => (${result} y, ${result} z) <float[1,2,1,1] bias = {3, -3}> {
      ["/first"] y = local.Attend (q, k, v, bias) ["/twice"] z = local.Double (q, k, v, bias)
    }
    ${attend}
    <domain: "local", opset_import: ["" : 17, "local" : 1]>
    Double (q, k, v, bias) => (y) { r = Add (q, q) ["/again"] y = local.Attend (r, k, v, bias) }`,
    sites: [
      { graph: /^function:local.Attend$/, node: '/softmax', call: '/first', rows: (s, h) => rowsOf(s, h) },
      { graph: /^function:local.Attend$/, node: '/softmax', call: '/twice > /again', rows: (s, h) => rowsOf(s, h, 2) },
    ],
  },
  {
    name: 'a function that is called in a branch of a Loop',
    text: `g (${types}, int64 n) => (${result} y) <float[1,2,1,1] bias = {3, -3}, bool go = {1}, int64 two = {2}, int64 one = {1}> {
      y0 = Identity (v) zero = Sub (v, v) start = MatMul (q, k) w = MatMul (start, zero)
      ["/loop"] y = Loop (n, go, w) <body = b (int64 i, bool c, ${result} yi) => (bool co, ${result} yo) {
        co = Identity (c) r = Mod (i, two) odd = Equal (r, one)
        ["/if"] yo = If (odd) <then_branch = d () => (${result} e) { ["/call"] e = local.Attend (q, k, v, bias) }, else_branch = f () => (${result} h) { h = Identity (yi) }>
      }>
    }
    ${attend}`,
    inputs: ['n'],
    sites: [
      {
        graph: /^function:local.Attend$/,
        node: '/softmax',
        call: '/call',
        rows: (s, h) => repeated(Math.floor(s.n / 2), () => rowsOf(s, h)),
      },
    ],
  },
  {
    name: 'branches and a loop of a function, by each of its calls',
    text: `g (${types}, bool c, int64 n) => (${result} y, ${result} z) <float[1,2,1,1] bias = {3, -3}> {
      no = Not (c) q2 = Add (q, q)
      ["/first"] y = local.Maybe (q, k, v, bias, c, n) ["/second"] z = local.Maybe (q2, k, v, bias, no, n)
    }
    <domain: "local", opset_import: ["" : 17]>
    Maybe (q, k, v, bias, c, n) => (y) {
      ["/if"] y = If (c) <then_branch = a () => (a) { ${attention('/then', 'q', 'a')} },
        else_branch = b () => (b) {
          go = Constant <value = bool {1}> () zero = MatMul (q, k) start = MatMul (zero, v)
          ["/loop"] b = Loop (n, go, start) <body = d (int64 i, bool ci, float[1,${H},${S},3] yi) => (bool co, float[1,${H},${S},3] yo) {
            co = Identity (ci) ${attention('/step', 'q', 'yo')}
          }>
        }>
    }`,
    inputs: ['c', 'n'],
    sites: [
      { graph: /then_branch$/, node: '/then', call: '/first', rows: (s, h) => (s.c ? rowsOf(s, h) : []) },
      { graph: /then_branch$/, node: '/then', call: '/second', rows: (s, h) => (s.c ? [] : rowsOf(s, h, 2)) },
      { graph: /body$/, node: '/step', call: '/first', rows: (s, h) => (s.c ? [] : repeated(s.n, () => rowsOf(s, h))) },
      {
        graph: /body$/,
        node: '/step',
        call: '/second',
        rows: (s, h) => (s.c ? repeated(s.n, () => rowsOf(s, h, 2)) : []),
      },
    ],
  },
  {
    name: 'the main graph, where the sum divides only after the product with values',
    text: `g (${types}) => (${result} y) ${biased} {
      s = MatMul (q, k) t = Add (s, bias) m = ReduceMax <axes = [-1]> (t) x = Sub (t, m) ["/exp"] e = Exp (x)
      last = Constant <value_ints = [-1]> () sum = ReduceSum (e, last) c = MatMul (e, v) ["/late"] y = Div (c, sum)
    }`,
    sites: [{ graph: /^$/, node: '/late', rows: (s, h) => rowsOf(s, h) }],
  },
  {
    name: 'a fused operator in a branch',
    text: `g (${types}, bool c) => (${result} y) ${biased} {
      kt = Transpose <perm = [0, 1, 3, 2]> (k) m = Expand (bias, size)
      ["/if"] y = If (c) <then_branch = a () => (${result} a) { ["/fused"] a = Attention <scale = 1.0> (q, kt, v, m) },
        else_branch = b () => (${result} b) { z = MatMul (q, k) b = MatMul (z, v) }>
    }`,
    inputs: ['c'],
    sites: [{ graph: /^\/if\/then_branch$/, node: '/fused', rows: (s, h) => (s.c ? rowsOf(s, h) : []) }],
  },
]

function textOf({ text }: Scope): string {
  const fused = text.includes('/fused')
  return `${fused ? '<ir_version: 10, opset_import: ["" : 23, "local" : 1]>' : header}\n${text}`
}

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-scopes-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const feeds = ({ inputs = [] }: Pick<Scope, 'inputs'>, sample: Sample) => ({
  ...{ q: [sample.q], k: [sample.k], v: [sample.v] },
  ...Object.fromEntries(inputs.map((name) => [name, sample[name]])),
})

function filesOf(
  scope: Pick<Scope, 'inputs'> & { readonly model: string },
  used = samples,
): { model: string; data: string } {
  const [model, data] = ['model.onnx', 'data.jsonl'].map((name) => join(mkdtempSync(join(folder, 'case-')), name))
  writeFileSync(model as string, modelToBytes(parseModel(scope.model)))
  writeFileSync(data as string, used.map((sample) => JSON.stringify(feeds(scope, sample))).join('\n'))
  return { model: model as string, data: data as string }
}

async function tableOf(scope: Scope, used = samples): Promise<CalibrationTable> {
  const { data } = filesOf({ ...scope, model: textOf(scope) }, used)
  const model = parseModel(textOf(scope))
  return collect(model, await openData(data, model))
}

/** Rows of each head are as many as expected, and each quantile of them is off by a bin of 1/64 at most. */
function expectRows(state: SiteState, { rows }: Expected, used = samples): void {
  for (const head of [0, 1]) {
    const expected = used.flatMap((sample) => rows(sample, head)).toSorted((a, b) => a - b)
    const { first, counts, exponent } = state.logsumexp[head]!.rows
    const seen = Array.from(counts).flatMap((n, i) => Array.from({ length: n }, () => (first + i) * 2 ** exponent))
    expect(seen).toHaveLength(expected.length)
    for (const [i, l] of expected.entries()) {
      expect(l - (seen[i] as number)).toBeGreaterThan(-1e-5)
      expect(l - (seen[i] as number)).toBeLessThan(1 / 64 + 1e-5)
    }
  }
}

describe('rows of attention are observed in', () => {
  it.each(scopes)('$name', async (scope) => {
    const table = await tableOf(scope)
    expect(table.sites.map(({ node, call }) => [node, call])).toEqual(
      scope.sites.map(({ node, call = '' }) => [node, call]),
    )
    for (const [i, expected] of scope.sites.entries()) {
      const site = table.sites[i] as SiteState
      expect(site.graph).toMatch(expected.graph)
      expect(site.heads?.count).toBe(H)
      expectRows(site, expected)
    }
  })

  it.each(scopes)('$name: a table that is read is the one that was written', async (scope) => {
    const table = await tableOf(scope)
    const path = join(folder, 'table.json')
    writeTable(path, table)
    expect(readOwnTable(path).sites).toEqual(table.sites)
  })
})

/** The least L of a head over all samples and calls of a site. */
function leastOf(scope: Scope, { graph, node }: Expected, head: number): number {
  const calls = scope.sites.filter((site) => site.graph.source === graph.source && site.node === node)
  return Math.min(...calls.flatMap(({ rows }) => samples.flatMap((sample) => rows(sample, head))))
}

describe('calibrated sinks are given in', () => {
  it.each(scopes)('$name: every row keeps 99 % of its output', async (scope) => {
    const { model, data } = filesOf({ ...scope, model: textOf(scope) })
    const { document } = await convert(model, { data })
    const sites = document.sites.filter(({ converted }) => converted)
    expect(sites).toHaveLength(new Set(scope.sites.map(({ graph, node }) => `${graph} ${node}`)).size)
    for (const expected of scope.sites) {
      const site = sites.find(({ node, graph }) => node === expected.node && expected.graph.test(graph))
      const sinks = site?.sink as number[]
      for (const head of [0, 1]) {
        // Bins of 1/64 put a sink off by no more than that, and so does a share of 0.1 % of few rows.
        const most = leastOf(scope, expected, head) - Math.log(99)
        expect(most - (sinks[head] as number)).toBeGreaterThan(-1 / 64 - 1e-5)
        expect(most - (sinks[head] as number)).toBeLessThan(1 / 64 + 1e-5)
      }
      expect(site?.change?.worst.gate).toBeGreaterThan(0.985)
      const calls = scope.sites.filter(({ node, call }) => node === expected.node && call !== undefined).length
      expect(site?.notes.some((note) => note.includes(`any of ${calls} calls`))).toBe(calls > 1)
    }
    expect(document.calibration?.sites).toHaveLength(scope.sites.length)
    for (const { name, relative } of measuredOf(document)) expect(relative, name).toBeLessThan(0.0101)
  })

  it('a model with a sink of 0 only where no head fades: those that do are named, wherever they are', async () => {
    const failed: string[] = []
    for (const scope of scopes) {
      const { model, data } = filesOf({ ...scope, model: textOf(scope) })
      const error = await convert(model, { data, sink: 'zero', dryRun: true }).catch((thrown) => thrown)
      expect(error).toBeInstanceOf(ConversionRefused)
      expect(error).toMatchObject({ code: 'sink-drift' })
      for (const { node } of scope.sites) if (!error.message.includes(`"${node}": head 1 0.`)) failed.push(node)
    }
    expect(failed).toEqual([])
  })
})

describe('a site that no rows can be seen of', () => {
  const branch = scopes[0] as Scope
  it('is refused by name where no sample takes its branch, and converted where it is left out', async () => {
    const { model, data } = filesOf(
      { ...branch, model: textOf(branch) },
      samples.filter(({ c }) => c),
    )
    await expect(convert(model, { data, dryRun: true })).rejects.toMatchObject({
      code: 'sink-unobserved',
      message: expect.stringContaining('"/else" was reached by no sample'),
    })
    const fixed = await convert(model, { data, dryRun: true, sink: -8 })
    expect(fixed.document.warnings.filter(({ code }) => code === 'sink-not-verified')).toMatchObject([
      {
        message: expect.stringContaining('"/else" changes is not known: it was reached by no sample'),
        at: { node: '/else' },
      },
    ])
    const { document } = await convert(model, { data, dryRun: true, except: '/else' })
    expect(document.sites.map(({ node, converted }) => [node, converted])).toEqual([
      ['/then', true],
      ['/else', false],
    ])
  })

  it('keeps why: a branch in a Scan, whose steps have to give the same sizes', async () => {
    const text = `${header} g (${types}, bool c) => (float[1,1,${H},${S},3] y) <float[1,2,1,1] bias = {3, -3}, int64[1] axis0 = {0}> {
      qs = Unsqueeze (q, axis0)
      ["/scan"] y = Scan (qs) <num_scan_inputs = 1, body = b (float[1,${H},${S},${D}] qi) => (${result} a) {
        ["/if"] a = If (c) <then_branch = d () => (${result} e) { ${attention('/inside', 'qi', 'e')} }, else_branch = f () => (${result} h) { z = MatMul (qi, k) h = MatMul (z, v) }>
      }>
    }`
    const { model, data } = filesOf({ inputs: ['c'], model: text })
    await expect(convert(model, { data, dryRun: true })).rejects.toMatchObject({
      code: 'sink-unobserved',
      message: expect.stringContaining('"/inside" is in a branch or loop inside of the Scan "/scan"'),
    })
  })

  it('keeps why: a function that nothing calls', async () => {
    const called = scopes[4] as Scope
    const text = textOf(called).replaceAll(
      /\["\/(first|twice)"\] ([yz]) = local\.\w+ \(q, k, v, bias\)/g,
      (_, name, y) => attention(`/${name}`, 'q', y),
    )
    const { model, data } = filesOf({ model: text })
    const { document } = await convert(model, { data, dryRun: true }).catch((thrown) => thrown)
    expect(document.calibration.sites.find(({ node }: { node: string }) => node === '/softmax')).toMatchObject({
      heads: [],
      unobserved: expect.stringContaining('nothing calls'),
    })
  })
})

/** Of the outputs that attention goes into, the largest distance, as a share of what is largest in them. */
function measuredOf({ change }: Awaited<ReturnType<typeof convert>>['document']) {
  const outputs = change?.measured?.outputs ?? []
  expect(outputs.length).toBeGreaterThan(0)
  return outputs.map(({ name, cosine }) => ({ name, relative: Math.sqrt(2 * Math.max(0, 1 - cosine.worst)) }))
}

describe('what is seen in other graphs', () => {
  it('is not kept from a function that is also called by one that nothing calls', async () => {
    const called = scopes[4] as Scope
    const text = called.text.replace('local.Double (q, k, v, bias)', 'local.Attend (q, k, v, bias)')
    const table = await tableOf({ ...called, text })
    expect(table.sites.map(({ call, unobserved }) => [call, unobserved])).toEqual([
      ['/first', undefined],
      ['/twice', undefined],
    ])
    // What it gives its call has no shape, so heads are not told apart.
    const counts = table.sites.map(({ logsumexp }) => logsumexp.map(({ rows }) => Array.from(rows.counts)))
    const all = samples.length * H * S
    expect(counts.map((heads) => heads.map((head) => head.reduce((a, b) => a + b)))).toEqual([[all], [all]])
  })

  it('is not added to a table of a version that did not look there', async () => {
    const scope = scopes[0] as Scope
    const table = await tableOf(scope, samples.slice(0, 2))
    const old = new CalibrationTable(table, { ...table, sites: [] })
    const { data } = filesOf({ ...scope, model: textOf(scope) }, samples)
    const model = parseModel(textOf(scope))
    const source = await openData(data, model)
    const resume = new CalibrationTable({ ...old, data: source.manifest }, old)
    await expect(collect(model, source, { resume })).rejects.toMatchObject({ code: 'calibration-unlike' })
  })

  it('takes no more memory for more samples', async () => {
    const scope = scopes[2] as Scope
    const many = Array.from({ length: 240 }, (_, i) => ({ ...(samples[i % samples.length] as Sample), n: 24 }))
    const { data } = filesOf({ ...scope, model: textOf(scope) }, many)
    const model = parseModel(textOf(scope))
    const memory: number[] = []
    const table = await collect(model, await openData(data, model), { onProgress: (pace) => memory.push(pace.memory) })
    expect(table.sites[0]?.logsumexp[0]?.rows.counts.length).toBeLessThan(20 * 64)
    expect((memory[239] as number) - (memory[79] as number)).toBeLessThan(32 << 20)
  })

  it('is printed by explain, call by call, with what could not be seen', async () => {
    const called = scopes[4] as Scope
    const branch = scopes[0] as Scope
    const printed = async (scope: Scope, used: readonly Sample[]) => {
      const { model, data } = filesOf({ ...scope, model: textOf(scope) }, [...used])
      const table = `${model}.json`
      await calibrate(model, { data, output: table })
      const world = recordedWorld()
      expect(await main(['explain', model, '--calibration', table, '--no-color'], world)).toBe(0)
      return world.out()
    }
    const calls = await printed(called, samples)
    expect(calls).toMatch(/\/softmax +2 .*\n +in the call \/first\n/)
    expect(calls).toMatch(/in the call \/twice > \/again\n +mean g below 0.97: head 1/)
    expect(
      await printed(
        branch,
        samples.filter(({ c }) => c),
      ),
    ).toMatch(/\/else .*\n +not observed: it was reached by no sample/)
  })
})
