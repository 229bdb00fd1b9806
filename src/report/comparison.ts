import type { Outliers } from '../calibrate/index.ts'
import type {
  Broken,
  Comparison,
  LayerSimilarity,
  OutputSimilarity,
  Precision,
  Similarity,
  Tolerance,
} from '../compare/index.ts'
import type { ModelEntry, OperatorsEntry, OutlierFigures } from './document.ts'
import { finite, type schema } from './document.ts'
import type { Environment } from './environment.ts'

/** How near an output of the second model comes to that of the first. Null for what is not finite. */
export interface OutputEntry {
  readonly name: string
  readonly maxAbs: number | null
  readonly meanAbs: number | null
  /** `Σ |a - b| / Σ |a|`. */
  readonly relative: number | null
  /** The mean over samples, and the least. */
  readonly cosine: number
  readonly cosineWorst: number
  /** Null where nothing differs. */
  readonly sqnrDb: number | null
  readonly identical: boolean
  /** Elements that are no number in one of the models only. */
  readonly notFinite: number
  /** Of a distribution over classes: the share of rows with the same best class, and the mean share of the `k` best. */
  readonly top1: number | null
  readonly topK: number | null
  readonly k: number | null
  /** Of integers: the share that is equal. */
  readonly equal: number | null
  readonly tolerance: Tolerance
}

/** How near a tensor that both models have comes to that of the first: what its operator adds, and what it inherits too. */
export interface LayerEntry {
  readonly value: string
  /** What makes it in the second model, and its operator. */
  readonly node: string
  readonly op: string
  /** The nodes of the second model between it and the tensors it was fed with, where there are more. */
  readonly chain: readonly string[]
  /** Introduced: fed with the tensors of the first model. */
  readonly cosine: number
  readonly sqnrDb: number | null
  readonly maxAbs: number | null
  readonly identical: boolean
  /** Beside the input of the first model and all that was computed of it in the second. */
  readonly cumulative: {
    readonly cosine: number
    readonly sqnrDb: number | null
    readonly maxAbs: number | null
  }
}

export interface LatencyEntry {
  readonly firstMs: number
  readonly secondMs: number
  readonly ratio: number
}

/** What `--json` prints for `compare`. */
export interface ComparisonDocument {
  readonly schema: typeof schema
  readonly command: 'compare'
  readonly model: ModelEntry
  readonly other: ModelEntry
  readonly samples: number
  /** Which data it was: the hash of its manifest. */
  readonly data: { readonly hash: string; readonly synthetic: boolean }
  /** The coarser precision of the two, which says what is asked for where no tolerance is given. */
  readonly precision: Precision
  readonly outputs: readonly OutputEntry[]
  /** The worst first; null unless asked for. */
  readonly layers: readonly LayerEntry[] | null
  /** Over what weights are multiplied with, by sample: mean kurtosis, and the largest mean infinity norm. Null without weights. */
  readonly outliers: {
    readonly first: OutlierFigures | null
    readonly second: OutlierFigures | null
    /** Value by value; `after` is null where no product of the same name reads one in the second model. */
    readonly layers: readonly { readonly value: string; readonly before: Outliers; readonly after: Outliers | null }[]
  } | null
  readonly operators: OperatorsEntry
  readonly environment: Environment
  readonly latency: LatencyEntry | null
  readonly broken: readonly { readonly output: string; readonly kind: string; readonly message: string }[]
  readonly ok: boolean
  readonly notes: readonly string[]
}

export function outputEntry(output: OutputSimilarity, tolerance: Tolerance, isInteger: boolean): OutputEntry {
  const { name, maxAbs, meanAbs, relative, cosine, sqnrDb, notFinite, agreement, outside, elements } = output
  return {
    name,
    ...{ maxAbs: finite(maxAbs), meanAbs: finite(meanAbs), relative: finite(relative) },
    ...{ cosine: cosine.mean, cosineWorst: cosine.worst },
    ...{ sqnrDb: finite(sqnrDb), identical: isIdentical(output) },
    notFinite,
    ...{ top1: agreement?.top1 ?? null, topK: agreement?.topK ?? null, k: agreement?.k ?? null },
    equal: isInteger ? 1 - outside / Math.max(1, elements) : null,
    tolerance,
  }
}

export function layerEntry({ value, node, chain, introduced, cumulative }: LayerSimilarity): LayerEntry {
  return {
    ...{ value, node: node.label, op: node.op },
    chain: chain.length > 1 ? chain.map(({ label }) => label) : [],
    ...figures(introduced),
    identical: isIdentical(introduced),
    cumulative: figures(cumulative),
  }
}

/** Nothing that was compared differs, and something was, unless there is nothing. */
function isIdentical({ maxAbs, notFinite, neither, elements, unlikeShapes }: Similarity): boolean {
  return maxAbs === 0 && notFinite === 0 && unlikeShapes === 0 && !(elements === 0 && neither > 0)
}

function figures({ cosine, sqnrDb, maxAbs }: Similarity) {
  return { cosine: cosine.mean, sqnrDb: finite(sqnrDb), maxAbs: finite(maxAbs) }
}

export function latencyEntry({ milliseconds, latencyRatio }: Comparison): LatencyEntry | null {
  if (milliseconds === undefined || latencyRatio === undefined) return null
  return { firstMs: milliseconds[0], secondMs: milliseconds[1], ratio: latencyRatio }
}

/** A broken tolerance in words. */
export function brokenEntry(broken: Broken): ComparisonDocument['broken'][number] {
  return { output: broken.output, kind: broken.kind, message: `"${broken.output}" ${sentence(broken)}` }
}

function sentence({ kind, limit, actual }: Broken): string {
  switch (kind) {
    case 'missing':
      return 'is not an output of the second model'
    case 'shape':
      return `has another shape on ${actual} samples`
    case 'finite':
      return `has ${actual} elements that are no number in one of the models only`
    case 'nothing':
      return 'has no number in either model, so nothing of it was compared'
    case 'atol':
    case 'rtol':
      return `has ${actual} elements further apart than ${limit} (${kind})`
    case 'minCosine':
      return `has a cosine of ${actual.toFixed(6)} on its worst sample, below ${limit}`
    case 'minSqnr':
      return `has an SQNR of ${actual.toFixed(1)} dB, below ${limit} dB`
    case 'minTop1':
      if (Number.isNaN(actual))
        return `is no distribution over classes, so the ${percent(limit)} asked of its best class mean nothing`
      return `has the same best class in ${percent(actual)} of the rows, below ${percent(limit)}`
    case 'minEqual':
      return `is equal in ${percent(actual)} of the elements, below ${percent(limit)}`
  }
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
