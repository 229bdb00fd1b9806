import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ConvertError } from '../errors.ts'
import type { Model } from '../ir/index.ts'
import { closeModel, modelSize, openModel, requireExternalData, saveModel } from '../onnx/index.ts'

/** A model file of no more bytes is copied whole. */
const smallModel = 1 << 26

/**
 * Gives `use` the path of a file with the model as it stands, edits included, for as long as it runs.
 *
 * A small model is copied to the folder of temporary files. A large one is put beside the file it was read from, where it
 * needs no copy of the weights, unless that cannot be.
 */
export async function withFile<T>(model: Model, use: (path: string) => Promise<T>): Promise<T> {
  const file = await temporaryFile(model)
  try {
    return await use(file.path)
  } finally {
    file.remove()
  }
}

/** Gives `use` a model equal to this one, which it may change. */
export async function withCopy<T>(model: Model, use: (copy: Model) => Promise<T>): Promise<T> {
  return withFile(model, async (path) => {
    const copy = openModel(path)
    try {
      return await use(copy)
    } finally {
      closeModel(copy)
    }
  })
}

/**
 * Gives `use` the path of a file with an edited copy of a model, and what `edit` gave. The copy is closed by then: a graph
 * that nobody needs any more takes no memory while the file is used.
 */
export async function withEdited<E, T>(
  model: Model,
  edit: (copy: Model) => E,
  use: (path: string, edited: E) => Promise<T>,
): Promise<T> {
  const { file, edited } = await withCopy(model, async (copy) => {
    const edited = edit(copy)
    return { file: await temporaryFile(copy), edited }
  })
  try {
    return await use(file.path, edited)
  } finally {
    file.remove()
  }
}

interface Temporary {
  readonly path: string
  remove(): void
}

let count = 0

async function temporaryFile(model: Model): Promise<Temporary> {
  const { path: source, bytes } = modelSize(model)
  if (source !== undefined && bytes + requireExternalData(model) > smallModel) {
    const path = join(dirname(source), `.outeffhop-${process.pid}-${++count}.onnx`)
    try {
      await saveModel(model, path, { externalData: 'link' })
      return { path, remove: () => rmSync(path, { force: true }) }
    } catch (error) {
      // A folder that is read-only, or weights behind a link. Whatever else is wrong is wrong there too.
      if (!(error instanceof ConvertError) || error.kind !== 'output') throw error
    }
  }
  const folder = mkdtempSync(join(tmpdir(), 'outeffhop-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  try {
    const path = join(folder, 'model.onnx')
    await saveModel(model, path)
    return { path, remove }
  } catch (error) {
    remove()
    throw error
  }
}
