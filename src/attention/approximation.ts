import type { Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { labelledProduct, recordOf } from '../ops/index.ts'
import type { Frame } from './cursor.ts'
import { isConstantIn } from './memory.ts'

const deepest = 400

/**
 * Whether a value is made of softmaxes alone, with no projection and no data in between: a factor of a kernel approximation
 * (Nyström), or an entropy.
 */
export function builtFromSoftmax(value: Value, frame: Frame | undefined, facts: Facts): boolean {
  const seen = new Set<Value>()
  const open = [value]
  let softmax = false
  for (let at = open.pop(); at; at = open.pop()) {
    if (seen.has(at) || isConstantIn(at, frame, facts)) continue
    seen.add(at)
    const node = at.producer
    if (!node || seen.size > deepest) return false
    if (node.op === 'Softmax' || node.op === 'outeffhop::Softmax1' || node.op === 'LogSoftmax') {
      softmax = true
      continue
    }
    const product = labelledProduct(node, facts)
    // A projection separates layers.
    if (product?.operands.some((o) => isConstantIn(o.value, frame, facts))) return false
    if (!product && !recordOf(node)?.axes) return false
    open.push(...(product ? product.operands.map((o) => o.value) : node.inputs.filter((v) => v !== undefined)))
  }
  return softmax
}
