import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { resolve } from 'node:path'
import { malformed, modelClosed, modelUnreadable, sourceChanged } from '../errors.ts'
import { decodePart, decodeText } from './text.ts'

/**
 * Bytes at positions: a file of any size or an array. Positions are plain numbers, exact to 2^53.
 *
 * `seek` is the only way to look at bytes without a copy: what it shows is valid until the next call.
 */
export interface Source {
  readonly size: number
  /** The file, for messages; `undefined` for an array. */
  readonly path: string | undefined
  /** The bytes around the position of the last `seek`. */
  readonly window: Buffer
  /** Most bytes one `seek` can show. */
  readonly reach: number
  /** The index in `window` of the byte at `position`, with `length` bytes (at most `reach`) behind it. */
  seek(position: number, length: number): number
  /** Fills `target` with the bytes from `position` on. Throws when the source has fewer. */
  read(target: Uint8Array, position: number): void
  /** Throws a typed error when the bytes may no longer be those seen before. */
  check(): void
  /** Gives the descriptor back until the next read. */
  release(): void
  /** Ends reading for good. */
  close(): void
}

/** A fresh copy of the bytes of a range. */
export function copyOf(source: Source, start: number, end: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(end - start)
  source.read(bytes, start)
  return bytes
}

/** Longer texts than this are no names, and longer than 512 MiB no strings. */
const longestText = 1 << 26

/** The text of a range. */
export function textOfRange(source: Source, start: number, end: number): string {
  const length = end - start
  if (length > longestText) throw malformed(`a text at byte ${start} is ${length} bytes long`, place(source, start))
  if (length > source.reach) return decodeText(copyOf(source, start, end))
  const at = source.seek(start, length)
  return decodePart(source.window, at, at + length)
}

/** An array in memory. */
export class BytesSource implements Source {
  readonly window: Buffer
  readonly path = undefined

  constructor(bytes: Uint8Array) {
    this.window = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get size(): number {
    return this.window.length
  }

  get reach(): number {
    return this.window.length
  }

  seek(position: number, length: number): number {
    if (position + length > this.window.length) throw ended(this, position + length)
    return position
  }

  read(target: Uint8Array, position: number): void {
    if (position + target.length > this.window.length) throw ended(this, position + target.length)
    target.set(this.window.subarray(position, position + target.length))
  }

  check(): void {}

  release(): void {}

  close(): void {}
}

const largestWindow = 1 << 18
const smallestRead = 1 << 13

/** What a file is known by: a change in any of these means that it is another file or was written to. */
interface Identity {
  readonly dev: bigint
  readonly ino: bigint
  readonly size: bigint
  readonly mtimeNs: bigint
}

/** A file, read at positions through one reused window. */
export class FileSource implements Source {
  readonly reach = largestWindow
  readonly path: string
  readonly size: number
  readonly #absolute: string
  readonly #identity: Identity
  #fd: number | undefined
  #closed = false
  #window: Buffer | undefined
  /** The window holds the bytes from `#base` to `#end`. */
  #base = 0
  #end = 0
  #ahead = smallestRead

  /** Takes over an open descriptor. */
  constructor(path: string, fd: number) {
    this.path = path
    this.#absolute = resolve(path)
    this.#fd = fd
    this.#identity = fstatSync(fd, { bigint: true })
    this.size = Number(this.#identity.size)
  }

  get isOpen(): boolean {
    return this.#fd !== undefined
  }

  /** Made when it is needed: of many files with external data, none is looked at through a window. */
  get window(): Buffer {
    this.#window ??= Buffer.allocUnsafeSlow(largestWindow)
    return this.#window
  }

  seek(position: number, length: number): number {
    if (position >= this.#base && position + length <= this.#end) return position - this.#base
    return this.#refill(position, length)
  }

  /**
   * Reading on gets larger reads, and so does skipping less than was read at a time; a long jump gets a small one. So a
   * scan over large payloads touches little of the file, and one over many small ones makes few calls.
   */
  #refill(position: number, length: number): number {
    const goesOn = position >= this.#base && position <= this.#end + this.#ahead
    this.#ahead = goesOn ? Math.min(this.#ahead * 2, largestWindow) : smallestRead
    const wanted = Math.min(Math.max(length, this.#ahead), this.size - position)
    if (wanted < length) throw ended(this, position + length)
    this.#base = this.#end = 0
    this.#fill(this.window, wanted, position)
    this.#base = position
    this.#end = position + wanted
    return 0
  }

  read(target: Uint8Array, position: number): void {
    if (position >= this.#base && position + target.length <= this.#end) {
      const at = position - this.#base
      target.set(this.window.subarray(at, at + target.length))
    } else this.#fill(target, target.length, position)
  }

  check(): void {
    this.#verify(fstatSync(this.#descriptor(), { bigint: true }))
  }

  release(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  close(): void {
    this.release()
    this.#closed = true
    this.#base = this.#end = 0
  }

  /** The open descriptor. A file that was released has to be the same when it is opened again. */
  #descriptor(): number {
    if (this.#fd !== undefined) return this.#fd
    if (this.#closed) throw modelClosed(this.path)
    const fd = openSync(this.#absolute, 'r')
    try {
      this.#verify(fstatSync(fd, { bigint: true }))
    } catch (error) {
      closeSync(fd)
      throw error
    }
    this.#fd = fd
    return fd
  }

  #verify(now: Identity): void {
    const { dev, ino, size, mtimeNs } = this.#identity
    if (now.dev === dev && now.ino === ino && now.size === size && now.mtimeNs === mtimeNs) return
    throw sourceChanged(this.path)
  }

  #fill(target: Uint8Array, length: number, position: number): void {
    const fd = this.#descriptor()
    for (let done = 0; done < length; ) {
      // A single read is limited by the system to a little under 2 GiB.
      const part = Math.min(length - done, 1 << 30)
      const count = this.#read(fd, target, done, part, position + done)
      if (count === 0) throw sourceChanged(this.path)
      done += count
    }
  }

  #read(fd: number, target: Uint8Array, offset: number, length: number, position: number): number {
    try {
      return readSync(fd, target, offset, length, position)
    } catch (error) {
      throw modelUnreadable(this.path, error as Error)
    }
  }
}

function ended(source: Source, position: number) {
  return malformed(`the file ends at byte ${source.size}, before byte ${position}`, place(source, source.size))
}

/** The place of an offset in a source, for errors. */
export function place(source: Source, offset: number): { path?: string; offset: number } {
  return source.path === undefined ? { offset } : { path: source.path, offset }
}
