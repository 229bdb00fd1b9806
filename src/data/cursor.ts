import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { dataTruncated } from '../errors.ts'

/** Bytes read piece by piece; starts must ascend, pieces must not overlap. */
export interface Cursor {
  read(start: number, length: number): Promise<Uint8Array>
  close(): Promise<void>
}

/** A file from `base` on, read at positions. */
export async function fileCursor(path: string, base: number): Promise<Cursor> {
  const handle = await open(path)
  return {
    read: (start, length) => readAt(handle, path, base + start, length),
    close: () => handle.close(),
  }
}

/** Bytes in memory. */
export function bytesCursor(bytes: Uint8Array): Cursor {
  return {
    read: async (start, length) => bytes.slice(start, start + length),
    close: async () => {},
  }
}

/** What passes by, such as a deflated member of an archive; what lies before a start is dropped. */
export function streamCursor(stream: Readable, path: string): Cursor {
  // Streams made of several may report an error without ending, also while nobody reads.
  let failure: Error | undefined
  const fail = (error: Error): undefined => {
    failure ??= error
    stream.destroy()
  }
  stream.on('error', fail)
  const chunks = stream[Symbol.asyncIterator]()
  let chunk: Uint8Array = new Uint8Array(0)
  let base = 0
  const advance = async () => {
    base += chunk.length
    const next = failure ? undefined : await chunks.next().catch(fail)
    if (failure) throw failure
    if (!next || next.done) throw dataTruncated(path, `there is nothing behind byte ${base} of a packed array`)
    chunk = next.value
  }
  return {
    async read(start, length) {
      const bytes = new Uint8Array(length)
      for (let done = 0; done < length; ) {
        while (start + done >= base + chunk.length) await advance()
        const from = start + done - base
        const part = chunk.subarray(from, from + length - done)
        bytes.set(part, done)
        done += part.length
      }
      return bytes
    },
    async close() {
      stream.destroy()
    },
  }
}

/** Bytes at a position of an open file. */
export async function readAt(handle: FileHandle, path: string, start: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, start + done)
    if (bytesRead === 0) throw dataTruncated(path, `it has ${start + done} bytes, and byte ${start + length} is needed`)
    done += bytesRead
  }
  return bytes
}
