import { lstatSync, readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
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
  const locations = locationsOf(model)
  return new Set(named.filter((name) => locations.has(name)).map((name) => join(folder, name)))
}

/** Removes the data files that neither the new model nor any of `inputs` needs. What cannot be removed stays. */
export function removeStale(model: string, owned: ReadonlySet<string>, inputs: readonly string[]): void {
  if (owned.size === 0) return
  const needed = new Set(Array.from(locationsOf(model), (location) => identity(join(dirname(model), location))))
  for (const input of inputs) needed.add(identity(input))
  for (const path of owned) {
    if (needed.has(identity(path))) continue
    try {
      rmSync(path, { force: true })
    } catch {
      // Another program holds it: it is in nobody's way.
    }
  }
}

/** What the file of a model says of its external data; nothing when it cannot be read. */
function locationsOf(path: string): ReadonlySet<string> {
  try {
    const model = openModel(path)
    try {
      return documentOf(model)?.locations ?? new Set()
    } finally {
      closeModel(model)
    }
  } catch (error) {
    if (error instanceof ConvertError) return new Set()
    throw error
  }
}

function identity(path: string): string {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? path : `${stat.dev}:${stat.ino}`
}
