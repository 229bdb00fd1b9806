import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'

/** The sha256 of a file in hexadecimal. */
export async function hashFile(path: string, options: { signal?: AbortSignal | undefined } = {}): Promise<string> {
  const digest = createHash('sha256')
  const stream = createReadStream(path, { highWaterMark: 1 << 20 })
  await pipeline(stream, digest, options.signal ? { signal: options.signal } : {})
  return digest.digest('hex')
}
