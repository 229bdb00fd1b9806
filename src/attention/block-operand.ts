import type { Node, Value } from '../ir/index.ts'
import type { Facts, Size } from '../ops/index.ts'
import { divideSizes } from '../ops/index.ts'

/**
 * A rank-4 operand of a block. `order` names its axes, outermost first: b batch, h heads, s queries, t keys, d head size
 * of q and k, e head size of v.
 */
export interface BlockOperand {
  readonly value: Value
  readonly order: string
  /** The same elements as [B, S, H*D], heads inside, where the graph has them so. */
  readonly packed?: Value
}

/** An operand before the layout operators and scalar factors that only serve it. */
export interface Peeled {
  readonly operand: BlockOperand
  /** Product of the scalar factors that were passed. */
  readonly scale: number
}

/** Follows an operand back through Transpose, Identity and (unless `scale` is false) products with a constant scalar. */
export function peelBack(operand: BlockOperand, facts: Facts, options: { scale?: boolean } = {}): Peeled {
  let { value, order } = operand
  let scale = 1
  for (;;) {
    const node = value.producer
    const input = node?.input(0)
    if (!node || !input) break
    if (node.op === 'Transpose') {
      order = beforeTranspose(order, permutationOf(node, order.length, facts))
      value = input
      continue
    }
    if (node.op === 'Identity' || isIdleReshape(node, facts)) {
      value = input
      continue
    }
    const swapped = behindMergedTranspose(node, facts)
    if (swapped) {
      order = `${order.slice(0, 2)}${order[3]}${order[2]}`
      value = swapped
      continue
    }
    const factor = options.scale === false ? undefined : scalarFactor(node, facts)
    if (!factor || facts.rank(factor.value) !== order.length) break
    scale *= factor.factor
    value = factor.value
  }
  const packed = packedBefore(value, order, facts)
  return { operand: packed ? { value, order, packed } : { value, order }, scale }
}

/** Follows a result forward through the Transpose and Reshape that bring the heads together again. */
export function peelForward(operand: BlockOperand, facts: Facts): BlockOperand {
  let { value, order } = operand
  for (let node = onlyReader(value); node; node = onlyReader(value)) {
    const output = node.output()
    if (!output || node.input(0) !== value) break
    if (node.op === 'Transpose') order = afterTranspose(order, permutationOf(node, order.length, facts))
    else if (!isIdleReshape(node, facts)) break
    value = output
  }
  const reshape = onlyReader(value)
  const packed = reshape?.op === 'Reshape' ? reshape.output() : undefined
  return packed && mergesHeads(value, packed, order, facts) ? { value, order, packed } : { value, order }
}

/** `x * c` or `x / c` with a constant number c: the other operand and the factor. */
export function scalarFactor(node: Node, facts: Facts): { value: Value; factor: number } | undefined {
  const [a, b] = node.inputs
  if (!a || !b) return undefined
  const right = facts.scalar(b)
  if (node.op === 'Div') return right === undefined || right === 0 ? undefined : { value: a, factor: 1 / right }
  if (node.op !== 'Mul') return undefined
  if (right !== undefined) return { value: a, factor: right }
  const left = facts.scalar(a)
  return left === undefined ? undefined : { value: b, factor: left }
}

/** The only reader of a value that no graph gives out. */
export function onlyConsumer(value: Value): Node | undefined {
  const [use, ...more] = value.uses
  return use && more.length === 0 && value.outputUses === 0 ? use.node : undefined
}

/** The only reader of the elements of a value: what reads its Shape must serve that reader alone. */
function onlyReader(value: Value): Node | undefined {
  const [reader, ...more] = value.consumers.filter((node) => node.op !== 'Shape')
  if (!reader || more.length > 0 || value.outputUses > 0) return undefined
  return value.consumers.every((node) => node === reader || servesOnly(node, reader, 16)) ? reader : undefined
}

function servesOnly(node: Node, reader: Node, depth: number): boolean {
  if (depth === 0) return false
  return node.outputs.every(
    (value) =>
      !value ||
      (value.outputUses === 0 && value.consumers.every((n) => n === reader || servesOnly(n, reader, depth - 1))),
  )
}

/** A Reshape to the shape its input has. */
function isIdleReshape(node: Node, facts: Facts): boolean {
  if (node.op !== 'Reshape') return false
  const [before, after] = [node.input(0), node.output()].map((value) => value && facts.shape(value))
  return before !== undefined && before.join() === after?.join()
}

/** [B, H, X, Y] behind Reshape [B*H, X, Y], Transpose, Reshape [B, H, Y, X]: how newer exporters turn keys around. */
function behindMergedTranspose(split: Node, facts: Facts): Value | undefined {
  const transpose = split.op === 'Reshape' ? split.input(0)?.producer : undefined
  const merge = transpose?.op === 'Transpose' ? transpose.input(0)?.producer : undefined
  const source = merge?.op === 'Reshape' ? merge.input(0) : undefined
  if (!transpose || !source || permutationOf(transpose, 3, facts).join() !== '0,2,1') return undefined
  const [before, after] = [source, split.output() as Value].map((value) => facts.shape(value))
  const merged = facts.shape(merge?.output() as Value)
  if (before?.length !== 4 || after?.length !== 4 || merged?.length !== 3) return undefined
  const [b, h, x, y] = before
  const keeps = merged[1] === x && merged[2] === y && after.join() === [b, h, y, x].join()
  return keeps ? source : undefined
}

function permutationOf(node: Node, rank: number, facts: Facts): readonly number[] {
  return facts.ints(node, 'perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i)
}

/** Axis i of the output is axis perm[i] of the input. */
function afterTranspose(order: string, perm: readonly number[]): string {
  return perm.map((from) => order[from]).join('')
}

function beforeTranspose(order: string, perm: readonly number[]): string {
  const input = [...order]
  for (const [i, from] of perm.entries()) input[from] = order[i] as string
  return input.join('')
}

/** [B, S, E] behind a Reshape to [B, S, H, D]. */
function packedBefore(value: Value, order: string, facts: Facts): Value | undefined {
  const source = value.producer?.op === 'Reshape' ? value.producer.input(0) : undefined
  return source && mergesHeads(value, source, order, facts) ? source : undefined
}

/** Whether `packed` is [B, S, H*D] for a `value` that is [B, S, H, D]. */
function mergesHeads(value: Value, packed: Value, order: string, facts: Facts): boolean {
  const split = facts.shape(value)
  const merged = facts.shape(packed)
  if (!/^b[st]h[de]$/.test(order) || split?.length !== 4 || merged?.length !== 3) return false
  const [batch, length, heads, size] = split as [Size, Size, Size, Size]
  return batch === merged[0] && length === merged[1] && divideSizes(merged[2] as Size, heads) === size
}
