import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dtypes, Tensor } from '../src/ir/index.ts'
import { modelToBytes, parseModel } from '../src/onnx/index.ts'
import type { Session } from '../src/runtime/index.ts'
import { generateFeeds, installedRuntime, openSession, tryConverted } from '../src/runtime/index.ts'

const header = '<ir_version: 8, opset_import: ["" : 17]>'
const bytesOf = (graph: string) => modelToBytes(parseModel(`${header} ${graph}`))
const sizes = { batch: 2, other: 8, past: 4 }
const installed = installedRuntime() !== undefined
if (!installed) console.log('skipped: onnxruntime-node is not installed')

const open: Session[] = []
afterAll(async () => {
  for (const session of open) await session.close()
})
async function session(graph: string, options = {}): Promise<Session> {
  const opened = await openSession(bytesOf(graph), options)
  open.push(opened)
  return opened
}

describe.skipIf(!installed)('a session', () => {
  it('runs a model in a process of its own and gives its outputs as tensors', async () => {
    const add = await session('g (float[N] x, float[N] y) => (float[N] z, int64[1] n) { z = Add(x, y) n = Shape(x) }')
    expect([add.inputs, add.outputs]).toEqual([
      ['x', 'y'],
      ['z', 'n'],
    ])
    const outputs = await add.run({
      x: Tensor.of(dtypes.float, [2], [1, 2]),
      y: Tensor.of(dtypes.float, [2], [10, 20]),
    })
    expect(outputs.z?.toNumbers()).toEqual([11, 22])
    expect(outputs.n?.toBigInts()).toEqual([2n])
  })

  it('gives only the outputs that are asked for', async () => {
    const two = await session('g (float x) => (float y, float z) { y = Neg(x) z = Abs(x) }')
    expect(Object.keys(await two.run({ x: Tensor.of(dtypes.float, [], [-1]) }, ['z']))).toEqual(['z'])
  })

  it('takes and gives half precision, booleans, 64-bit integers and strings', async () => {
    const echo = await session(
      'g (float16[1] h, bool[1] b, int64[1] i, string[1] s) => (float16[1] h2, bool[1] b2, int64[1] i2, string[1] s2) ' +
        '{ h2 = Identity(h) b2 = Not(b) i2 = Identity(i) s2 = Identity(s) }',
    )
    const outputs = await echo.run({
      h: Tensor.of(dtypes.float16, [1], [1.5]),
      b: Tensor.of(dtypes.bool, [1], [1]),
      i: Tensor.of(dtypes.int64, [1], [2n ** 60n]),
      s: new Tensor({ dtype: dtypes.string, dims: [1], strings: () => [Buffer.from('héllo')] }),
    })
    expect(outputs.h2?.toNumbers()).toEqual([1.5])
    expect(outputs.b2?.toNumbers()).toEqual([0])
    expect(outputs.i2?.toBigInts()).toEqual([2n ** 60n])
    expect(outputs.s2?.strings?.().map((bytes) => Buffer.from(bytes).toString())).toEqual(['héllo'])
  })

  it('says what the runtime says when it refuses a model', async () => {
    await expect(openSession(bytesOf('g (float x) => (float y) { y = NoSuchOp(x) }'))).rejects.toMatchObject({
      code: 'runtime-model',
      exitCode: 5,
      message: expect.stringContaining('NoSuchOp'),
    })
  })

  it('says what the runtime says when it refuses an input, and runs on', async () => {
    const fixed = await session('g (float[2] x) => (float[2] y) { y = Neg(x) }')
    await expect(fixed.run({ x: Tensor.of(dtypes.float, [3], [1, 2, 3]) })).rejects.toMatchObject({
      code: 'runtime-input',
    })
    expect((await fixed.run({ x: Tensor.of(dtypes.float, [2], [1, 2]) })).y?.toNumbers()).toEqual([-1, -2])
  })

  it('says which tensor it cannot take', async () => {
    const half = await session('g (float x) => (float y) { y = Neg(x) }')
    const x = Tensor.of(dtypes.bfloat16, [], [1])
    await expect(half.run({ x })).rejects.toMatchObject({
      code: 'runtime-type',
      message: expect.stringContaining('bfloat16'),
    })
  })

  it('does not block the program while the model runs', async () => {
    const loop = await session(`g (int64 n, float[256,256] a) => (float[256,256] y) <bool yes = {1}> {
      y = Loop (n, yes, a) <body: graph = b (int64 i, bool c, float[256,256] s) => (bool d, float[256,256] t) {
        d = Identity(c) t = MatMul(s, s) }> }`)
    let ticks = 0
    const timer = setInterval(() => ticks++, 5)
    const started = performance.now()
    await loop.run({
      n: Tensor.of(dtypes.int64, [], [150]),
      a: Tensor.of(dtypes.float, [256, 256], new Float32Array(65536)),
    })
    const elapsed = performance.now() - started
    clearInterval(timer)
    expect(ticks).toBeGreaterThan(elapsed / 5 / 4)
  })

  it.skipIf(process.platform !== 'linux')('says that the process of the runtime ended, and stays alive', async () => {
    const before = new Set(childrenOf(process.pid))
    const victim = await session('g (float x) => (float y) { y = Neg(x) }')
    const [pid] = childrenOf(process.pid).filter((child) => !before.has(child))
    process.kill(pid ?? expect.fail('no process'), 'SIGKILL')
    const feeds = { x: Tensor.of(dtypes.float, [], [1]) }
    await expect(victim.run(feeds)).rejects.toMatchObject({
      code: 'runtime-crashed',
      message: expect.stringContaining('SIGKILL'),
    })
  })

  it('ends when it is aborted, when a call takes too long, and when it is closed', async () => {
    const forever = `g (int64 n, float x) => (float y) <bool yes = {1}> {
      y = Loop (n, yes, x) <body: graph = b (int64 i, bool c, float s) => (bool d, float t) { d = Identity(c) t = Neg(s) }> }`
    const feeds = { n: Tensor.of(dtypes.int64, [], [2n ** 62n]), x: Tensor.of(dtypes.float, [], [1]) }
    const slow = await session(forever, { timeout: 3000 })
    await expect(slow.run(feeds)).rejects.toMatchObject({ code: 'runtime-timeout' })
    const controller = new AbortController()
    const aborted = await session(forever, { signal: controller.signal })
    const run = aborted.run(feeds)
    controller.abort()
    await expect(run).rejects.toMatchObject({ code: 'interrupted', exitCode: 130 })
    const closed = await session(forever)
    const waiting = closed.run(feeds)
    await Promise.all([closed.close(), expect(waiting).rejects.toMatchObject({ code: 'runtime-crashed' })])
  })
})

