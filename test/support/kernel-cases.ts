import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A case of the kernels' table with its data, all dense: the same for every host. */
export interface KernelCase {
  readonly name: string
  readonly type: 'f32' | 'f16' | 'bf16'
  readonly batch: number
  readonly heads: number
  readonly kvHeads: number
  readonly queries: number
  readonly keys: number
  readonly headSize: number
  readonly valueSize: number
  readonly scale: number
  readonly causal: boolean
  readonly noSink: boolean
  readonly q: Float32Array
  readonly k: Float32Array
  readonly v: Float32Array
  /** [B, H, S, T], or nothing. */
  readonly bias: Float32Array | undefined
  /** [H], or nothing: 0. */
  readonly sink: Float32Array | undefined
  /** [B], or nothing: all keys. */
  readonly lengths: Int32Array | undefined
  readonly wanted: Float32Array
}

/** The cases of `table`, with the data that `write_cases` put into `folder`. */
export function readCases(table: string, folder: string): KernelCase[] {
  const lines = readFileSync(table, 'utf8').split('\n')
  return lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => readCase(line.split(/ +/), folder))
}

function readCase(words: readonly string[], folder: string): KernelCase {
  const [name, type] = words as [string, KernelCase['type']]
  const [batch, heads, kvHeads, queries, keys, headSize, valueSize] = words.slice(2, 9).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const bytes = (part: string): ArrayBuffer | undefined => {
    const file = join(folder, `${name}.${part}`)
    return existsSync(file) ? new Uint8Array(readFileSync(file)).buffer : undefined
  }
  const floats = (part: string): Float32Array => new Float32Array(bytes(part) ?? new ArrayBuffer(0))
  const maybe = (part: string): Float32Array | undefined => (bytes(part) === undefined ? undefined : floats(part))
  const lengths = bytes('lengths')
  return {
    ...{ name, type, batch, heads, kvHeads, queries, keys, headSize, valueSize },
    scale: words[9] === 'auto' ? 1 / Math.sqrt(headSize) : Number(words[9]),
    causal: words[12] === 'yes',
    noSink: words[14] === 'none',
    ...{ q: floats('q'), k: floats('k'), v: floats('v'), bias: maybe('bias'), sink: maybe('sink') },
    lengths: lengths && new Int32Array(lengths),
    wanted: floats('wanted'),
  }
}

/** Softmax1 attention by its definition; it shares nothing with the C++ reference. */
export function attentionOf(row: KernelCase): Float64Array {
  const { batch, heads, queries, valueSize } = row
  const out = new Float64Array(batch * heads * queries * valueSize)
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++)
      for (let s = 0; s < queries; s++) {
        const at = (b * heads + h) * queries + s
        attendRow(row, b, h, s, out.subarray(at * valueSize, (at + 1) * valueSize))
      }
  return out
}

function attendRow(row: KernelCase, b: number, h: number, s: number, out: Float64Array): void {
  const { heads, kvHeads, queries, keys, headSize, valueSize } = row
  const kvHead = b * kvHeads + Math.floor((h * kvHeads) / heads)
  const length = row.lengths?.[b] ?? keys
  const logits: [key: number, logit: number][] = []
  for (let t = 0; t < length; t++) {
    if (row.causal && t - length > s - queries) continue
    let dot = 0
    for (let d = 0; d < headSize; d++)
      dot += row.q[((b * heads + h) * queries + s) * headSize + d]! * row.k[(kvHead * keys + t) * headSize + d]!
    const bias = row.bias?.[((b * heads + h) * queries + s) * keys + t] ?? 0
    if (bias !== -Infinity) logits.push([t, dot * row.scale + bias])
  }
  if (logits.length === 0) return
  const sink = row.noSink ? -Infinity : (row.sink?.[h] ?? 0)
  const top = Math.max(sink, ...logits.map(([, logit]) => logit))
  const total = logits.reduce((sum, [, logit]) => sum + Math.exp(logit - top), Math.exp(sink - top))
  for (const [t, logit] of logits)
    for (let d = 0; d < valueSize; d++)
      out[d]! += (Math.exp(logit - top) / total) * row.v[(kvHead * keys + t) * valueSize + d]!
}
