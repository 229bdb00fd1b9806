import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from './support/built.ts'
import { blockIn, blockOf, withBlock } from './support/quantize-block.js'

const readme = readFileSync(join(root, 'README.md'), 'utf8')
const measured = {
  screen: `model.onnx  69.1 MB, opset 17

  taken  int8  SQNR 29.1 dB

18 products quantized (int8), 0 left in float.
On 16 samples kept back: cosine 0.99949, worst 0.99936, SQNR 29.5 dB. One thread: 0.21 of the time of the input model.
Wrote model.int8.onnx (18.1 MB, 0.262 of the input).
`,
  seconds: 62,
  bytes: [69.1e6, 18.1e6],
  texts: 65,
  cosine: [0.9994, 0.9991],
  neighbours: 63,
  speed: 2.1,
}

describe('the numbers of the chapter on quantizing', () => {
  it('are what the script prints, number for number of its form', () => {
    const form = (block: string) => block.replace(/\d+(\.\d+)?/g, 'N')
    expect(form(blockIn(readme))).toBe(form(blockOf(measured)))
  })

  it('are replaced by a run that writes them, and nothing else is', () => {
    const again = withBlock(readme, blockOf({ ...measured, seconds: 1 }))
    expect(blockIn(again)).toContain('the command took | 1 s')
    expect(withBlock(again, blockIn(readme))).toBe(readme)
    expect(() => withBlock('# no markers', '')).toThrow('<!-- quantize-demo -->')
  })
})