describe('generated input', () => {
  const model = (graph: string) => parseModel(`${header} ${graph}`)
  const feedsOf = (graph: string) => generateFeeds(model(graph), sizes, 1).feeds ?? expect.fail('no feeds')

  it('gives equal symbols equal sizes and understands sums', () => {
    const feeds = feedsOf(
      'g (int64[batch,seq] ids, float[batch,4,past,8] k, int64[batch,"past + seq"] attention_mask, float[?,3] x) => () {}',
    )
    const dims = Object.entries(feeds).map(([name, tensor]) => [name, tensor.dims])
    expect(Object.fromEntries(dims)).toEqual({ ids: [2, 8], k: [2, 4, 4, 8], attention_mask: [2, 12], x: [2, 3] })
  })

  it('keeps ids inside the smallest table they index, behind casts and in nested graphs too', () => {
    const { ids } = feedsOf(`g (int64[N,64] ids, bool c) => (float y) <float[50,4] big = ..., float[3,4] small = ...> {
      a = Gather(big, ids)
      i = Cast <to = 6> (ids)
      y = If (c) <then_branch: graph = t () => (float z) { z = Gather(small, i) }, else_branch: graph = e () => (float w) { w = Constant<value = float {0}>() }> }`)
    const numbers = ids?.toNumbers() ?? []
    expect(Math.max(...numbers)).toBe(2)
    expect(Math.min(...numbers)).toBe(0)
  })

  it('counts positions up, fills masks with ones, and is the same every time', () => {
    const graph = 'g (int64[1,5] position_ids, bool[1,5] attention_mask, float[1,5] x) => () {}'
    const feeds = feedsOf(graph)
    expect(feeds.position_ids?.toNumbers()).toEqual([0, 1, 2, 3, 4])
    expect(feeds.attention_mask?.toNumbers()).toEqual([1, 1, 1, 1, 1])
    expect(feedsOf(graph).x?.toNumbers()).toEqual(feeds.x?.toNumbers())
    expect(new Set(feeds.x?.toNumbers()).size).toBe(5)
  })

  it('leaves inputs with a default alone and says when it cannot make one', () => {
    expect(Object.keys(feedsOf('g (float[1] x, float[1] w = {1}) => () {}'))).toEqual(['x'])
    expect(generateFeeds(model('g (bfloat16[2] x) => () {}'), sizes, 1).refused).toContain('"x"')
  })
})

