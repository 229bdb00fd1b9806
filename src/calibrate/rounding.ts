import type { DType, Graph, Model, Tensor, Value } from '../ir/index.ts'
import { dtypes, Tensor as TensorOf } from '../ir/index.ts'
import type { Quantization, Quantizer, RoundingMeans } from '../quantize/index.ts'
import { Ops } from '../rewrite/index.ts'

/** Runs a model over data and shows its outputs, sample by sample. */
export type Run = (
  model: Model,
  visit: (index: number, outputs: Record<string, Tensor>) => void,
  fetches: readonly string[],
) => Promise<void>

/**
 * Measures what rounding does to the mean of every quantized activation, channel by channel: E[r] and E[Q(r)], with
 * r = (x - z) / s as its quantizer sees it, over all positions of all samples; every sample counts the same.
 *
 * `model` is the calibrated one; nodes that measure are added to it. The means go where bias correction looks for them.
 */
export async function measureRounding(model: Model, quantization: Quantization, run: Run): Promise<void> {
  const gauge = new Gauge(model)
  const measured = [...quantization.quantizers.values()].flatMap((quantizer) => {
    const value = model.graph.values.get(quantizer.origin.name)
    const { channels } = quantizer
    if (!value || channels === undefined) return []
    return [
      {
        quantizer,
        names: gauge.add(value, quantizer, channels, quantization.activationType),
        sums: new Sums(channels),
      },
    ]
  })
  if (measured.length === 0) return
  const visit = (_: number, outputs: Record<string, Tensor>) => {
    for (const { names, sums } of measured) sums.add(names.map((name) => outputs[name] as Tensor))
  }
  await run(
    model,
    visit,
    measured.flatMap(({ names }) => names),
  )
  for (const { quantizer, sums } of measured) quantization.means.set(quantizer, sums.means())
}

/** Adds the measuring nodes at the end of a graph, which keeps no other outputs. */
class Gauge {
  readonly #graph: Graph
  readonly #ops: Ops
  #outputs: number

  constructor({ graph, opset }: Model) {
    this.#graph = graph
    this.#ops = new Ops({ graph, before: undefined, name: 'outeffhop/rounding', opset })
    this.#outputs = graph.outputs.length
  }

  /** The names of outputs with means of each channel: of r, of Q(r), of r², and of (r - Q(r))². */
  add(value: Value, { origin, affine }: Quantizer, channels: number, dtype: DType): readonly string[] {
    const op = this.#ops
    const vector = (values: Float64Array) => op.constant(TensorOf.of(dtypes.float, [channels], values))
    let x = op.Reshape(value, op.ints([-1, channels]))
    if (origin.migration) {
      const { scale, shift } = origin.migration
      if (shift.some((z) => z !== 0)) x = op.Sub(x, vector(shift))
      x = op.Mul(x, vector(scale.map((s) => 1 / s)))
    }
    const scale = op.scalar(affine.scale, dtypes.float)
    const zeroPoint = op.scalar(affine.zeroPoint, dtype)
    const rounded = op.DequantizeLinear(op.QuantizeLinear(x, scale, zeroPoint), scale, zeroPoint)
    const error = op.Sub(x, rounded)
    return [x, rounded, op.Mul(x, x), op.Mul(error, error)].map((values) => this.#mean(values))
  }

  #mean(value: Value): string {
    const mean = this.#ops.Reduce('Mean', value, [0], false)
    mean.type = { kind: 'tensor', dtype: dtypes.float, shape: undefined }
    this.#graph.setOutput(this.#outputs++, mean)
    return mean.name
  }
}

/** Means over samples of the means of each. */
class Sums {
  readonly #real: Float64Array
  readonly #rounded: Float64Array
  #signal = 0
  #noise = 0
  #samples = 0

  constructor(channels: number) {
    this.#real = new Float64Array(channels)
    this.#rounded = new Float64Array(channels)
  }

  add([real, rounded, signal, noise]: readonly Tensor[]): void {
    addTo(this.#real, real)
    addTo(this.#rounded, rounded)
    this.#signal += total(signal)
    this.#noise += total(noise)
    this.#samples++
  }

  means(): RoundingMeans {
    const mean = (sums: Float64Array) => sums.map((sum) => sum / Math.max(1, this.#samples))
    return { real: mean(this.#real), rounded: mean(this.#rounded), noise: this.#noise / this.#signal }
  }
}

function addTo(sums: Float64Array, tensor: Tensor | undefined): void {
  for (const [i, x] of tensor?.toNumbers().entries() ?? []) sums[i] = (sums[i] as number) + x
}

function total(tensor: Tensor | undefined): number {
  return tensor?.toNumbers().reduce((sum, x) => sum + x, 0) ?? 0
}
