import { createReadStream } from 'node:fs'

/** The lines of a file, blank ones left out, with their numbers from 1; one line is in memory at a time. */
export async function* lines(path: string): AsyncGenerator<{ number: number; text: string }> {
  let number = 0
  let parts: Buffer[] = []
  const finish = (): { number: number; text: string } | undefined => {
    number++
    // Not a text decoder on the stream: it would have to be told where lines end.
    const text = Buffer.concat(parts).toString().replace(/\r$/, '')
    parts = []
    const bare = number === 1 ? text.replace(/^\uFEFF/, '') : text
    return bare.trim() === '' ? undefined : { number, text: bare }
  }
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 16 }) as AsyncIterable<Buffer>) {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end))
      start = end + 1
      const line = finish()
      if (line !== undefined) yield line
    }
    if (start < chunk.length) parts.push(chunk.subarray(start))
  }
  const last = parts.length > 0 ? finish() : undefined
  if (last !== undefined) yield last
}
