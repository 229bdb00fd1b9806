import { createHash, randomBytes } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { cacheNotWritable } from '../errors.ts'
import { hashFile } from '../onnx/index.ts'
import { createFolder } from '../onnx/write/create-folder.ts'

/** What was kept: plain data, and copies of files by name. */
export interface Entry {
  readonly value: unknown
  /** Paths inside the store, to be copied at once: another process may remove the entry, and then they are gone. */
  readonly files: Readonly<Record<string, string>>
}

export interface EntryFacts {
  readonly key: string
  /** For people: what it is the result of. */
  readonly label: string
  readonly bytes: number
  /** Milliseconds since 1970. */
  readonly lastUsed: number
}

export interface Pruned {
  readonly removed: readonly EntryFacts[]
  readonly kept: readonly EntryFacts[]
}

export interface PruneOptions {
  /** The time it is, in milliseconds since 1970. */
  readonly now: number
  /** Removes what was not used for so many milliseconds. */
  readonly age?: number | undefined
  /** Removes what was used longest ago until so many bytes are left. */
  readonly bytes?: number | undefined
}

/** What is kept at most, unless told otherwise: the longest unused goes first. */
const defaultLimit = 10e9

/**
 * A folder of results by the hash of what they were made of.
 *
 * An entry is a folder that is written under a temporary name and renamed when it is complete, so several processes may
 * use one store: they see all of an entry or none. What is read is verified; an entry that is damaged is thrown away.
 */
export class Store {
  readonly folder: string
  /** Keys of entries that were damaged, as far as they were met. */
  readonly damaged: string[] = []
  readonly #limit: number

  constructor(folder: string, limit: number = defaultLimit) {
    this.folder = folder
    this.#limit = limit
  }

  /** The entry of a key (of `keyOf`); undefined where there is none, or a damaged one. */
  async get(key: string): Promise<Entry | undefined> {
    const folder = join(this.folder, key)
    if (!existsSync(folder)) return undefined
    const entry = await read(folder)
    if (entry === undefined) {
      this.damaged.push(key)
      this.#remove(key)
      return undefined
    }
    touch(folder)
    return entry
  }

  /**
   * Keeps a value, and copies of files, under a key; the first to come stays. Throws `cache-not-writable`: a result that
   * cannot be kept is no less right, so callers warn and go on.
   */
  async put(key: string, label: string, value: unknown, files: Readonly<Record<string, string>> = {}): Promise<void> {
    const temporary = join(this.folder, temporaryName())
    try {
      createFolder(this.folder)
      mkdirSync(temporary)
      const copies: Stored['files'] = {}
      for (const [i, [name, path]] of Object.entries(files).entries()) {
        const copy = join(temporary, `file-${i}`)
        copyFileSync(path, copy)
        copies[name] = { sha256: await hashFile(copy), bytes: statSync(copy).size }
      }
      writeFileSync(join(temporary, 'entry'), sealed({ label, value, files: copies }))
      touch(temporary)
      place(temporary, join(this.folder, key))
    } catch (error) {
      throw cacheNotWritable(this.folder, error)
    } finally {
      if (existsSync(temporary)) rmSync(temporary, { recursive: true, force: true })
    }
    this.#shrinkTo(this.#limit)
  }

  /** Every entry, what was used last first. */
  list(): EntryFacts[] {
    return this.#names()
      .filter(isKey)
      .map((key) => factsOf(join(this.folder, key), key))
      .sort((a, b) => b.lastUsed - a.lastUsed || (a.key < b.key ? -1 : 1))
  }

  /** Removes entries, all of them where neither age nor size is given, and what was left by processes that died. */
  prune({ now, age, bytes }: PruneOptions): Pruned {
    for (const name of this.#names().filter(isTemporary)) if (isStale(join(this.folder, name), now)) this.#remove(name)
    const old = this.list().filter(({ lastUsed }) => now - lastUsed > (age ?? Number.POSITIVE_INFINITY))
    for (const { key } of old) this.#remove(key)
    const limit = bytes ?? (age === undefined ? 0 : Number.POSITIVE_INFINITY)
    return { removed: [...old, ...this.#shrinkTo(limit)], kept: this.list() }
  }

  #shrinkTo(limit: number): EntryFacts[] {
    let total = 0
    const tooMany = this.list().filter((entry) => {
      total += entry.bytes
      return total > limit
    })
    for (const { key } of tooMany) this.#remove(key)
    return tooMany
  }

  /** Under another name first, so that nobody finds half of it. */
  #remove(name: string): void {
    const aside = isTemporary(name) ? name : temporaryName()
    try {
      if (aside !== name) renameSync(join(this.folder, name), join(this.folder, aside))
      rmSync(join(this.folder, aside), { recursive: true, force: true })
    } catch {
      // Somebody else removed it, or it cannot be removed: it stays and is verified again.
    }
  }

  /** Nothing else in the folder is ours. */
  #names(): string[] {
    return existsSync(this.folder) ? readdirSync(this.folder) : []
  }
}

interface Stored {
  readonly label: string
  readonly value: unknown
  readonly files: Record<string, { readonly sha256: string; readonly bytes: number }>
}

const isKey = (name: string) => /^[0-9a-f]{64}$/.test(name)
const isTemporary = (name: string) => /^making-[0-9a-f]{16}$/.test(name)
const temporaryName = () => `making-${randomBytes(8).toString('hex')}`

/** Data behind a line with its hash. */
function sealed(stored: Stored): string {
  const text = JSON.stringify(stored)
  return `${hashOf(text)}\n${text}`
}

function unsealed(text: string): Stored | undefined {
  const end = text.indexOf('\n')
  const content = text.slice(end + 1)
  return text.slice(0, end) === hashOf(content) ? JSON.parse(content) : undefined
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

async function read(folder: string): Promise<Entry | undefined> {
  try {
    const stored = unsealed(readFileSync(join(folder, 'entry'), 'utf8'))
    if (stored === undefined) return undefined
    const files: Record<string, string> = {}
    for (const [i, [name, { sha256 }]] of Object.entries(stored.files).entries()) {
      files[name] = join(folder, `file-${i}`)
      if ((await hashFile(files[name])) !== sha256) return undefined
    }
    return { value: stored.value, files }
  } catch {
    return undefined
  }
}

/** The time of the file `used` is when the entry was used last. */
function touch(folder: string): void {
  try {
    writeFileSync(join(folder, 'used'), '.')
  } catch {
    // A store that can only be read still gives what is in it.
  }
}

/** An entry that says nothing of itself is listed too: it is there, and can be removed. */
function factsOf(folder: string, key: string): EntryFacts {
  try {
    const { label, files } = unsealed(readFileSync(join(folder, 'entry'), 'utf8')) as Stored
    const own = statSync(join(folder, 'entry')).size
    const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, own)
    return { key, label, bytes, lastUsed: statSync(join(folder, 'used')).mtimeMs }
  } catch {
    return { key, label: 'damaged', bytes: 0, lastUsed: 0 }
  }
}

/** Puts a complete entry in its place, unless another process was first. */
function place(temporary: string, folder: string): void {
  try {
    renameSync(temporary, folder)
  } catch (error) {
    if (!existsSync(join(folder, 'entry'))) throw error
  }
}

const hour = 3_600_000

function isStale(path: string, now: number): boolean {
  const made = statSync(path, { throwIfNoEntry: false })?.mtimeMs
  return made !== undefined && now - made > hour
}
