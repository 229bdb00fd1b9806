import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { dtypeOf } from '../ops/index.ts'
import type { NoBlock } from './block.ts'
import { onlyConsumer, scalarFactor } from './block-operand.ts'
import type { Contraction, Site, Step } from './site.ts'

/**
 * What is done to scores to hide keys, in one of two spellings; both broadcast against [B, H, S, T]:
 * `additive` adds `value`; `select` puts `fill` where `condition` is `fillWhen`.
 */
export type BlockMask =
  | { readonly kind: 'additive'; readonly value: Value }
  | { readonly kind: 'select'; readonly condition: Value; readonly fillWhen: boolean; readonly fill: Value }

/** What happens between the product q·k and the softmax: `softcap(scale * x) + masks`. */
export interface ScoreChain {
  readonly scale: number
  readonly softcap: number
  readonly masks: readonly BlockMask[]
}

/** Where a logit no longer counts: exp of it is 0 beside any sink in reach, in every float type. */
const hidden = -1e4

/** Reads the operators from the score contraction to the softmax; every value between them must have one reader. */
export function readScoreChain(site: Site, score: Contraction, facts: Facts): ScoreChain | NoBlock {
  const start = score.node.output() as Value
  const input = site.input as Value
  if (!meets(start, input, site.scorePath)) return { reason: 'path-unknown', detail: input.name }
  const between = [start, ...site.scorePath.map((step) => step.node.output(step.output) as Value)]
  const shared = between.find((value) => onlyConsumer(value) === undefined)
  if (shared) return { reason: 'shared-scores', detail: shared.name }
  const chain = new ChainReader(score, facts)
  for (const step of site.scorePath) {
    const problem = chain.read(step)
    if (problem) return problem
  }
  return chain.result()
}

/**
 * Whether probabilities reach the value contraction as they are and nobody else reads them. A guard that turns NaN into 0
 * (scaled_dot_product_attention is exported with one) and a Cast to the type they have change nothing.
 */
export function isPassedThrough(probabilities: Value, contraction: Node, path: readonly Step[], facts: Facts): boolean {
  let value = probabilities
  for (const { node, output } of path) {
    const guard = guardOf(node, value, facts)
    const readers = value.consumers.filter((reader) => reader !== guard)
    if (value.outputUses > 0 || readers.length !== 1 || readers[0] !== node) return false
    if (node.op !== 'Identity' && !guard && !isIdleCast(node)) return false
    value = node.output(output) as Value
  }
  return onlyConsumer(value) === contraction
}

/** The IsNaN of `Where(IsNaN(p), 0, p)`: Softmax1 of finite or -inf scores is never NaN. */
function guardOf(node: Node, value: Value, facts: Facts): Node | undefined {
  const guard = node.op === 'Where' ? node.input(0)?.producer : undefined
  const isGuard = guard?.op === 'IsNaN' && guard.input(0) === value && onlyConsumer(guard.output() as Value) === node
  return isGuard && node.input(2) === value && facts.scalar(node.input(1)) === 0 ? guard : undefined
}

/** A Cast to the type its input has. */
function isIdleCast(node: Node): boolean {
  const from = node.input(0) && dtypeOf(node.input(0) as Value)
  return node.op === 'Cast' && from !== undefined && from === node.int('to')
}

function meets(start: Value, end: Value, path: readonly Step[]): boolean {
  let value = start
  for (const step of path) {
    if (step.node.input(step.input) !== value) return false
    value = step.node.output(step.output) as Value
  }
  return value === end
}

/** Collects factors, cap and masks step by step. */
class ChainReader {
  readonly #facts: Facts
  readonly #masks: BlockMask[] = []
  #scale: number
  /** The factor before a Tanh; the factors after it are the cap. */
  #inside: number | undefined

  constructor(score: Contraction, facts: Facts) {
    this.#facts = facts
    this.#scale = facts.float(score.node, 'alpha') ?? 1
  }

  result(): ScoreChain {
    if (this.#inside === undefined) return { scale: this.#scale, softcap: 0, masks: this.#masks }
    return { scale: this.#inside * this.#scale, softcap: this.#scale, masks: this.#masks }
  }

  read({ node, input }: Step): NoBlock | undefined {
    switch (node.op) {
      case 'Identity':
        return undefined
      case 'Mul':
      case 'Div':
        return this.#factor(node, input)
      case 'Tanh':
        return this.#cap(node)
      case 'Add':
        return this.#additive(node, input)
      case 'Where':
        return this.#select(node, input)
      case 'Max':
        return this.#clamp(node, input)
      case 'Cast':
        if (isIdleCast(node)) return undefined
        return { reason: 'mixed-precision', detail: node.label }
      default:
        return { reason: 'score-operator', detail: node.op }
    }
  }

  #factor(node: Node, input: number): NoBlock | undefined {
    const factor = scalarFactor(node, this.#facts)
    if (!factor || factor.value !== node.input(input)) return { reason: 'scale-unknown', detail: node.label }
    if (this.#masks.length > 0) return { reason: 'scale-after-mask', detail: node.label }
    this.#scale *= factor.factor
    return undefined
  }

  #cap(node: Node): NoBlock | undefined {
    if (this.#masks.length > 0 || this.#inside !== undefined) return { reason: 'score-operator', detail: node.op }
    this.#inside = this.#scale
    this.#scale = 1
    return undefined
  }

  #additive(node: Node, input: number): NoBlock | undefined {
    const value = node.input(1 - input)
    if (!value) return { reason: 'score-operator', detail: node.op }
    this.#masks.push({ kind: 'additive', value })
    return undefined
  }

  #select(node: Node, input: number): NoBlock | undefined {
    const condition = node.input(0)
    const fill = node.input(3 - input)
    const number = this.#facts.scalar(fill)
    if (!condition || !fill) return { reason: 'score-operator', detail: node.op }
    // Adding the fill is choosing it only where no score can bring the logit back.
    if (number === undefined || number > hidden) return { reason: 'mask-fill', detail: node.label }
    this.#masks.push({ kind: 'select', condition, fillWhen: input === 2, fill })
    return undefined
  }

  /** A lower bound far below any logit that counts changes no probability. */
  #clamp(node: Node, input: number): NoBlock | undefined {
    const bound = this.#facts.scalar(node.input(1 - input))
    const two = node.inputs.length === 2
    return two && bound !== undefined && bound <= hidden ? undefined : { reason: 'mask-fill', detail: node.label }
  }
}
