import { closeSync, fstatSync, lstatSync, openSync, realpathSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { externalMalformed, externalMissing, externalRefused, externalWithoutFolder } from '../../errors.ts'
import type { Field } from '../../wire/index.ts'
import { FileSource, place } from '../../wire/index.ts'

/** Where a tensor says that its data is. */
export interface Location {
  /** Relative to the folder of the model, as it is in the file. */
  readonly location: string
  readonly offset: number
  readonly length: number | undefined
}

/**
 * Reads the entries of `external_data`. Entries of other names mean nothing to us and are kept as they are.
 * The rules are those of onnx and ONNX Runtime: whole numbers in decimal, each name once.
 */
export function parseLocation(name: string, entries: readonly (readonly [string, string])[], field: Field): Location {
  const refuse = (what: string) => externalMalformed(name, what, place(field.source, field.start))
  const known = new Map<string, string>()
  for (const [key, value] of entries) {
    if (key !== 'location' && key !== 'offset' && key !== 'length') continue
    if (known.has(key)) throw refuse(`it has two entries "${key}"`)
    known.set(key, value)
  }
  const integer = (key: string): number | undefined => {
    const text = known.get(key)
    if (text === undefined) return undefined
    if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(Number(text))) {
      throw refuse(`"${text}" is not a valid ${key}`)
    }
    return Number(text)
  }
  const location = known.get('location') ?? ''
  const fault = locationFault(location)
  if (fault !== undefined) throw refuse(fault)
  return { location, offset: integer('offset') ?? 0, length: integer('length') }
}

/** What is wrong with a location by its looks alone. */
function locationFault(location: string): string | undefined {
  if (location === '') return 'it names no file'
  if (location.includes('\0')) return 'the name of its file has a NUL character'
  if (location.includes('\\')) return `its location "${location}" has a backslash`
  if (/^[A-Za-z]:/.test(location) || location.startsWith('/')) return `its location "${location}" is absolute`
  return undefined
}

/**
 * Opens the file of a location in the folder of a model. The file has to lie, links followed, in the model's folder or
 * in the one the model itself is linked from (as in the cache of Hugging Face). `strictLinks` refuses any link.
 */
export function openLocation(
  name: string,
  location: string,
  model: string | undefined,
  folder: string | undefined,
  strictLinks: boolean,
): FileSource {
  const home = folder ?? (model === undefined ? undefined : dirname(model))
  if (home === undefined) throw externalWithoutFolder(name, location)
  const path = join(home, location)
  if (!isInside(resolve(home), resolve(path)))
    throw externalRefused(name, location, 'is outside the folder of the model')
  const real = realPath(name, location, path)
  const homes = [realpathSync(home)]
  if (model !== undefined) homes.push(dirname(realpathSync(model)))
  if (!homes.some((inside) => isInside(inside, real))) {
    throw externalRefused(name, location, 'is a link to a place outside the folder of the model')
  }
  if (strictLinks && !homes.some((inside) => real === resolve(inside, location))) {
    throw externalRefused(name, location, 'is a link')
  }
  return openChecked(name, location, real, strictLinks)
}

function realPath(name: string, location: string, path: string): string {
  try {
    return realpathSync(path)
  } catch {
    throw externalMissing(name, location, path)
  }
}

/** Opens a path that has no links in it, and makes sure that the file is the one that was checked. */
function openChecked(name: string, location: string, real: string, strictLinks: boolean): FileSource {
  const before = lstatSync(real, { bigint: true })
  if (!before.isFile()) throw externalRefused(name, location, 'is not a file')
  if (strictLinks && before.nlink > 1n) throw externalRefused(name, location, 'has more than one name')
  const fd = openSync(real, 'r')
  const after = fstatSync(fd, { bigint: true })
  if (after.dev === before.dev && after.ino === before.ino) return new FileSource(real, fd)
  closeSync(fd)
  throw externalRefused(name, location, 'was replaced while it was opened')
}

/** Whether a path lies in a folder, by names alone. */
export function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path)
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)
}
