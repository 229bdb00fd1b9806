import type { Entry, ZipFile } from 'yauzl'
import { ConvertError, dataDamaged, dataTruncated, dataUnsupported } from '../errors.ts'
import type { StoredArray } from './arrays.ts'
import { arrayReader } from './arrays.ts'
import type { Cursor } from './cursor.ts'
import { fileCursor, streamCursor } from './cursor.ts'
import type { ModelInput } from './inputs.ts'
import { readNpyHeader, storedArray } from './npy.ts'
import type { Reader } from './reader.ts'

/**
 * Samples from a numpy `.npz`: a zip of `.npy` members, one an input. Stored members are read at positions, deflated ones
 * as they pass by: neither is ever in memory as a whole.
 */
export async function npzReader(path: string, inputs: readonly ModelInput[]): Promise<Reader> {
  return arrayReader('npz', { path, files: [path] }, await openNpz(path), inputs)
}

/** The arrays of a `.npz`, of which only the headers are read. */
async function openNpz(path: string): Promise<StoredArray[]> {
  return withZip(path, async (zip) => {
    const arrays: StoredArray[] = []
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName.endsWith('.npy')) arrays.push(await openMember(zip, entry, path))
    }
    return arrays
  })
}

async function openMember(zip: ZipFile, entry: Entry, path: string): Promise<StoredArray> {
  const name = entry.fileName.slice(0, -'.npy'.length)
  if (!entry.canDecodeFileData())
    throw dataUnsupported(path, `array "${name}" is encrypted or packed in a way that numpy does not write`)
  const isStored = entry.compressionMethod === 0
  const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true })
  const open = isStored ? () => fileCursor(path, fileDataStart) : () => inflated(path, entry)
  const head = await open()
  try {
    const header = await readNpyHeader(head.read, path, name)
    const size = entry.uncompressedSize
    return storedArray(header, { path, name, size }, async () => {
      const cursor = await open()
      return { read: (start, length) => cursor.read(header.start + start, length), close: cursor.close }
    })
  } finally {
    await head.close()
  }
}

/** The unpacked bytes of a member, from a descriptor of its own. */
async function inflated(path: string, entry: Entry): Promise<Cursor> {
  const zip = await openZip(path)
  const stream = await zip.openReadStreamPromise(entry).catch((error: Error) => {
    zip.close()
    throw explained(error, path)
  })
  const cursor = streamCursor(stream, path)
  return {
    read: (start, length) =>
      cursor.read(start, length).catch((error: Error) => {
        throw explained(error, path)
      }),
    async close() {
      await cursor.close()
      zip.close()
    },
  }
}

async function withZip<T>(path: string, use: (zip: ZipFile) => Promise<T>): Promise<T> {
  const zip = await openZip(path)
  try {
    return await use(zip)
  } catch (error) {
    throw explained(error as Error, path)
  } finally {
    zip.close()
  }
}

async function openZip(path: string): Promise<ZipFile> {
  const { openPromise } = await import('yauzl')
  try {
    return await openPromise(path, { autoClose: false })
  } catch (error) {
    throw explained(error as Error, path)
  }
}

/** A zip has its directory at the end: one without was cut off. */
function explained(error: Error, path: string): Error {
  if (error instanceof ConvertError) return error
  if (/end of central directory|unexpected end|unexpected EOF|out of bounds|ended/i.test(error.message))
    return dataTruncated(path, `it has no complete zip directory or data (${error.message})`)
  return dataDamaged(path, error.message)
}
