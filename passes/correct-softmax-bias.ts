import type { Node, Value } from '../src/ir/index.ts'
import { dtypes, Tensor } from '../src/ir/index.ts'
import { approximate, definePass, Ops, opsetOf } from '../src/rewrite/index.ts'

/**
 * Adds to quantized probabilities what rounding takes from them in the mean, `E[p - Q(p)]`, one number for each head.
 *
 * Source: softmax bias correction (arXiv 2309.01729), which hides the number in the zero point of its simulation.
 */
export const correctSoftmaxBias = definePass({
  name: 'correct-softmax-bias',
  stage: 'quantize',
  summary: 'Add to quantized probabilities what rounding takes from them in the mean.',
  effect: approximate(0.1),
  run(model, { quantization }) {
    const found = [...(quantization?.softmaxBias ?? [])].flatMap(([name, bias]) => {
      const value = model.graph.values.get(name)
      return value?.producer?.op === 'DequantizeLinear' ? [{ value, bias }] : []
    })
    for (const { value, bias } of found) addTo(value, bias)
    return found.length
  },
})

/** The value keeps its name and readers. */
function addTo(value: Value, bias: readonly number[]): void {
  const { graph } = value
  const dequantize = value.producer as Node
  const rounded = graph.newValue(`${value.name}/rounded`)
  dequantize.setOutput(0, rounded)
  const ops = new Ops({ graph, before: dequantize.next, name: value.name, opset: opsetOf(graph) })
  const dims = bias.length === 1 ? [] : [bias.length, 1, 1]
  const sum = ops.Add(rounded, ops.constant(Tensor.of(dtypes.float, dims, bias).named(`${value.name}/bias`)))
  const add = sum.producer as Node
  add.setOutput(0, value)
  graph.removeValue(sum)
}
