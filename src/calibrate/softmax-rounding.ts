import { findSites } from '../attention/index.ts'
import type { Model, Tensor, Value } from '../ir/index.ts'
import { dtypes } from '../ir/index.ts'
import type { Quantization } from '../quantize/index.ts'
import { unsignedAffine } from '../quantize/index.ts'
import { Ops } from '../rewrite/index.ts'
import type { Run } from './rounding.ts'

/**
 * Measures what rounding takes from the probabilities of attention in the mean, head by head: `E[p - Q(p)]` over all
 * queries and keys of all samples; every sample counts the same. Small probabilities become 0, so that rows add up to less
 * than they did.
 *
 * `model` is the calibrated one; nodes that measure are added to it. Source: softmax bias correction (arXiv 2309.01729).
 */
export async function measureSoftmax(model: Model, quantization: Quantization, run: Run): Promise<void> {
  const sites = findSites(model).filter(({ graph, verdict: { kind } }) => graph === model.graph && counted.has(kind))
  const op = new Ops({ graph: model.graph, before: undefined, name: 'outeffhop/softmax', opset: model.opset })
  const measured = sites.flatMap(({ output, heads }) => {
    const range = quantization.statisticsOf(output)?.rangeBy(quantization.settings.range)
    if (range === undefined || !model.graph.values.has(output.name)) return []
    const { scale, zeroPoint } = unsignedAffine(range)
    const [step, zero] = [op.scalar(scale, dtypes.float), op.scalar(zeroPoint, dtypes.uint8)]
    const error = op.Sub(output, op.DequantizeLinear(op.QuantizeLinear(output, step, zero), step, zero))
    // Of probabilities [B, H, S, T]; heads that are merged with the batch, or not known, are taken together.
    const byHead = heads !== undefined && !heads.merged && heads.axis === -3
    const mean = byHead
      ? op.Reduce('Mean', error, [0, 2, 3], false)
      : op.Reduce('Mean', op.Reshape(error, op.ints([-1])), [0], false)
    return [{ name: output.name, fetch: fetched(model, mean), sum: [] as number[] }]
  })
  if (measured.length === 0) return
  let samples = 0
  const visit = (_: number, outputs: Record<string, Tensor>) => {
    samples++
    for (const { fetch, sum } of measured)
      for (const [head, x] of (outputs[fetch]?.toNumbers() ?? []).entries()) sum[head] = (sum[head] ?? 0) + x
  }
  const fetches = measured.map(({ fetch }) => fetch)
  await run(model, visit, fetches)
  for (const { name, sum } of measured)
    quantization.softmaxBias.set(
      name,
      sum.map((x) => x / samples),
    )
}

const counted: ReadonlySet<string> = new Set(['attention', 'already-softmax1', 'learned-sink'])

function fetched({ graph }: Model, value: Value): string {
  value.type = { kind: 'tensor', dtype: dtypes.float, shape: undefined }
  graph.setOutput(graph.outputs.length, value)
  return value.name
}
