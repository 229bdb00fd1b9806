import type { Node, Value } from '../ir/index.ts'
import type { Facts, Operand } from '../ops/index.ts'
import { axisOf, contractedLabels, hasPackedWeight, labelAt, labelledProduct, recordOf } from '../ops/index.ts'
import type { Frame } from './cursor.ts'
import { actualOf } from './memory.ts'
import type { Reached } from './walk.ts'

/** Where an axis comes from: columns of a projection, or positions (tokens, pixels). */
type Origin = 'feature' | 'position' | undefined

/** Longest way back to a projection that is followed. */
const farthest = 200

/**
 * Whether scores sum over positions instead of features (channel attention): at least one operand says so and none
 * contradicts. Raw inputs and caches say nothing.
 */
export function comparesChannels({ product, own, other, cursor }: Reached, facts: Facts): boolean {
  const summed = contractedLabels(product)
  const origins = [own, other].flatMap((operand) =>
    summed.flatMap((label) => {
      const axis = axisOf(operand.labels, label)
      return axis === undefined ? [] : [originOf(operand, axis, cursor.frame, facts)]
    }),
  )
  return origins.includes('position') && !origins.includes('feature')
}

function originOf(operand: Operand, axis: number, frame: Frame | undefined, facts: Facts): Origin {
  return new Trace(facts).of(operand.value, axis, frame, 0)
}

class Trace {
  readonly #facts: Facts
  readonly #seen = new Map<Value, Set<number>>()

  constructor(facts: Facts) {
    this.#facts = facts
  }

  of(value: Value, axis: number, frame: Frame | undefined, depth: number): Origin {
    const axes = this.#seen.get(value) ?? new Set()
    if (depth > farthest || axes.has(axis)) return undefined
    this.#seen.set(value, axes.add(axis))
    const node = value.producer
    if (!node) {
      const actual = frame && actualOf(value, frame)
      return actual ? this.of(actual, axis, frame.parent, depth + 1) : undefined
    }
    const output = node.outputs.indexOf(value)
    const callee = this.#facts.callee(node)
    const inner = callee ? callee.body.outputs[output] : undefined
    if (inner) return this.of(inner, axis, { call: node, parent: frame }, depth + 1)
    if (node.op === 'If')
      return this.#any(
        node.subgraphs.map((g) => g.outputs[output]),
        axis,
        frame,
        depth,
      )
    return this.#ofProduct(node, axis, frame, depth) ?? this.#through(node, output, axis, frame, depth)
  }

  /** A projection decides: its weight owns features, its data owns positions. */
  #ofProduct(node: Node, axis: number, frame: Frame | undefined, depth: number): Origin {
    const rank = this.#facts.rank(node.output() as Value)
    if (/^(QLinear)?Conv|^FusedConv|^ConvTranspose/.test(node.opType)) {
      return rank === undefined ? undefined : axis === 1 - rank ? 'feature' : 'position'
    }
    if (node.opType === 'LSTM' || node.opType === 'GRU' || node.opType === 'RNN')
      return axis === -1 ? 'feature' : 'position'
    if (node.op === 'Gather' && node.input(0) && this.#facts.isConstant(node.input(0) as Value))
      return this.#ofLookup(node, axis)
    const product = labelledProduct(node, this.#facts)
    const label = product && labelAt(product.output, axis)
    if (!product || label === undefined) return undefined
    const weights = product.operands.filter((o) => this.#isWeight(o, frame))
    const [only] = weights.length === product.operands.length ? weights.slice(-1) : weights
    if (only?.labels.includes(label)) return 'feature'
    // A product of data with data (a context) keeps the features of its values.
    if (weights.length > 0) return 'position'
    const owners = product.operands.filter((o) => o.labels.includes(label))
    const [owner] = owners
    return owners.length === 1 && owner
      ? this.of(owner.value, axisOf(owner.labels, label) as number, frame, depth + 1)
      : undefined
  }

  #isWeight(operand: Operand, frame: Frame | undefined): boolean {
    if (hasPackedWeight(operand.node)) return operand.port === 1
    if (this.#facts.isConstant(operand.value)) return true
    const actual = frame && !operand.value.producer ? actualOf(operand.value, frame) : undefined
    return actual !== undefined && this.#facts.isConstant(actual)
  }

  /** An embedding table looked up by data: trailing axes are features, index axes positions. */
  #ofLookup(node: Node, axis: number): Origin {
    const indices = node.input(1)
    if (!indices || this.#facts.isConstant(indices)) return undefined
    const table = this.#facts.rank(node.input(0) as Value)
    const along = this.#facts.int(node, 'axis') ?? 0
    return table !== undefined && along === 0 && axis >= 1 - table ? 'feature' : 'position'
  }

  #through(node: Node, output: number, axis: number, frame: Frame | undefined, depth: number): Origin {
    const rule = recordOf(node)?.axes
    if (!rule) return undefined
    const places = rule.origins?.(node, axis, this.#facts) ?? rule.back(node, output, axis, this.#facts)
    const found = places.map(({ port, axis: at }) => {
      const input = node.input(port)
      return input && !this.#facts.isConstant(input) ? this.of(input, at, frame, depth + 1) : undefined
    })
    return found.includes('feature') ? 'feature' : found.find((o) => o !== undefined)
  }

  #any(values: readonly (Value | undefined)[], axis: number, frame: Frame | undefined, depth: number): Origin {
    for (const value of values) {
      const origin = value && this.of(value, axis, frame, depth + 1)
      if (origin) return origin
    }
    return undefined
  }
}
