import { write } from 'node:fs'
import { promisify } from 'node:util'
import type { Piece } from './piece.ts'
import type { Source } from './source.ts'

/** Receives the bytes of an output in order. */
export interface Sink {
  put(bytes: Uint8Array): void
  copy(source: Source, start: number, length: number): void
}

/** Collects an output of known size in memory. */
export class MemorySink implements Sink {
  readonly bytes: Buffer
  #at = 0

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size)
  }

  put(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  copy(source: Source, start: number, length: number): void {
    source.read(this.bytes.subarray(this.#at, this.#at + length), start)
    this.#at += length
  }
}

/** One megabyte: measured fastest for copies. */
const bufferSize = 1 << 20

/** One is filled, the one behind it is free for what does not fit, and two are on their way to the file. */
const bufferCount = 4

/**
 * Writes to a file while the next bytes are made. Await `room` before every `bufferSize` bytes and `flush` at the end;
 * the descriptor is in use until `settle` is done.
 */
export class FileSink implements Sink {
  readonly #fd: number
  readonly #buffers = Array.from({ length: bufferCount }, () => Buffer.allocUnsafeSlow(bufferSize))
  /** What each buffer is waiting for. */
  readonly #writes: (Promise<void> | undefined)[] = []
  #current = 0
  #used = 0
  #position = 0
  /** Sees every part that is written, in order. */
  readonly #watch: ((part: Uint8Array) => void) | undefined

  constructor(fd: number, watch?: (part: Uint8Array) => void) {
    this.#fd = fd
    this.#watch = watch
  }

  /** Waits until `bufferSize` more bytes have a place; `undefined` when they have one. Throws what a write threw. */
  room(): Promise<void> | undefined {
    return this.#writes[this.#next]
  }

  put(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + bufferSize - this.#used)
      this.#buffer.set(part, this.#used)
      at += part.length
      this.#advance(part.length)
    }
  }

  copy(source: Source, start: number, length: number): void {
    for (let at = 0; at < length; ) {
      const part = Math.min(length - at, bufferSize - this.#used)
      source.read(this.#buffer.subarray(this.#used, this.#used + part), start + at)
      at += part
      this.#advance(part)
    }
  }

  /** Writes what is left and waits for all of it. */
  async flush(): Promise<void> {
    this.#send()
    await Promise.all(this.#writes)
  }

  /** Waits until nothing is being written any more, well or not. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#writes)
  }

  get #buffer(): Buffer {
    return this.#buffers[this.#current] as Buffer
  }

  get #next(): number {
    return (this.#current + 1) % bufferCount
  }

  #advance(length: number): void {
    this.#used += length
    if (this.#used === bufferSize) this.#send()
  }

  #send(): void {
    const [at, part] = [this.#current, this.#buffer.subarray(0, this.#used)]
    this.#watch?.(part)
    const written = writeAll(this.#fd, part, this.#position).then(() => {
      this.#writes[at] = undefined
    })
    // Whoever waits for the buffer is told; nobody may be waiting yet.
    written.catch(() => {})
    this.#writes[at] = written
    this.#position += part.length
    this.#current = this.#next
    this.#used = 0
  }
}

const writePart = promisify(write)

async function writeAll(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await writePart(fd, bytes, at, bytes.length - at, position + at)).bytesWritten
  }
}

/**
 * Makes a planned output. Yields the bytes done so far after each part of at most `step` bytes, so that the caller
 * can let others run, stop, or show progress.
 */
export function* emit(pieces: readonly Piece[], sink: Sink, step = bufferSize): Generator<number> {
  let done = 0
  for (const piece of flatten(pieces)) {
    for (let at = 0; at < piece.size; ) {
      const length = Math.min(piece.size - at, step)
      if (piece.kind === 'bytes') sink.put(piece.bytes.subarray(at, at + length))
      else if (piece.kind === 'stream') sink.put(piece.stream.read(at, length))
      else sink.copy(piece.source, piece.start + at, length)
      at += length
      done += length
      yield done
    }
  }
}

type Flat = Exclude<Piece, { kind: 'group' }>

/** The pieces without groups, neighbouring ranges of one source joined. */
function* flatten(pieces: readonly Piece[]): Generator<Flat> {
  let range: Extract<Piece, { kind: 'range' }> | undefined
  for (const piece of leaves(pieces)) {
    if (piece.kind === 'range' && range?.source === piece.source && range.start + range.size === piece.start) {
      range = { ...range, size: range.size + piece.size }
      continue
    }
    if (range) yield range
    range = undefined
    if (piece.kind === 'range') range = piece
    else yield piece
  }
  if (range) yield range
}

function* leaves(pieces: readonly Piece[]): Generator<Flat> {
  for (const piece of pieces) {
    if (piece.kind === 'group') yield* leaves(piece.pieces)
    else yield piece
  }
}
