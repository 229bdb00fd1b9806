import type { Model } from '../../src/ir/index.ts'
import { modelToBytes } from '../../src/onnx/index.ts'
import { Facts } from '../../src/ops/index.ts'
import type { ChannelStatistics, Statistics, ValueStatistics } from '../../src/quantize/index.ts'
import { findProducts } from '../../src/quantize/index.ts'
import type { Feeds } from '../../src/runtime/index.ts'
import { openSession } from '../../src/runtime/index.ts'

/** Extremes and means by channel of everything that weight products of a model read, over some inputs. */
export async function observe(read: () => Model, samples: readonly Feeds[]): Promise<Statistics> {
  const model = read()
  const { graph } = model
  const declared = graph.outputs.length
  const inputs = new Set(findProducts(model, new Facts()).products.map(({ input }) => input))
  const wanted = [...inputs].filter((value) => !graph.outputs.includes(value) && !value.isInput)
  for (const [i, value] of wanted.entries()) graph.setOutput(declared + i, value)
  const session = await openSession(modelToBytes(model), { threads: 1, optimization: 'basic' })
  const seen = new Map<string, Observed>()
  try {
    for (const feeds of samples) {
      const results = { ...(await session.run(feeds)), ...feeds }
      for (const { name } of inputs) {
        const tensor = results[name]
        if (!tensor) continue
        const entry = seen.get(name) ?? new Observed(tensor.dims.at(-1) ?? 1)
        seen.set(name, entry)
        entry.add(tensor.toNumbers(1 << 28))
      }
    }
  } finally {
    await session.close()
  }
  const finished = new Map([...seen].map(([name, entry]) => [name, entry.statistics()]))
  return (name) => finished.get(name)
}

class Observed {
  readonly #min: Float64Array
  readonly #max: Float64Array
  readonly #sum: Float64Array
  #rows = 0

  constructor(channels: number) {
    this.#min = new Float64Array(channels).fill(Number.POSITIVE_INFINITY)
    this.#max = new Float64Array(channels).fill(Number.NEGATIVE_INFINITY)
    this.#sum = new Float64Array(channels)
  }

  add(values: readonly number[]): void {
    const channels = this.#sum.length
    for (const [i, x] of values.entries()) {
      const c = i % channels
      this.#min[c] = Math.min(this.#min[c] as number, x)
      this.#max[c] = Math.max(this.#max[c] as number, x)
      this.#sum[c] = (this.#sum[c] as number) + x
    }
    this.#rows += values.length / channels
  }

  statistics(): ValueStatistics {
    const mean = this.#sum.map((x) => x / this.#rows)
    return statisticsOf({ axis: -1, min: this.#min, max: this.#max, mean })
  }
}

/** Statistics whose range is that of all channels. */
export function statisticsOf(channels: ChannelStatistics): ValueStatistics {
  const range = { min: Math.min(...channels.min), max: Math.max(...channels.max) }
  return { range, channels, rangeBy: () => range }
}
