import type { Node, Value } from '../ir/index.ts'
import { keepsDims, reducedAxes, spans } from './axes.ts'
import type { Facts } from './facts.ts'

/** One operand of a contraction: its input index and a label for each of its axes. */
export interface Operand {
  /** Node whose input it is: the contraction, or the Mul under a ReduceSum. */
  readonly node: Node
  readonly port: number
  readonly value: Value
  readonly labels: readonly string[]
}

/**
 * A sum of products seen as an Einsum: a label that is missing in the output is summed over. Matrix products of unknown
 * rank carry labels for eight axes; only their negative positions mean something.
 */
export interface LabelledProduct {
  readonly node: Node
  readonly operands: readonly Operand[]
  readonly output: readonly string[]
}

/** Which inputs of an operator are multiplied, and how its attributes transpose them. */
interface ProductForm {
  readonly kind: 'matmul' | 'gemm'
  readonly inputs: readonly [number, number]
}

const forms: ReadonlyMap<string, ProductForm> = new Map<string, ProductForm>([
  ['MatMul', { kind: 'matmul', inputs: [0, 1] }],
  ['MatMulInteger', { kind: 'matmul', inputs: [0, 1] }],
  ['QLinearMatMul', { kind: 'matmul', inputs: [0, 3] }],
  ['Gemm', { kind: 'gemm', inputs: [0, 1] }],
  ['com.microsoft::FusedMatMul', { kind: 'matmul', inputs: [0, 1] }],
  ['com.microsoft::TransposeMatMul', { kind: 'matmul', inputs: [0, 1] }],
  ['com.microsoft::FusedMatMulActivation', { kind: 'matmul', inputs: [0, 1] }],
  ['com.microsoft::MatMulIntegerToFloat', { kind: 'matmul', inputs: [0, 1] }],
  ['com.microsoft::DynamicQuantizeMatMul', { kind: 'matmul', inputs: [0, 1] }],
  ['com.microsoft::MatMulInteger16', { kind: 'matmul', inputs: [0, 1] }],
  // The packed weight has another shape than [K, N], but its product has the labels of a matrix product.
  ['com.microsoft::MatMulNBits', { kind: 'matmul', inputs: [0, 1] }],
  ['com.microsoft::MatMulBnb4', { kind: 'matmul', inputs: [0, 1] }],
  ['com.microsoft::MatMulFpQ4', { kind: 'matmul', inputs: [0, 1] }],
  ['com.microsoft::GemmFastGelu', { kind: 'matmul', inputs: [0, 1] }],
  ['com.microsoft::FusedGemm', { kind: 'gemm', inputs: [0, 1] }],
  ['com.microsoft::QGemm', { kind: 'gemm', inputs: [0, 3] }],
  ['com.microsoft::GemmFloat8', { kind: 'gemm', inputs: [0, 1] }],
])

const packedWeights = new Set(['com.microsoft::MatMulNBits', 'com.microsoft::MatMulBnb4', 'com.microsoft::MatMulFpQ4'])

/** Whether input 1 is a weight in a packed layout, whose own axes mean nothing. */
export function hasPackedWeight(node: Node): boolean {
  return packedWeights.has(node.op)
}

/** The node as a labelled product; `undefined` when it is not one, or its equation cannot be read. */
export function labelledProduct(node: Node, facts: Facts): LabelledProduct | undefined {
  const form = forms.get(node.op)
  if (form) return form.kind === 'gemm' ? gemm(node, form, facts) : matmul(node, form, facts)
  if (node.op === 'Einsum') return einsum(node, facts)
  if (node.op === 'ReduceSum') return reducedProduct(node, facts)
  return undefined
}

/** Labels the product sums over: in more than one operand, not in the output. */
export function contractedLabels(product: LabelledProduct): string[] {
  const shared = (label: string): boolean => product.operands.filter((o) => o.labels.includes(label)).length > 1
  return [...new Set(product.operands.flatMap((o) => o.labels))].filter((l) => !product.output.includes(l) && shared(l))
}

/** Negative axis of a label in an operand or in the output; `undefined` when it is not there. */
export function axisOf(labels: readonly string[], label: string): number | undefined {
  const index = labels.indexOf(label)
  return index < 0 ? undefined : index - labels.length
}

/** Label of a negative axis. */
export function labelAt(labels: readonly string[], axis: number): string | undefined {
  return labels[labels.length + axis]
}

function operand(node: Node, port: number, labels: readonly string[]): Operand | undefined {
  const value = node.input(port)
  return value && { node, port, value, labels }
}

function product(node: Node, operands: readonly (Operand | undefined)[], output: readonly string[]) {
  return operands.every((o) => o !== undefined) ? { node, operands, output } : undefined
}

const assumedRank = 8