describe.skipIf(!installed)('trying a converted model', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'outeffhop-trial-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  function attempt(original: string | undefined, converted: string) {
    const path = join(folder, 'converted.onnx')
    writeFileSync(path, bytesOf(converted))
    return tryConverted({ model: parseModel(`${header} ${converted}`), path, original: original && bytesOf(original) })
  }
  const softmax = 'g (float[N,4] x) => (float[N,4] y) { y = Softmax(x) }'

  it('accepts a model that runs', async () => {
    expect(await attempt(softmax, 'g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }')).toEqual({ ran: true })
  })

  it.each([
    ['', 'k, v, , , lengths, total', ''],
    [
      ' that continues',
      'k, v, past_k, past_v, lengths, total',
      ', float[batch,2,past_sequence_length,8] past_k, float[batch,2,past_sequence_length,8] past_v',
    ],
  ])('tells GroupQueryAttention%s how many keys there are', async (_, inputs, past) => {
    const kv = 'float[batch,sequence_length,16] k, float[batch,sequence_length,16] v'
    const graph = `g (float[batch,sequence_length,32] q, ${kv}${past}, int32[batch] lengths, int32 total) => (float[batch,sequence_length,32] y) {
      y, a, b = com.microsoft.GroupQueryAttention <num_heads = 4, kv_num_heads = 2> (q, ${inputs})
    }`
    expect(await attempt(graph, graph)).toEqual({ ran: true })
  })

  it('tries other sizes when the first are refused', async () => {
    const single = 'g (float[N,4] x) => (float[4] y) { y = Reshape(x, s) }'.replace('{', '<int64[1] s = {4}> {')
    expect(await attempt(single, single)).toEqual({ ran: true })
  })

  it('refuses a model that does not load, that fails where the original runs, and that gives NaN', async () => {
    await expect(attempt(softmax, 'g (float[N,4] x) => (float[N,4] y) { y = NoSuchOp(x) }')).rejects.toMatchObject({
      code: 'runtime-model',
    })
    const wrong = 'g (float[N,4] x) => (float[N,4] y) <int64[1] s = {5}> { y = Reshape(x, s) }'
    await expect(attempt(softmax, wrong)).rejects.toMatchObject({ code: 'runtime-broken', exitCode: 5 })
    const nan = 'g (float[N,4] x) => (float[N,4] y) { z = Sub(x, x) y = Div(z, z) }'
    await expect(attempt(softmax, nan)).rejects.toMatchObject({ code: 'runtime-broken' })
  })

  it('tells a model that could not be loaded before from one that was broken', async () => {
    const unknown = 'g (float[N,4] x) => (float[N,4] y) { y = NoSuchOp(x) }'
    await expect(attempt(unknown, unknown)).rejects.toMatchObject({ code: 'runtime-neither', exitCode: 5 })
  })

  it('without an original only loading counts', async () => {
    const nan = 'g (float[N,4] x) => (float[N,4] y) { z = Sub(x, x) y = Div(z, z) }'
    expect(await attempt(undefined, nan)).toEqual({ ran: false, reason: 'output "y" is NaN' })
    expect(await attempt(undefined, softmax)).toEqual({ ran: true })
    const unknown = 'g (float[N,4] x) => (float[N,4] y) { y = NoSuchOp(x) }'
    await expect(attempt(undefined, unknown)).rejects.toMatchObject({ code: 'runtime-model' })
  })

  it('reports an input neither model runs on', async () => {
    const never = 'g (float[N,4] x) => (float[N,4] y) <int64[1] s = {5}> { y = Reshape(x, s) }'
    expect(await attempt(never, never)).toMatchObject({ ran: false, reason: expect.stringContaining('Reshape') })
  })
})

/** Processes started by a process, as Linux lists them. */
function childrenOf(parent: number): number[] {
  const ids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return ids.map(Number).filter((pid) => {
    try {
      // Behind the name in parentheses: state and parent.
      return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]) === parent
    } catch {
      return false
    }
  })
}
