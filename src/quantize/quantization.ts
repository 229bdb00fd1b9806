import type { DType, Node, Value } from '../ir/index.ts'
import { dtypes } from '../ir/index.ts'
import { constantTensor } from '../ops/index.ts'
import type { Affine } from './affine.ts'
import { unsignedAffine } from './affine.ts'
import type { Grid } from './grid.ts'
import { gridOf, symmetricScale } from './grid.ts'
import type { Protocol, Recipe } from './recipes.ts'
import type { Migration } from './smoothing.ts'
import type { ChannelStatistics, Range, RangeMethod, Statistics, ValueStatistics } from './statistics.ts'
import { transformed, transformedChannels } from './statistics.ts'

export interface QuantizationSettings {
  readonly recipe: Recipe
  /** Quantize as published in the place of what runs well; undefined for the latter. */
  readonly protocol: Protocol | undefined
  /**
   * Quantize for a compiler that reads Q/DQ as they stand: symmetric, scales of this type. Undefined for a runtime with
   * kernels of integers, whose activations have a zero point.
   */
  readonly explicit: DType | undefined
  /** Exponent of the migration of outliers into the weights; undefined leaves activations as they are. */
  readonly alpha: number | undefined
  /** Centre the channels of normalised activations before they are quantized. */
  readonly symmetrize: boolean
  /** Let biases take up the mean error of what is quantized. */
  readonly biasCorrection: boolean
  /** Add to quantized probabilities what rounding takes from them in the mean; only a protocol quantizes them. */
  readonly softmaxCorrection: boolean
  /** Scale the channels of normalised activations so that a step is 1: the published form of full migration. */
  readonly preDequantize: boolean
  /** How extremes become ranges. */
  readonly range: RangeMethod
  /** Weights within ±63, for x64 processors without VNNI. */
  readonly reduceRange: boolean
  /** Quantize large tables that are looked up with Gather. */
  readonly embeddings: boolean
  /**
   * Quantize convolutions too: large ones of one position, for half the size again at some loss; `explicit`, all that tensor
   * cores take.
   */
  readonly convolutions: boolean
  /** Whether a product is to stay in float, by the name of its node. */
  readonly keep: (node: string) => boolean
}

/** The construction that was measured as the most accurate at full speed (src/quantize/README.md). */
export const defaultSettings: QuantizationSettings = {
  recipe: 'int8',
  protocol: undefined,
  explicit: undefined,
  alpha: 0.75,
  symmetrize: true,
  biasCorrection: true,
  softmaxCorrection: false,
  preDequantize: false,
  range: 'min-max',
  reduceRange: false,
  embeddings: true,
  convolutions: false,
  keep: () => false,
}

/** A value of the calibrated model and what was done to its channels: `(x - shift) / scale`. */
export interface Origin {
  readonly name: string
  readonly migration: Migration | undefined
}

/** One QuantizeLinear that was inserted: what it quantizes, in terms of the calibrated model. */
export interface Quantizer {
  readonly origin: Origin
  readonly affine: Affine
  /** Size of its last axis; undefined for one that somebody else inserted. */
  readonly channels: number | undefined
  /** The first product that reads it, by the name of its node. */
  readonly product: string
}

/** Mean of a quantized activation by channel, before and after rounding. */
export interface RoundingMeans {
  readonly real: Float64Array
  readonly rounded: Float64Array
  /** What rounding adds, as a part of the mean square of what is rounded. */
  readonly noise: number
}

/** What became of one product with a constant weight. */
export interface ProductReport {
  readonly node: string
  readonly op: string
  quantized: boolean
  /** Why it is in float, as the end of a sentence about it; null where it is quantized. */
  reason: string | null
  readonly notes: string[]
}

/** A value that was not there at calibration. */
interface Made {
  readonly origin: Origin
  readonly statistics: ValueStatistics
  /** Whether the statistics are of the value itself. */
  readonly seen: boolean
}

/** What the passes quantize with, what they know of values that were not there at calibration, and what they did. */
export class Quantization {
  readonly settings: QuantizationSettings
  readonly #statistics: Statistics
  readonly #made = new Map<Value, Made>()
  readonly #quantizers = new Map<Value, Quantizer>()
  /** Means by quantizer, where a second pass over the data found them. */
  readonly means = new Map<Quantizer, RoundingMeans>()
  /** By the name of probabilities: `E[p - Q(p)]` of each head, or of all together. */
  readonly softmaxBias = new Map<string, readonly number[]>()
  readonly #reports = new Map<Node, ProductReport>()

  constructor(statistics: Statistics, settings: QuantizationSettings = defaultSettings) {
    this.#statistics = statistics
    this.settings = settings
  }

  statisticsOf(value: Value): ValueStatistics | undefined {
    return this.#made.get(value)?.statistics ?? this.#statistics(value.name)
  }

  /** Whether outliers of the value were migrated already. */
  isMigrated(value: Value): boolean {
    return this.#made.has(value)
  }

  originOf(value: Value): Origin {
    return this.#made.get(value)?.origin ?? { name: value.name, migration: undefined }
  }

