// The floor: a file copied through one reused 1 MB buffer.
import { closeSync, openSync, readSync, writeSync } from 'node:fs'

const [, , from, to] = process.argv
const [input, output] = [openSync(from, 'r'), openSync(to, 'w')]
const buffer = Buffer.allocUnsafe(1 << 20)
for (let at = 0; ; ) {
  const length = readSync(input, buffer, 0, buffer.length, at)
  if (length === 0) break
  writeSync(output, buffer, 0, length)
  at += length
}
closeSync(input)
closeSync(output)
