// The no-op: open a model and save it unchanged.
import { openModel, saveModel } from 'outeffhop-convert'

const [, , from, to] = process.argv
await saveModel(openModel(from), to, { overwrite: true })