function matmul(node: Node, { inputs }: ProductForm, facts: Facts): LabelledProduct | undefined {
  const [a, b] = inputs
  const rankA = rankAt(node, a, facts) ?? assumedRank
  const rankB = hasPackedWeight(node) ? 2 : (rankAt(node, b, facts) ?? assumedRank)
  const batch = Array.from({ length: Math.max(rankA, rankB, 2) - 2 }, (_, i) => `b${Math.max(rankA, rankB) - 2 - i}`)
  const left = rankA === 1 ? ['k'] : [...tail(batch, rankA - 2), ...swap(['i', 'k'], facts.int(node, 'transA'))]
  const right = rankB === 1 ? ['k'] : [...tail(batch, rankB - 2), ...swap(['k', 'j'], facts.int(node, 'transB'))]
  const output = [...batch, ...(rankA === 1 ? [] : ['i']), ...(rankB === 1 ? [] : ['j'])]
  return product(
    node,
    [
      operand(node, a, rotate(left, facts.int(node, 'transBatchA'))),
      operand(node, b, rotate(right, facts.int(node, 'transBatchB'))),
    ],
    output,
  )
}

function gemm(node: Node, { inputs }: ProductForm, facts: Facts): LabelledProduct | undefined {
  const left = operand(node, inputs[0], swap(['i', 'k'], facts.int(node, 'transA')))
  const right = operand(node, inputs[1], swap(['k', 'j'], facts.int(node, 'transB')))
  return product(node, [left, right], ['i', 'j'])
}

function rankAt(node: Node, port: number, facts: Facts): number | undefined {
  const value = node.input(port)
  return value && facts.rank(value)
}

function tail(labels: readonly string[], count: number): string[] {
  return count <= 0 ? [] : labels.slice(-count)
}

function swap(labels: string[], transposed: number | undefined): string[] {
  return transposed ? labels.reverse() : labels
}

/** FusedMatMul's transBatch: the matrix row stands before the batch axes in the stored operand. */
function rotate(labels: string[], transposed: number | undefined): string[] {
  return transposed && labels.length > 2 ? [labels.at(-2)!, ...labels.slice(0, -2), labels.at(-1)!] : labels
}

function einsum(node: Node, facts: Facts): LabelledProduct | undefined {
  const attribute = facts.attribute(node, 'equation')
  if (attribute?.kind !== 'string') return undefined
  const [left = '', right] = attribute.value.replaceAll(' ', '').split('->')
  const terms = left.split(',')
  const ellipsis = Math.max(0, ...terms.map((term, port) => ellipsisRank(term, rankAt(node, port, facts))))
  const labels = terms.map((term, port) => expandTerm(term, ellipsisRank(term, rankAt(node, port, facts))))
  if (labels.some((l) => new Set(l).size !== l.length)) return undefined
  const output = right === undefined ? implicitOutput(labels, ellipsis) : expandTerm(right, ellipsis)
  return product(
    node,
    labels.map((l, port) => operand(node, port, l)),
    output,
  )
}

function ellipsisRank(term: string, rank: number | undefined): number {
  if (!term.includes('...')) return 0
  return Math.max(0, (rank ?? assumedRank) - (term.length - 3))
}

/** One label for each axis; axes of an ellipsis are numbered from the right, where they align. */
function expandTerm(term: string, ellipsis: number): string[] {
  const [before = '', after] = term.split('...')
  if (after === undefined) return [...term]
  return [...before, ...Array.from({ length: ellipsis }, (_, i) => `.${ellipsis - i}`), ...after]
}

function implicitOutput(labels: readonly (readonly string[])[], ellipsis: number): string[] {
  const all = labels.flat()
  const once = [...new Set(all)].filter((l) => !l.startsWith('.') && all.filter((x) => x === l).length === 1)
  return [...expandTerm('...', ellipsis), ...once.sort()]
}

/** ReduceSum over a product of two tensors, operands aligned by broadcasting. */
function reducedProduct(node: Node, facts: Facts): LabelledProduct | undefined {
  const mul = node.input(0)?.producer
  const axes = reducedAxes(node, facts)
  if (!axes || mul?.op !== 'Mul') return undefined
  const rank = facts.rank(mul.output() as Value)
  if (rank === undefined) return undefined
  const all = Array.from({ length: rank }, (_, i) => i - rank)
  const name = (axis: number): string => `x${-axis}`
  const operands = [0, 1].map((port) => {
    const value = mul.input(port)
    if (!value) return undefined
    const own = facts.rank(value) ?? rank
    return operand(
      mul,
      port,
      all
        .slice(rank - own)
        // An axis of size 1 is repeated by the product: it is not the operand's own.
        .map((axis) =>
          spans(value, axis, facts, mul.output()) && !isRepeated(value, axis, facts) ? name(axis) : `-${port}${axis}`,
        ),
    )
  })
  const kept = all.filter((axis) => !axes.includes(axis)).map(name)
  const output = keepsDims(node, facts) ? all.map((axis) => (axes.includes(axis) ? `1${axis}` : name(axis))) : kept
  // Each operand must have every summed axis, or it is a scale and no contraction.
  const both = operands.every((o) => o && axes.every((axis) => o.labels.includes(name(axis))))
  return both ? product(node, operands, output) : undefined
}

function isRepeated(value: Value, axis: number, facts: Facts): boolean {
  const expand = value.producer
  if (expand?.op !== 'Expand' && expand?.op !== 'Tile') return false
  const source = expand.input(0)
  return source !== undefined && !spans(source, axis, facts, value)
}
