import type { Node, Value } from '../../ir/index.ts'
import { dtypes, forEachElement, mapElements, Tensor } from '../../ir/index.ts'
import { constantTensor } from '../../ops/index.ts'
import { isOwn, replaceConstant } from '../constants.ts'
import type { Affine } from './affine.ts'
import { at } from './affine.ts'

/**
 * A Conv or ConvTranspose whose weight and bias are constants.
 *
 * Weight of Conv: [O, I / groups, k…]; of ConvTranspose: [I, O / groups, k…]. Bias: [O].
 */
export class Convolution {
  readonly node: Node
  readonly isTransposed: boolean
  /** Rank of input and output. */
  readonly rank: number
  readonly inputChannels: number
  readonly outputChannels: number
  readonly #weight: Tensor
  readonly #groups: number

  private constructor(node: Node, weight: Tensor, groups: number) {
    const [first = 0, second = 0] = weight.dims
    this.node = node
    this.isTransposed = node.opType === 'ConvTranspose'
    this.rank = weight.dims.length
    this.inputChannels = this.isTransposed ? first : second * groups
    this.outputChannels = this.isTransposed ? second * groups : first
    this.#weight = weight
    this.#groups = groups
  }

  /** Reads a node; `undefined` where it is none, or where its weight or bias is no constant in single or double precision. */
  static of(node: Node): Convolution | undefined {
    if (node.op !== 'Conv' && node.op !== 'ConvTranspose') return undefined
    const weight = constantTensor(node.input(1))
    const bias = constantTensor(node.input(2))
    if (!weight || weight.dims.length < 3 || (node.input(2) && bias?.dims.length !== 1)) return undefined
    if (weight.dtype !== dtypes.float && weight.dtype !== dtypes.double) return undefined
    if (node.attributes.get('group')?.kind === 'ref') return undefined
    return new Convolution(node, weight, node.int('group') ?? 1)
  }

  /** Whether the weight can be changed without changing anything else. */
  get ownsWeight(): boolean {
    return isOwn(this.node.input(1) as Value)
  }

  /** Whether zeros may come in from outside the input: they do not pass through what is folded into the weight. */
  get isPadded(): boolean {
    const { attributes } = this.node
    const pads = attributes.get('pads')
    const auto = attributes.get('auto_pad')
    const automatic =
      auto !== undefined && !(auto.kind === 'string' && (auto.value === 'NOTSET' || auto.value === 'VALID'))
    return automatic || (pads !== undefined && !(pads.kind === 'ints' && pads.value.every((pad) => Number(pad) === 0)))
  }

  /** Makes the convolution compute `scale * y + shift` of what it computed, per output channel. */
  scaleOutput({ scale, shift }: Affine): void {
    const bias = this.#bias().map((b, channel) => b * at(scale, channel) + at(shift, channel))
    if (scale.some((s) => s !== 1)) this.#setWeight((w, index) => w * at(scale, this.#outputOf(index)))
    this.#setBias(bias)
  }

  /** Makes the convolution compute of `x` what it computed of `scale * x + shift`. The shift needs {@link isPadded} false. */
  scaleInput({ scale, shift }: Affine): void {
    const bias = this.#bias()
    if (shift.some((s) => s !== 0))
      forEachElement(this.#weight, (w, index) => {
        const channel = this.#outputOf(index)
        bias[channel] = (bias[channel] as number) + w * at(shift, this.#inputOf(index))
      })
    if (scale.some((s) => s !== 1)) this.#setWeight((w, index) => w * at(scale, this.#inputOf(index)))
    this.#setBias(bias)
  }

  /** Output channel an element of the weight belongs to. */
  #outputOf(index: number): number {
    const [first, second] = this.#channels(index)
    if (!this.isTransposed) return first
    const perGroup = this.outputChannels / this.#groups
    return Math.floor(first / (this.inputChannels / this.#groups)) * perGroup + second
  }

  #inputOf(index: number): number {
    const [first, second] = this.#channels(index)
    if (this.isTransposed) return first
    const perGroup = this.inputChannels / this.#groups
    return Math.floor(first / (this.outputChannels / this.#groups)) * perGroup + second
  }

  /** Index along axes 0 and 1 of the weight. */
  #channels(index: number): [number, number] {
    const { dims, size } = this.#weight
    const [first = 1, second = 1] = dims
    const row = Math.floor(index / (size / (first * second)))
    return [Math.floor(row / second), row % second]
  }

  #bias(): number[] {
    return constantTensor(this.node.input(2))?.toNumbers() ?? Array.from({ length: this.outputChannels }, () => 0)
  }

  #setWeight(map: (element: number, index: number) => number): void {
    replaceConstant(this.node, 1, mapElements(this.#weight, map))
  }

  #setBias(bias: readonly number[]): void {
    if (!this.node.input(2) && bias.every((b) => b === 0)) return
    const name = `${this.node.output()?.name ?? this.node.label}/bias`
    replaceConstant(this.node, 2, Tensor.of(this.#weight.dtype, [bias.length], bias), name)
  }
}
