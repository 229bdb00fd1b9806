/** The attention blocks that forms and kernels are measured on: what they are fed, and a clock. */
import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { Model, Node, Value } from '../../src/ir/index.ts'
import { dtypes } from '../../src/ir/index.ts'
import { modelToBytes, openModel } from '../../src/onnx/index.ts'
import { shapeOf } from '../../src/ops/index.ts'
import { removeDead } from '../../src/rewrite/index.ts'

export type Mask = 'none' | 'padding' | 'causal'
export type Shape = readonly [batch: number, heads: number, length: number, size: number]

export const shapes: readonly Shape[] = [
  [1, 12, 128, 64],
  [1, 12, 197, 64],
  [8, 12, 128, 64],
  [1, 12, 512, 64],
  [1, 16, 1024, 64],
  [1, 8, 2048, 128],
]
export const masks: readonly Mask[] = ['none', 'padding', 'causal']

/** Query, key and value [B, S, H*D] to context [B, S, H*D], as exporters write it. */
export function block([, heads, , size]: Shape, mask: Mask, opset: number): string {
  const width = heads * size
  const shape = mask === 'padding' ? 'B,1,1,S' : '1,1,S,S'
  return `<ir_version: ${opset < 23 ? 8 : 10}, opset_import: ["" : ${opset}]>
    block (float[B,S,${width}] q, float[B,S,${width}] k, float[B,S,${width}] v${mask === 'none' ? '' : `, float[${shape}] mask`}) => (float[B,S,${width}] y)
    <float scale = {${1 / Math.sqrt(size)}}, int64[4] split = {0, 0, ${heads}, ${size}}, int64[3] merge = {0, 0, ${width}}> {
      q4 = Reshape (q, split)
      k4 = Reshape (k, split)
      v4 = Reshape (v, split)
      qt = Transpose <perm: ints = [0, 2, 1, 3]> (q4)
      kt = Transpose <perm: ints = [0, 2, 3, 1]> (k4)
      vt = Transpose <perm: ints = [0, 2, 1, 3]> (v4)
      x = MatMul (qt, kt)
      z = Mul (x, scale)
      ${mask === 'none' ? 'm = Identity (z)' : 'm = Add (z, mask)'}
      p = Softmax <axis: int = -1> (m)
      c = MatMul (p, vt)
      t = Transpose <perm: ints = [0, 2, 1, 3]> (c)
      y = Reshape (t, merge)
    }`
}

export function feedsFor([batch, heads, length, size]: Shape, mask: Mask): Record<string, Tensor> {
  let state = 1
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32 - 0.5
  }
  const width = heads * size
  const tensor = (): Tensor =>
    new Tensor(
      'float32',
      Float32Array.from({ length: batch * length * width }, () => 3 * (uniform() + uniform())),
      [batch, length, width],
    )
  const feeds: Record<string, Tensor> = { q: tensor(), k: tensor(), v: tensor() }
  if (mask === 'padding')
    feeds.mask = new Tensor(
      'float32',
      Float32Array.from({ length: batch * length }, (_, i) => (i % length >= length * 0.75 ? -1e4 : 0)),
      [batch, 1, 1, length],
    )
  if (mask === 'causal')
    feeds.mask = new Tensor(
      'float32',
      Float32Array.from({ length: length * length }, (_, i) => (i % length > Math.floor(i / length) ? -1e4 : 0)),
      [1, 1, length, length],
    )
  return feeds
}

export const options: InferenceSession.SessionOptions = {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  logSeverityLevel: 3,
}

/** Milliseconds of processor time, of all threads, that some work takes. */
export async function cpuTime(work: () => Promise<unknown>): Promise<number> {
  const start = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

/** Takes out of a model what it computes from the mask and from shapes alone; gives the feeds of what is left. */
export async function prepareMask(model: Model, feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  const made = madeOfMask(model)
  if (made.length === 0) return feeds
  const names = made.map(({ name }) => name)
  for (const value of made) value.type ??= { kind: 'tensor', dtype: dtypes.float, shape: shapeOf(value) }
  const { graph } = openModel(modelToBytes(model))
  for (const name of names) graph.setOutput(graph.outputs.length, graph.value(name))
  const whole = await InferenceSession.create(modelToBytes(graph.model as Model), options)
  const values = await whole.run(feeds, names)
  await whole.release()
  const makers = made.map((value) => value.producer as Node)
  for (const value of made) {
    value.producer?.setOutput(0, undefined)
    model.graph.addInput(value)
  }
  removeDead(makers)
  return { ...feeds, ...(values as Record<string, Tensor>) }
}

/** What other nodes read of the values that only the mask and shapes decide. */
function madeOfMask({ graph }: Model): Value[] {
  const mask = graph.inputs.find(({ name }) => name === 'mask')
  const known = new Set<Value | undefined>([undefined, mask])
  const ofMask = new Set([mask])
  for (const node of graph.nodes()) {
    const { inputs } = node
    if (node.op !== 'Shape' && !inputs.every((value) => known.has(value) || value?.initializer)) continue
    for (const value of node.outputs) known.add(value)
    if (inputs.some((value) => value && ofMask.has(value))) for (const value of node.outputs) ofMask.add(value)
  }
  const read = (value: Value): boolean => value.uses.some(({ node }) => !known.has(node.output()))
  return [...ofMask].filter((value) => value !== undefined && value !== mask && read(value)) as Value[]
}
