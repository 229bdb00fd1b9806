import type { OutputFacts } from './outputs.ts'

/** What is true of a model and of what is made of it: what a check compares. */
export interface Facts {
  /** sha256 of the files of the model, the model first. */
  readonly files: Readonly<Record<string, string>>
  /** Which data the outputs are compared on; null where there is none. */
  readonly data: { readonly kind: string; readonly samples: number; readonly sha256: string } | null
  /** Why nothing is made of it; null where something is. */
  readonly refused: string | null
  /** Whether ONNX Runtime loads and runs the result; null where it was not asked. */
  readonly runs: boolean | null
  /** The oldest version of ONNX Runtime that runs the result. */
  readonly runtime: string | null
  readonly irVersion: number
  /** By domain, `ai.onnx` for the default one. */
  readonly opsets: Readonly<Record<string, number>>
  /** Of all files of the result. */
  readonly bytes: number
  /** Nodes of the result by operator. */
  readonly operators: Readonly<Record<string, number>>
  /** Every softmax of the model, by the name of its node. */
  readonly sites: Readonly<Record<string, SiteFacts>>
  /** What became of the products with weights; null where nothing is quantized. */
  readonly products: ProductFacts | null
  readonly warnings: readonly string[]
  /** By name, on data that calibration has not seen; null where nothing was run. */
  readonly outputs: Readonly<Record<string, OutputFacts>> | null
}

export interface SiteFacts {
  readonly verdict: string
  /** The reason of a verdict that leaves the site alone. */
  readonly reason?: string
  readonly form?: string
}

export interface ProductFacts {
  readonly quantized: number
  /** Products that stay in float, with the reason. */
  readonly float: Readonly<Record<string, string>>
}

/** Facts of a model that nothing was made of. */
export const nothingMade = {
  ...{ refused: null, runs: null, runtime: null, irVersion: 0, opsets: {}, bytes: 0, operators: {}, sites: {} },
  ...{ products: null, warnings: [], outputs: null },
} as const satisfies Partial<Facts>
