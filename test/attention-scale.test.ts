import { expect, it } from 'vitest'
import { findSites } from '../src/attention/index.ts'
import { attr, dtypes, Model, Tensor, type Value } from '../src/ir/index.ts'

/** A residual stack: `layers` attentions with `padding` elementwise nodes between them, no declared types inside. */
function stack(layers: number, padding: number): Model {
  const model = new Model()
  model.load(new Map([['', 17]]), new Map())
  const { graph } = model
  const x = graph.value('x')
  x.load({ kind: 'tensor', dtype: dtypes.float, shape: ['B', 'S', 16] }, undefined)
  graph.addInput(x)
  const constant = (name: string, tensor: Tensor): Value => {
    const value = graph.value(name)
    value.loadInitializer(tensor, undefined)
    return value
  }
  const split = constant('split', Tensor.int64([0, 0, 4, 4]))
  const merge = constant('merge', Tensor.int64([0, 0, 16]))
  const weight = constant('w', Tensor.of(dtypes.float, [16, 16], new Float32Array(256)))
  let id = 0
  const node = (opType: string, inputs: Value[], attributes = new Map()): Value => {
    const output = graph.value(`v${id++}`)
    graph.load({ opType, attributes }, inputs, [output])
    return output
  }
  const perm = (...axes: number[]) => new Map([['perm', attr.ints(axes)]])
  let h = x
  for (let layer = 0; layer < layers; layer++) {
    const [q, k, v] = [0, 1, 2].map(() =>
      node('Transpose', [node('Reshape', [node('MatMul', [h, weight]), split])], perm(0, 2, 1, 3)),
    )
    const scores = node('MatMul', [q as Value, node('Transpose', [k as Value], perm(0, 1, 3, 2))])
    const context = node('MatMul', [node('Softmax', [scores]), v as Value])
    let y = node('MatMul', [node('Reshape', [node('Transpose', [context], perm(0, 2, 1, 3)), merge]), weight])
    for (let i = 0; i < padding; i++) y = node('Add', [y, h])
    h = y
  }
  graph.loadOutput(0, h)
  return model
}

/** Milliseconds of processor time that detection takes, the least of three runs. */
function costOf(model: Model): number {
  const runs = [0, 1, 2].map(() => {
    const start = process.cpuUsage()
    findSites(model)
    const { user, system } = process.cpuUsage(start)
    return (user + system) / 1000
  })
  return Math.min(...runs)
}

it('finds 100 sites among 50,000 nodes, at a cost that grows with the nodes and not with their square', () => {
  const model = stack(100, 484)
  expect(model.graph.nodeCount).toBe(50_000)
  expect(findSites(model).filter((s) => s.verdict.kind === 'attention')).toHaveLength(100)
  // Ten times the nodes: a square would cost a hundred times as much.
  expect(costOf(model) / costOf(stack(10, 484))).toBeLessThan(40)
})
