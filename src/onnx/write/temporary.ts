import { closeSync, existsSync, lstatSync, openSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import {
  ConvertError,
  outputExists,
  outputFolderMissing,
  outputFull,
  outputInFile,
  outputIsFolder,
  outputNotFile,
  outputNotWritable,
} from '../../errors.ts'
import { encodeText } from '../../wire/index.ts'

/**
 * A file that is written under a temporary name beside its place and then put there in one step, so that nobody ever
 * sees half of it. What is not put in place is discarded.
 */
export class TemporaryFile {
  readonly path: string
  readonly fd: number
  readonly #temporary: string
  readonly #bytes: number
  #open = true
  #placed = false
  #isNew = false

  /** `bytes` is what is going to be written, for messages. */
  constructor(path: string, bytes: number) {
    this.path = path
    this.#bytes = bytes
    this.#temporary = join(dirname(path), `.${basename(path)}.${process.pid}.${++count}.tmp`)
    // Exclusive: neither a file nor a link that is there already is written to.
    this.fd = this.#try(() => openSync(this.#temporary, 'wx'))
  }

  /** Writes all there is at once. */
  write(bytes: Uint8Array): void {
    this.#try(() => writeFileSync(this.fd, bytes))
  }

  /** Waits for a step of writing; what the system says against it becomes a typed error. */
  async written(step: Promise<void>): Promise<void> {
    try {
      await step
    } catch (error) {
      throw outputError(error, this.path, this.#bytes)
    }
  }

  finish(): void {
    this.#open = false
    this.#try(() => closeSync(this.fd))
  }

  /** Where the file is until it is put in its place. */
  get temporary(): string {
    return this.#temporary
  }

  /** Puts the finished file in its place, over a file that is there. */
  place(): void {
    this.#isNew = !existsSync(this.path)
    this.#try(() => renameSync(this.#temporary, this.path))
    this.#placed = true
  }

  /** Takes the file away from its place, when nothing was there before. */
  withdraw(): void {
    if (this.#placed && this.#isNew) rmSync(this.path, { force: true })
  }

  /** Removes the file unless it is in its place. */
  discard(): void {
    if (this.#open) closeSync(this.fd)
    this.#open = false
    if (!this.#placed) rmSync(this.#temporary, { force: true })
  }

  #try<T>(step: () => T): T {
    try {
      return step()
    } catch (error) {
      throw outputError(error, this.path, this.#bytes)
    }
  }
}

let count = 0

/** Writes a text in one step, and gives the number of its bytes. */
export function placeText(path: string, text: string): number {
  const bytes = encodeText(text)
  placeFile(path, bytes)
  return bytes.length
}

/** Writes a small file in one step: a reader finds what was there before, or all of it. */
export function placeFile(path: string, bytes: Uint8Array): void {
  const file = new TemporaryFile(path, bytes.length)
  try {
    file.write(bytes)
    file.finish()
    file.place()
  } finally {
    file.discard()
  }
}

/**
 * Refuses a place that cannot be written to, before any work is done. A link gives way to the file, wherever it leads: what
 * it leads to may be shared.
 */
export function checkPlace(path: string, overwrite: boolean): void {
  const existing = statOf(path)
  if (existing?.isDirectory()) throw outputIsFolder(path)
  if (existing && !existing.isFile()) throw outputNotFile(path)
  checkFolder(dirname(path))
  if (!overwrite && lstatSync(path, { throwIfNoEntry: false })) throw outputExists(path)
}

/** Refuses a folder that is missing, or is none. */
export function checkFolder(folder: string): void {
  const existing = statOf(folder)
  if (existing === undefined) throw outputFolderMissing(folder)
  if (!existing.isDirectory()) throw outputInFile(folder)
}

/** What a place holds. */
interface Existing {
  isFile(): boolean
  isDirectory(): boolean
}

/** What is at a path; `undefined` for nothing. */
export function statOf(path: string): Existing | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined
    throw outputNotWritable(path, error)
  }
}

function outputError(error: unknown, path: string, bytes: number): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (error instanceof ConvertError || code === undefined) return error
  if (code === 'ENOSPC' || code === 'EDQUOT') return outputFull(path, bytes)
  if (code === 'ENOENT' && !existsSync(dirname(path))) return outputFolderMissing(dirname(path))
  return outputNotWritable(path, error)
}
