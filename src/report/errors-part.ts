import type { OutputSimilarity } from '../compare/index.ts'
import type { ComparisonDocument } from './comparison.ts'
import { finite } from './document.ts'
import type { Sources } from './gather.ts'
import type { ErrorsPart, OutputError } from './model-report.ts'

/** How far the outputs are from those before, by the most thorough run there is. Null where none was made. */
export function errorsOf({ runs, quantizations, comparisons: [comparison] }: Sources): ErrorsPart | null {
  if (comparison) return compared(comparison)
  const quality =
    runs.map(({ quantization }) => quantization?.quality).find((entry) => entry) ??
    quantizations[0]?.quantization.quality
  if (quality) {
    const { cosineMean: cosine, sqnrDb } = quality
    return {
      outputs: [{ name: 'all outputs', maxAbs: null, meanAbs: null, cosine, sqnrDb }],
      layers: null,
      ok: null,
      broken: [],
    }
  }
  const measured = runs.map(({ change }) => change?.measured).find((entry) => entry)
  return measured ? { outputs: measured.outputs.map(outputError), layers: null, ok: null, broken: [] } : null
}

function outputError({ name, maxAbs, meanAbs, cosine, sqnrDb }: OutputSimilarity): OutputError {
  return { name, maxAbs, meanAbs, cosine: cosine.mean, sqnrDb: sqnrDb === null ? null : finite(sqnrDb) }
}

function compared({ outputs, layers, ok, broken }: ComparisonDocument): ErrorsPart {
  return {
    outputs: outputs.map(({ name, maxAbs, meanAbs, cosine, sqnrDb }) => ({ name, maxAbs, meanAbs, cosine, sqnrDb })),
    layers:
      layers?.map(({ value, node, sqnrDb: introducedDb, cumulative: { cosine, sqnrDb } }) => ({
        ...{ value, node, cosine, sqnrDb, introducedDb },
      })) ?? null,
    ok,
    broken: broken.map(({ message }) => message),
  }
}
