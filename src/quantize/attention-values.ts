import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { isZeros } from './zeros.ts'

/** The values of a fused attention, on which its output depends linearly, channel by channel. */
export interface ValueOperand {
  readonly value: Value
  /** Heads of the output. */
  readonly own: number
  /** Heads of the values. */
  readonly values: number
}

/** Where an operator has what; sources: ContribOperators.md, Operators.md of ONNX. */
interface Ports {
  readonly heads: readonly [own: string, values: string]
  /** Inputs that are values too, or added to them. */
  readonly more: readonly number[]
  /** Outputs that are made of the values. */
  readonly kept: readonly number[]
}

const ports: Readonly<Record<string, Ports>> = {
  'com.microsoft::MultiHeadAttention': { heads: ['num_heads', 'num_heads'], more: [3, 7], kept: [2] },
  'com.microsoft::GroupQueryAttention': { heads: ['num_heads', 'kv_num_heads'], more: [4], kept: [2] },
  Attention: { heads: ['q_num_heads', 'kv_num_heads'], more: [5], kept: [2] },
}

/** Undefined where the node is none, or where its output depends on more than one input for its values. */
export function valueOperandOf(node: Node, facts: Facts): ValueOperand | undefined {
  const known = ports[node.op]
  const value = node.input(2)
  if (!known || !value) return undefined
  if (known.kept.some((port) => isRead(node.output(port)))) return undefined
  if (known.more.some((port) => node.input(port) && !isZeros(node.input(port) as Value, facts))) return undefined
  const [own, values] = known.heads.map((name, i) => facts.int(node, name) ?? headsOf(node.input(2 * i), facts))
  return own === undefined || values === undefined ? undefined : { value, own, values }
}

function isRead(value: Value | undefined): boolean {
  return value !== undefined && (value.outputUses > 0 || value.consumers.length > 0)
}

/** Heads of an operand of four axes. */
function headsOf(value: Value | undefined, facts: Facts): number | undefined {
  const shape = value && facts.shape(value)
  const heads = shape?.length === 4 ? shape[1] : undefined
  return typeof heads === 'number' ? heads : undefined
}
