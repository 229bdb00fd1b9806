import type { Node, Value } from '../ir/index.ts'
import { dtypes } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { constantTensor } from '../ops/index.ts'

/** One constant for each channel at an input of a node. */
export interface ChannelConstant {
  readonly node: Node
  readonly port: number
  readonly values: Float64Array
  readonly dims: readonly number[]
}

/**
 * The last step of a normalisation, `n * gamma + beta` by channel of the last axis: inputs of one operator, or the Mul and
 * Add a decomposed one ends with. The normalised n may be anything: only the affine step is changed.
 */
export interface ChannelAffine {
  /** `operator`: one node has n, gamma and beta. `nodes`: Mul, or Mul and Add. */
  readonly kind: 'operator' | 'nodes'
  readonly output: Node
  readonly gamma: ChannelConstant
  /** Undefined where the operator has no beta now, or the spelling none. */
  readonly beta: ChannelConstant | undefined
  /** Input a beta has or can be given at; undefined for an operator or a spelling that has none. */
  readonly betaPort: number | undefined
}

/** Operators that end with gamma and beta, by the inputs those are. */
const operators: ReadonlyMap<string, { readonly gamma: number; readonly beta?: number }> = new Map([
  ['LayerNormalization', { gamma: 1, beta: 2 }],
  ['RMSNormalization', { gamma: 1 }],
  ['SimplifiedLayerNormalization', { gamma: 1 }],
  ['com.microsoft::SimplifiedLayerNormalization', { gamma: 1 }],
])

/** The affine step that makes a value of `size` channels; undefined where it is made in another way. */
export function channelAffineOf(value: Value, size: number, facts: Facts): ChannelAffine | undefined {
  const node = value.producer
  if (!node || node.output(0) !== value) return undefined
  const ports = operators.get(node.op)
  if (ports) return operatorAffine(node, ports, size, facts)
  if (node.op === 'Mul') return scaling(node, size, facts)
  if (node.op !== 'Add') return undefined
  const beta = eitherSide(node, size)
  const product = beta && node.input(1 - beta.port)?.producer
  const inner = product?.op === 'Mul' && onlyReader(product, node) ? scaling(product, size, facts) : undefined
  return beta && inner && { ...inner, output: node, beta, betaPort: beta.port }
}

function operatorAffine(
  node: Node,
  { gamma: port, beta: betaPort }: { gamma: number; beta?: number },
  size: number,
  facts: Facts,
): ChannelAffine | undefined {
  const input = node.input(0)
  const axis = node.int('axis') ?? -1
  if (axis !== -1 && (!input || axis + 1 !== facts.rank(input))) return undefined
  const gamma = constantAt(node, port, size)
  const beta = betaPort === undefined ? undefined : constantAt(node, betaPort, size)
  if (!gamma || (betaPort !== undefined && node.input(betaPort) && !beta)) return undefined
  return { kind: 'operator', output: node, gamma, beta, betaPort }
}

/** `n * gamma` with a vector gamma and an n that is data. */
function scaling(node: Node, size: number, facts: Facts): ChannelAffine | undefined {
  const gamma = eitherSide(node, size)
  const normalised = gamma && node.input(1 - gamma.port)
  if (!gamma || !normalised || facts.isConstant(normalised)) return undefined
  return { kind: 'nodes', output: node, gamma, beta: undefined, betaPort: undefined }
}

function eitherSide(node: Node, size: number): ChannelConstant | undefined {
  return constantAt(node, 0, size) ?? constantAt(node, 1, size)
}

function constantAt(node: Node, port: number, size: number): ChannelConstant | undefined {
  const value = node.input(port)
  const tensor = value && constantTensor(value)
  if (!tensor || tensor.dtype !== dtypes.float || tensor.size !== size || tensor.dims.at(-1) !== size) return undefined
  return { node, port, values: Float64Array.from(tensor.toNumbers(size)), dims: tensor.dims }
}

function onlyReader(producer: Node, reader: Node): boolean {
  const value = producer.output()
  return value?.outputUses === 0 && value.consumers.length === 1 && value.consumers[0] === reader
}
