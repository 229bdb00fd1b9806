import type { Value } from '../ir/index.ts'
import type { Facts, Operand } from '../ops/index.ts'
import { hasPackedWeight } from '../ops/index.ts'
import type { Frame } from './cursor.ts'

/**
 * What an operand of a contraction is.
 *
 * - `data`: depends on an input of the model.
 * - `weight`: a constant of at most two axes, applied as it is stored (transposed or quantized perhaps).
 * - `stored`: a constant of more axes, applied as it is stored.
 * - `memory`: a constant that the graph projects, repeats or splits into heads: a learned query, a stored pattern.
 */
export type OperandKind = 'data' | 'weight' | 'stored' | 'memory'

export function operandKind(operand: Operand, frame: Frame | undefined, facts: Facts): OperandKind {
  if (hasPackedWeight(operand.node) && operand.port === 1) return 'weight'
  const axes = storedAxes(operand.value, frame, facts)
  if (axes !== undefined) return axes <= 2 ? 'weight' : 'stored'
  return isConstantIn(operand.value, frame, facts) ? 'memory' : 'data'
}

/** Whether a value depends on no data, seen from the call of the function it is in. */
export function isConstantIn(value: Value, frame: Frame | undefined, facts: Facts): boolean {
  if (facts.isConstant(value)) return true
  const actual = frame && !value.producer ? actualOf(value, frame) : undefined
  return actual ? isConstantIn(actual, frame?.parent, facts) : false
}

const storage = new Set([
  'Transpose',
  'Cast',
  'CastLike',
  'Identity',
  'QuantizeLinear',
  'DequantizeLinear',
  'com.microsoft::QuantizeLinear',
  'com.microsoft::DequantizeLinear',
  'Squeeze',
  'Unsqueeze',
])

/** Axes of the stored constant an operand is, behind transposition and number formats; `undefined` when it is none. */
function storedAxes(value: Value, frame: Frame | undefined, facts: Facts): number | undefined {
  let at = value
  let call = frame
  for (;;) {
    if (at.initializer) return at.initializer.dims.length
    const node = at.producer
    if (!node) {
      const actual = call && actualOf(at, call)
      if (!actual) return undefined
      at = actual
      call = call?.parent
      continue
    }
    if (node.op === 'Constant') return facts.rank(at) ?? 0
    const input = node.input(0)
    if (!storage.has(node.op) || !input) return undefined
    at = input
  }
}

/** What the caller passes for an input of the function a frame is in. */
export function actualOf(value: Value, frame: Frame): Value | undefined {
  const owner = value.graph.owner
  return owner && 'body' in owner ? frame.call.input(owner.body.inputs.indexOf(value)) : undefined
}
