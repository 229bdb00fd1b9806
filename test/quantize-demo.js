// Quantizes a published text model on real text, and measures it on other text: node test/quantize-demo.js [FOLDER]
//
// FOLDER has model.onnx and tokenizer.json; default: minilm_l3 in OUTEFFHOP_MODELS, as test/support/fetch-models.js fetches it.
// UPDATE_README=1 puts what is printed between the markers of README.md.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { closeModel, openData, openModel } from 'outeffhop-convert'
import { blockOf, withBlock } from './support/quantize-block.js'

const root = fileURLToPath(new URL('../', import.meta.url))
const source = process.argv[2] ?? join(process.env.OUTEFFHOP_MODELS ?? 'models', 'minilm_l3')
if (!existsSync(join(source, 'model.onnx'))) {
  console.error(`There is no model in ${source}. Fetch one first: node test/support/fetch-models.js models`)
  process.exit(2)
}
const ort = await import('onnxruntime-node').catch(() => {
  console.error('The demo runs the models in ONNX Runtime, which is not installed: npm install onnxruntime-node')
  process.exit(5)
})

const folder = mkdtempSync(join(tmpdir(), 'outeffhop-demo-'))
try {
  const [model, output] = [join(source, 'model.onnx'), join(folder, 'model.int8.onnx')]
  const texts = (name) => join(root, 'fixtures/texts', name)
  const words = ['quantize', model, '--data', texts('constitution.txt'), '--tokenizer', join(source, 'tokenizer.json')]
  const start = performance.now()
  const command = spawnSync(process.execPath, [join(root, 'bin/outeffhop-convert.js'), ...words, '-o', output], {
    encoding: 'utf8',
  })
  if (command.status !== 0) throw new Error(command.stderr)
  const seconds = (performance.now() - start) / 1000
  const block = blockOf({
    screen: command.stdout.replaceAll(`${folder}/`, '').replaceAll(`${source}/`, ''),
    seconds,
    bytes: [statSync(model).size, statSync(output).size],
    ...(await measure(model, output, texts('declaration.txt'))),
  })
  console.log(block)
  if (process.env.UPDATE_README === '1') {
    const readme = join(root, 'README.md')
    writeFileSync(readme, withBlock(readFileSync(readme, 'utf8'), block))
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Sentence embeddings of both models, mean over the tokens, on text that was not calibrated on; time on one thread. */
async function measure(model, output, data) {
  const options = { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 }
  const sessions = [
    await ort.InferenceSession.create(model, options),
    await ort.InferenceSession.create(output, options),
  ]
  const opened = openModel(model)
  const embeddings = [[], []]
  const spent = [0, 0]
  try {
    const samples = await openData(data, opened, { tokenizer: join(source, 'tokenizer.json') })
    for await (const { feeds } of samples.samples()) {
      const inputs = Object.fromEntries(
        Object.entries(feeds).map(([name, tensor]) => [
          name,
          new ort.Tensor('int64', BigInt64Array.from(tensor.toNumbers(1 << 20), BigInt), tensor.dims),
        ]),
      )
      for (const [i, session] of sessions.entries()) {
        const before = process.cpuUsage()
        const outputs = await session.run(inputs)
        const { user, system } = process.cpuUsage(before)
        spent[i] += user + system
        embeddings[i].push(meanOfTokens(Object.values(outputs).find(({ dims }) => dims.length === 3)))
      }
    }
  } finally {
    closeModel(opened)
    for (const session of sessions) await session.release()
  }
  const losses = embeddings[0].map((a, i) => 1 - cosine(a, embeddings[1][i]))
  const nearest = embeddings.map((all) => all.map((a, i) => nearestOf(a, i, all)))
  return {
    texts: losses.length,
    cosine: [1 - losses.reduce((a, b) => a + b) / losses.length, 1 - Math.max(...losses)],
    neighbours: nearest[0].filter((each, i) => each === nearest[1][i]).length,
    speed: spent[0] / spent[1],
  }
}

function meanOfTokens({ data, dims: [, tokens, width] }) {
  return Array.from({ length: width }, (_, i) => {
    let sum = 0
    for (let token = 0; token < tokens; token++) sum += data[token * width + i]
    return sum / tokens
  })
}

function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, each, i) => sum + each * y[i], 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

function nearestOf(a, index, all) {
  const near = all.map((b, i) => (i === index ? -2 : cosine(a, b)))
  return near.indexOf(Math.max(...near))
}