  /** Records that `made` holds the channels of `source` migrated. */
  migrated(made: Value, source: Value, channels: ChannelStatistics, migration: Migration): void {
    const statistics = transformed(channels, migration.scale, migration.shift)
    this.#made.set(made, { origin: { name: source.name, migration }, statistics, seen: false })
  }

  /**
   * Takes what was seen of the migrated values themselves, by their names, so that ranges can clip them; what is known of
   * their channels stays.
   */
  observed(statistics: Statistics): void {
    for (const [value, known] of this.#made) {
      const seen = statistics(value.name)
      if (!seen) continue
      const { channels } = known.statistics
      this.#made.set(value, { origin: known.origin, statistics: { ...seen, channels }, seen: true })
    }
  }

  /** How many values were migrated, and how many of them are known by the extremes of what they were made of only. */
  get migrations(): { readonly all: number; readonly unseen: number } {
    const made = [...this.#made.values()]
    return { all: made.length, unseen: made.filter(({ seen }) => !seen).length }
  }

  /** Records that products read `value`, the dequantized one. */
  quantized(value: Value, quantizer: Quantizer): void {
    this.#quantizers.set(value, quantizer)
  }

  /** By the dequantized value that products read. */
  get quantizers(): ReadonlyMap<Value, Quantizer> {
    return this.#quantizers
  }

  /** What weights are rounded to. */
  get grid(): Grid {
    return gridOf(this.settings)
  }

  /** The type of quantized activations. */
  get activationType(): DType {
    return this.settings.explicit === undefined ? dtypes.uint8 : this.grid.dtype
  }

  /** The step of a weight whose largest magnitude is given. */
  weightScale(magnitude: number): number {
    return symmetricScale(magnitude, this.grid, this.settings.explicit ?? dtypes.float)
  }

  /** The map onto integers, or onto floats of 8 bits, of a value that is going to be quantized; undefined where nothing is known of it. */
  affineOf(value: Value): Affine | undefined {
    const made = this.#made.get(value)
    if (made?.origin.migration?.unit) return { scale: 1, zeroPoint: 128 }
    const range = this.statisticsOf(value)?.rangeBy(this.settings.range)
    return range && this.affineOfRange(range)
  }

  affineOfRange(range: Range): Affine {
    const { explicit } = this.settings
    if (explicit === undefined) return unsignedAffine(range)
    const magnitude = Math.max(Math.abs(range.min), Math.abs(range.max))
    return { scale: symmetricScale(magnitude, this.grid, explicit), zeroPoint: 0 }
  }

  /** The quantizer behind a value that is dequantized with one scale from the type of activations, whoever inserted it. */
  quantizerOf(value: Value): Quantizer | undefined {
    const known = this.#quantizers.get(value)
    if (known) return known
    const [dequantize, quantize] = [value.producer, value.producer?.input(0)?.producer]
    const source = quantize?.input(0)
    if (dequantize?.op !== 'DequantizeLinear' || quantize?.op !== 'QuantizeLinear' || !source) return undefined
    const [scale, zeroPoint] = [1, 2].map((port) => constantTensor(dequantize.input(port)))
    if (scale?.size !== 1 || (zeroPoint && (zeroPoint.size !== 1 || zeroPoint.dtype !== this.activationType)))
      return undefined
    const affine = { scale: scale.toNumbers()[0] ?? 1, zeroPoint: zeroPoint?.toNumbers()[0] ?? 0 }
    const found = {
      origin: this.originOf(source),
      affine,
      channels: undefined,
      product: value.consumers[0]?.label ?? '',
    }
    this.#quantizers.set(value, found)
    return found
  }

  /** Means of a quantized activation: of both kinds where they were measured, else those of calibration for both. */
  meansOf(quantizer: Quantizer): RoundingMeans | undefined {
    const known = this.means.get(quantizer)
    if (known) return known
    const { name, migration } = quantizer.origin
    const channels = this.#statistics(name)?.channels
    if (channels?.axis !== -1) return undefined
    const { mean } = migration ? transformedChannels(channels, migration.scale, migration.shift) : channels
    return { real: mean, rounded: mean, noise: 0 }
  }

  /** The entry of a product; made when first asked for. */
  reportOf(node: Node): ProductReport {
    const known = this.#reports.get(node)
    if (known) return known
    const entry = { node: node.label, op: node.op, quantized: false, reason: null, notes: [] }
    this.#reports.set(node, entry)
    return entry
  }

  /** Says that a product stays in float. The first reason counts. */
  leave(node: Node, reason: string): void {
    const entry = this.reportOf(node)
    if (!entry.quantized) entry.reason ??= reason
  }

  /** The quantizer whose rounding loses most; undefined where that was not measured. */
  get noisiest(): Quantizer | undefined {
    const [first] = [...this.means].sort(([, a], [, b]) => b.noise - a.noise)
    return first?.[0]
  }

  get products(): readonly ProductReport[] {
    return [...this.#reports.values()]
  }
}
