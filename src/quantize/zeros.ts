import type { Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { constantTensor } from '../ops/index.ts'

/** Constants with more elements are not looked through. */
const mostElements = 1 << 16

/** Operators that give the elements of their first input, in another shape or number. */
const moving = new Set(['Identity', 'Reshape', 'Expand', 'Tile', 'Transpose', 'Squeeze', 'Unsqueeze', 'Slice', 'Cast'])

/** Whether every element of a value is 0, whatever its size. */
export function isZeros(value: Value, facts: Facts): boolean {
  const tensor = constantTensor(value)
  if (tensor) return tensor.size <= mostElements && tensor.toNumbers(mostElements).every((x) => x === 0)
  const node = value.producer
  if (!node) return false
  if (node.op === 'ConstantOfShape') {
    const fill = facts.attribute(node, 'value')
    return fill === undefined || (fill.kind === 'tensor' && facts.contentOf(fill.value)?.every((x) => x === 0) === true)
  }
  const source = node.input(0)
  return moving.has(node.op) && source !== undefined && isZeros(source, facts)
}
