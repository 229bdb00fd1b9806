import type { Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { contractedLabels, labelAt, labelledProduct } from '../ops/index.ts'
import type { BlockMask, ScoreChain } from './block-chain.ts'
import { isPassedThrough, readScoreChain } from './block-chain.ts'
import type { BlockOperand } from './block-operand.ts'
import { peelBack, peelForward } from './block-operand.ts'
import type { Contraction, Site } from './site.ts'

/** Why a site is no block. The site is converted all the same, with its scores spelled out. */
export type BlockReason =
  | 'no-contraction'
  | 'several-scores'
  | 'several-values'
  | 'path-unknown'
  | 'shared-scores'
  | 'shared-probabilities'
  | 'probability-operator'
  | 'layout'
  | 'merged-heads'
  | 'score-operator'
  | 'scale-unknown'
  | 'scale-after-mask'
  | 'mask-fill'
  | 'mixed-precision'

/** A reason with the operator or value it is about. */
export interface NoBlock {
  readonly reason: BlockReason
  readonly detail: string
}

/**
 * One attention step as a function of its inputs:
 * `output = softmax1(softcap(scale * q·kᵀ) + masks) · v`, heads beside each other.
 */
export interface Block {
  readonly q: BlockOperand
  readonly k: BlockOperand
  readonly v: BlockOperand
  /** What the block makes; everything between it and q, k, v is dead once something else makes it. */
  readonly output: BlockOperand
  /** Factor on q·k: the product of all scalar factors on q, k and the scores. */
  readonly scale: number
  /** `cap * tanh(x / cap)` on the scaled scores; 0 is none. */
  readonly softcap: number
  /** In the order they are applied. */
  readonly masks: readonly BlockMask[]
  readonly heads: number
  /** Heads of keys and values; each serves `heads / kvHeads` heads of queries. */
  readonly kvHeads: number
  /** Size of a head of q and k. */
  readonly headSize: number | undefined
  readonly valueHeadSize: number | undefined
  /** Whether there is one key for each query position: self-attention without a cache. */
  readonly sameLength: boolean
}

/** The block a site is part of, or why it cannot be told apart from what is around it. Pure and best effort. */
export function blockOf(site: Site, facts: Facts): Block | NoBlock {
  const [score, ...moreScores] = site.scores
  const [value, ...moreValues] = site.values
  if (!score || !value || !site.input) return no('no-contraction', site.node.op)
  if (moreScores.length > 0) return no('several-scores', score.node.op)
  if (moreValues.length > 0) return no('several-values', value.node.op)
  if (!isPassedThrough(site.output, value.node, site.valuePath, facts)) return notPassedThrough(site, value)
  const products = readProducts(score, value, facts)
  if ('reason' in products) return products
  const chain = readScoreChain(site, score, facts)
  return 'reason' in chain ? chain : assemble(products, chain, facts)
}

function notPassedThrough(site: Site, value: Contraction): NoBlock {
  const [step] = site.valuePath
  if (!step && value.node.input(value.otherInput) === site.output) return no('shared-probabilities', site.output.name)
  const cast = site.valuePath.find(({ node }) => node.op === 'Cast')
  return cast ? no('mixed-precision', cast.node.label) : no('probability-operator', (step?.node ?? value.node).op)
}

interface Products {
  readonly q: BlockOperand
  readonly k: BlockOperand
  readonly v: BlockOperand
  readonly output: BlockOperand
}

/** Both products with their axes named: b (batch), h (head), s (query), t (key), d and e (head sizes of q·k and of v). */
function readProducts(score: Contraction, value: Contraction, facts: Facts): Products | NoBlock {
  const qk = labelledProduct(score.node, facts)
  const pv = labelledProduct(value.node, facts)
  const q = qk?.operands.find((o) => o.port === score.otherInput && o.node === score.node)
  const k = qk?.operands.find((o) => o.port === score.dataInput && o.node === score.node)
  const p = pv?.operands.find((o) => o.port === value.otherInput && o.node === value.node)
  const v = pv?.operands.find((o) => o.port === value.dataInput && o.node === value.node)
  if (!qk || !pv || !q || !k || !p || !v) return no('layout', score.node.op)
  const key = labelAt(k.labels, score.axis)
  const [feature, ...otherFeatures] = contractedLabels(qk)
  const [query, ...otherQueries] = q.labels.filter((l) => !k.labels.includes(l))
  const batch = qk.output.filter((l) => l !== key && l !== query)
  const scoresInOrder = qk.output.join() === [...batch, query, key].join()
  if (!key || !feature || !query || otherFeatures.length > 0 || otherQueries.length > 0 || !scoresInOrder) {
    return no('layout', score.node.op)
  }
  if (batch.length !== 2) return no(batch.length === 1 ? 'merged-heads' : 'layout', score.node.op)
  const names = new Map([
    [batch[0], 'b'],
    [batch[1], 'h'],
    [query, 's'],
    [key, 't'],
    [feature, 'd'],
  ])
  // The probabilities have the axes of the scores, so their labels in the second product are known by place.
  const places = ['b', 'h', 's', 't']
  const second = new Map(p.labels.map((l, i) => [l, places[i]]))
  const valueFeatures = v.labels.filter((l) => !p.labels.includes(l))
  if (p.labels.length !== 4 || valueFeatures.length !== 1) return no('layout', value.node.op)
  second.set(valueFeatures[0] as string, 'e')
  const order = (labels: readonly string[], from: ReadonlyMap<string | undefined, string | undefined>): string =>
    labels.map((l) => from.get(l) ?? '?').join('')
  const found = {
    q: { value: q.value, order: order(q.labels, names) },
    k: { value: k.value, order: order(k.labels, names) },
    v: { value: v.value, order: order(v.labels, second) },
    output: { value: value.node.output() as Value, order: order(pv.output, second) },
  }
  const expected = { q: 'bdhs', k: 'bdht', v: 'beht', output: 'behs' }
  for (const role of ['q', 'k', 'v', 'output'] as const) {
    if ([...found[role].order].sort().join('') !== expected[role])
      return no('layout', `${role} is ${found[role].order}`)
  }
  return found
}

function assemble(products: Products, chain: ScoreChain, facts: Facts): Block | NoBlock {
  const q = peelBack(products.q, facts)
  const k = peelBack(products.k, facts)
  const v = peelBack(products.v, facts, { scale: false })
  const output = peelForward(products.output, facts)
  const heads = sizeOf(q.operand, 'h', facts)
  const kvHeads = sizeOf(k.operand, 'h', facts)
  if (typeof heads !== 'number' || typeof kvHeads !== 'number') return no('layout', 'the number of heads is not known')
  if (sizeOf(v.operand, 'h', facts) !== kvHeads || heads % kvHeads !== 0)
    return no('layout', 'keys and values have other heads than queries')
  const rows = [q, k, v].map(({ operand }) => sizeOf(operand, 'b', facts) === 1)
  if (rows.some(Boolean) && !rows.every(Boolean)) return no('layout', 'one operand serves all rows of the batch')
  const queries = sizeOf(q.operand, 's', facts)
  return {
    q: q.operand,
    k: k.operand,
    v: v.operand,
    output,
    scale: chain.scale * q.scale * k.scale,
    softcap: chain.softcap,
    masks: chain.masks,
    heads,
    kvHeads,
    headSize: numberOr(sizeOf(q.operand, 'd', facts) ?? sizeOf(k.operand, 'd', facts)),
    valueHeadSize: numberOr(sizeOf(v.operand, 'e', facts)),
    sameLength: queries !== undefined && queries === sizeOf(k.operand, 't', facts),
  }
}

function sizeOf({ value, order }: BlockOperand, axis: string, facts: Facts): number | string | undefined {
  return facts.size(value, order.indexOf(axis) - order.length)
}

function numberOr(size: number | string | undefined): number | undefined {
  return typeof size === 'number' ? size : undefined
}

function no(reason: BlockReason, detail: string): NoBlock {
  return { reason, detail }
}

export type { BlockMask } from './block-chain.ts'
export type { BlockOperand } from './block-operand.ts'
