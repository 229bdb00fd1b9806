import { closeSync, existsSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import {
  ConvertError,
  outputExists,
  outputFolderMissing,
  outputFull,
  outputIsFolder,
  outputNotWritable,
} from '../../errors.ts'

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

  /** Runs a step of writing; what the system says against it becomes a typed error. */
  write<T>(step: () => T): T {
    return this.#try(step)
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

/** Refuses a place that cannot be written to, before any work is done. */
export function checkPlace(path: string, overwrite: boolean): void {
  const existing = statSync(path, { throwIfNoEntry: false })
  if (existing?.isDirectory()) throw outputIsFolder(path)
  if (existing && !overwrite) throw outputExists(path)
  if (!existsSync(dirname(path))) throw outputFolderMissing(dirname(path))
}

function outputError(error: unknown, path: string, bytes: number): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (error instanceof ConvertError || code === undefined) return error
  if (code === 'ENOSPC' || code === 'EDQUOT') return outputFull(path, bytes)
  if (code === 'ENOENT' || code === 'ENOTDIR') return outputFolderMissing(dirname(path))
  return outputNotWritable(path, error)
}
