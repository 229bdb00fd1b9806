import { lstatSync, readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { ConvertError } from '../../errors.ts'
import { documentOf } from '../document.ts'
import { closeModel, openModel } from '../open.ts'
import { dataFilesOf } from './data-file.ts'

/**
 * Data files a model leaves behind when another takes its place: they have the name of data files of that model, it refers
 * to them, and they are files of their own, no links. Looked up before the model is replaced.
 */
export function ownData(model: string): Set<string> {
  const folder = dirname(model)
  const isOwn = dataFilesOf(basename(model))
  const named = readdirSync(folder).filter((name) => isOwn(name) && lstatSync(join(folder, name)).isFile())
  if (named.length === 0) return new Set()
  const locations = locationsOf(model) ?? new Set()
  return new Set(named.filter((name) => locations.has(name)).map((name) => join(folder, name)))
}

/**
 * Removes the data files that neither the new model nor any of `inputs` needs, nor another model beside it or in the folder
 * above: weights may be shared by reference. What cannot be removed, or may be needed by a model that cannot be read, stays.
 */
export function removeStale(model: string, owned: ReadonlySet<string>, inputs: readonly string[]): void {
  if (owned.size === 0) return
  const needed = new Set(inputs.map(identity))
  for (const reader of [model, ...neighboursOf(model)]) {
    const locations = locationsOf(reader)
    if (locations === undefined) return
    for (const location of locations) needed.add(identity(join(dirname(reader), location)))
  }
  for (const path of owned) {
    if (needed.has(identity(path))) continue
    try {
      rmSync(path, { force: true })
    } catch {
      // Another program holds it: it is in nobody's way.
    }
  }
}

/** Other models that can refer to files of this folder. */
function neighboursOf(model: string): string[] {
  const own = resolve(model)
  return [dirname(own), dirname(dirname(own))].flatMap((folder) =>
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.name.endsWith('.onnx') && entry.isFile())
      .map((entry) => join(folder, entry.name))
      .filter((path) => path !== own),
  )
}

/** What the file of a model says of its external data; undefined when it cannot be read. */
function locationsOf(path: string): ReadonlySet<string> | undefined {
  try {
    const model = openModel(path)
    try {
      return documentOf(model)?.locations ?? new Set()
    } finally {
      closeModel(model)
    }
  } catch (error) {
    if (error instanceof ConvertError) return undefined
    throw error
  }
}

function identity(path: string): string {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? path : `${stat.dev}:${stat.ino}`
}
