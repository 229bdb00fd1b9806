import type { Model, Node } from '../ir/index.ts'
import { annotationOf, bitsOf, dtypes } from '../ir/index.ts'

/** What the coarsest part of a model is computed in. */
export type Precision = 'float32' | 'float16' | 'int8' | 'int4'

/** From the finest to the coarsest. */
const precisions: readonly Precision[] = ['float32', 'float16', 'int8', 'int4']

/** The precision of a model, by the operators and the element types it has, nested graphs and functions included. */
export function precisionOf(model: Model): Precision {
  let found = 0
  const see = (precision: Precision) => {
    found = Math.max(found, precisions.indexOf(precision))
  }
  for (const graph of model.graphs()) {
    for (const { initializer } of graph.values.values()) {
      if (initializer?.dtype === dtypes.float16 || initializer?.dtype === dtypes.bfloat16) see('float16')
      if (initializer && (bitsOf(initializer.dtype) ?? 8) < 8) see('int4')
    }
    for (const node of graph.nodes()) {
      if (node.op === 'Cast' && [dtypes.float16, dtypes.bfloat16].some((dtype) => dtype === node.int('to')))
        see('float16')
      if (isInteger(node)) see((node.int('bits') ?? 8) < 8 ? 'int4' : 'int8')
    }
  }
  return precisions[found] as Precision
}

/** The coarser of two. */
export function coarser(a: Precision, b: Precision): Precision {
  return precisions.indexOf(a) > precisions.indexOf(b) ? a : b
}

const integer = /^(com\.microsoft::)?(Dynamic)?(Quantize|Dequantize|QLinear|QGemm|QAttention|MatMulInteger|ConvInteger)/
const blocks = new Set(['com.microsoft::MatMulNBits', 'com.microsoft::GatherBlockQuantized'])

function isInteger({ op }: Node): boolean {
  return integer.test(op) || blocks.has(op)
}

/** Whether attention of a model was given Softmax1 by this program. */
export function isConverted(model: Model): boolean {
  for (const graph of model.graphs())
    for (const node of graph.nodes()) if (annotationOf(node, 'form') !== undefined) return true
  return false
}
