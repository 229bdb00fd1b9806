import { closeSync, openSync } from 'node:fs'
import type { Piece } from '../../src/wire/index.ts'
import {
  delimited,
  emit,
  FileSink,
  intField,
  MemorySink,
  streamPiece,
  stringField,
  totalSize,
} from '../../src/wire/index.ts'

/** The size of a synthetic transformer. Its layers are pre-norm: attention over `heads` heads, then a feed-forward part. */
export interface Synthetic {
  readonly layers: number
  /** Embedding size, a multiple of `heads`. */
  readonly width: number
  readonly heads: number
  /** Inner size of the feed-forward part. Default 4 times the width. */
  readonly inner?: number
  /** Initializers that no node reads, to bring the file to a size: how many, of how many bytes each. */
  readonly extra?: { readonly count: number; readonly bytes: number }
}

/** The fields of an ONNX file, in the order C++ writes them. Weights are made while they are written, always the same. */
export function syntheticModel(size: Synthetic): Piece[] {
  const graph = new Builder(size).graph()
  return [
    intField(1, 8),
    stringField(2, 'synthetic'),
    delimited(7, graph),
    delimited(8, [stringField(1, ''), intField(2, 17)]),
  ]
}

export function syntheticBytes(size: Synthetic): Uint8Array {
  const pieces = syntheticModel(size)
  const sink = new MemorySink(totalSize(pieces))
  for (const _ of emit(pieces, sink));
  return sink.bytes
}

/** Writes a synthetic transformer of any size; returns its bytes. */
export async function writeSynthetic(path: string, size: Synthetic): Promise<number> {
  const pieces = syntheticModel(size)
  const fd = openSync(path, 'w')
  try {
    const sink = new FileSink(fd)
    for (const _ of emit(pieces, sink)) await sink.room()
    await sink.flush()
  } finally {
    closeSync(fd)
  }
  return totalSize(pieces)
}

class Builder {
  readonly #size: Synthetic
  readonly #nodes: Piece[] = []
  readonly #weights: Piece[] = []
  #count = 0

  constructor(size: Synthetic) {
    this.#size = size
  }

  graph(): Piece[] {
    const { width, heads, layers, extra } = this.#size
    // 0 copies a dimension, -1 takes what is left: any batch and length.
    this.#integers('split', [0, 0, heads, width / heads])
    this.#integers('merge', [0, 0, width])
    this.#weight('scale', [], Math.sqrt(heads / width))
    this.#weight('gain', [width], 1)
    this.#weight('bias', [width], 0)
    let x = 'input'
    for (let i = 0; i < layers; i++) x = this.#layer(`layer.${i}`, x)
    this.#nodes.push(node('LayerNormalization', 'norm', [x, 'gain', 'bias'], 'output', [intAttribute('axis', -1)]))
    for (let i = 0; i < (extra?.count ?? 0); i++) this.#weight(`extra.${i}`, [(extra?.bytes ?? 0) / 4])
    const info = (number: number, name: string) => delimited(number, valueInfo(name, ['batch', 'length', width]))
    return [...this.#nodes, stringField(2, 'synthetic'), ...this.#weights, info(11, 'input'), info(12, 'output')]
  }

  #layer(name: string, x: string): string {
    const { width, inner = 4 * width } = this.#size
    const normed = this.#node('LayerNormalization', `${name}.norm1`, [x, 'gain', 'bias'], [intAttribute('axis', -1)])
    const [q, k, v] = ['q', 'k', 'v'].map((part) => {
      const flat = this.#project(`${name}.${part}`, normed, width, width)
      const split = this.#node('Reshape', `${name}.${part}.split`, [flat, 'split'])
      return this.#node(
        'Transpose',
        `${name}.${part}.heads`,
        [split],
        [intsAttribute('perm', [0, 2, part === 'k' ? 3 : 1, part === 'k' ? 1 : 3])],
      )
    }) as [string, string, string]
    const scores = this.#node('MatMul', `${name}.scores`, [q, k])
    const scaled = this.#node('Mul', `${name}.scaled`, [scores, 'scale'])
    const weights = this.#node('Softmax', `${name}.softmax`, [scaled], [intAttribute('axis', -1)])
    const context = this.#node('MatMul', `${name}.context`, [weights, v])
    const turned = this.#node('Transpose', `${name}.turned`, [context], [intsAttribute('perm', [0, 2, 1, 3])])
    const merged = this.#node('Reshape', `${name}.merge`, [turned, 'merge'])
    const attended = this.#project(`${name}.out`, merged, width, width)
    const y = this.#node('Add', `${name}.residual1`, [x, attended])
    const normed2 = this.#node('LayerNormalization', `${name}.norm2`, [y, 'gain', 'bias'], [intAttribute('axis', -1)])
    const up = this.#project(`${name}.up`, normed2, width, inner)
    const active = this.#node('Relu', `${name}.relu`, [up])
    return this.#node('Add', `${name}.residual2`, [y, this.#project(`${name}.down`, active, inner, width)])
  }

  #project(name: string, x: string, from: number, to: number): string {
    this.#weight(`${name}.weight`, [from, to])
    return this.#node('MatMul', name, [x, `${name}.weight`])
  }

  #node(op: string, name: string, inputs: readonly string[], attributes: readonly Piece[] = []): string {
    const output = `${name}.output`
    this.#nodes.push(node(op, name, inputs, output, attributes))
    return output
  }

  #weight(name: string, dims: readonly number[], value?: number): void {
    const size = dims.reduce((a, b) => a * b, 1)
    const fan = Math.sqrt(dims[0] ?? 1)
    const data = value === undefined ? new Noise(size * 4, ++this.#count, 1 / fan) : new Constant(size, value)
    this.#weights.push(tensor(name, 1, dims, delimited(9, [streamPiece(data)])))
  }

  #integers(name: string, values: readonly number[]): void {
    const data = Buffer.alloc(values.length * 8)
    for (const [i, value] of values.entries()) data.writeBigInt64LE(BigInt(value), i * 8)
    const stream = { byteLength: data.length, read: (at: number, length: number) => data.subarray(at, at + length) }
    this.#weights.push(tensor(name, 7, [values.length], delimited(9, [streamPiece(stream)])))
  }
}

function node(
  op: string,
  name: string,
  inputs: readonly string[],
  output: string,
  attributes: readonly Piece[],
): Piece {
  return delimited(1, [
    ...inputs.map((input) => stringField(1, input)),
    stringField(2, output),
    stringField(3, name),
    stringField(4, op),
    ...attributes,
  ])
}

function intAttribute(name: string, value: number): Piece {
  return delimited(5, [stringField(1, name), intField(3, value), intField(20, 2)])
}

function intsAttribute(name: string, values: readonly number[]): Piece {
  return delimited(5, [stringField(1, name), ...values.map((value) => intField(8, value)), intField(20, 7)])
}

function tensor(name: string, dtype: number, dims: readonly number[], data: Piece): Piece {
  return delimited(5, [...dims.map((dim) => intField(1, dim)), intField(2, dtype), stringField(8, name), data])
}

function valueInfo(name: string, dims: readonly (number | string)[]): Piece[] {
  const shape = dims.map((dim) => delimited(1, [typeof dim === 'number' ? intField(1, dim) : stringField(2, dim)]))
  return [stringField(1, name), delimited(2, [delimited(1, [intField(1, 1), delimited(2, shape)])])]
}

const blockSize = 1 << 20
let noise: Float32Array | undefined

/** A block of seeded numbers from -1 to 1, whose parts make up all weights. */
function noiseBlock(): Float32Array {
  if (noise) return noise
  noise = new Float32Array(blockSize / 4)
  let state = 12345
  for (let i = 0; i < noise.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    noise[i] = state / 2 ** 31 - 1
  }
  return noise
}

/** Seeded weights of any size. The sequence starts at another place of the block for each tensor. */
class Noise {
  readonly byteLength: number
  readonly #bytes: Uint8Array
  readonly #start: number

  constructor(byteLength: number, seed: number, scale: number) {
    this.byteLength = byteLength
    this.#bytes = scaledBlock(scale)
    this.#start = (seed * 65_537 * 4) % blockSize
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const at = (this.#start + offset + done) % blockSize
      const part = this.#bytes.subarray(at, Math.min(blockSize, at + length - done))
      bytes.set(part, done)
      done += part.length
    }
    return bytes
  }
}

const scaledBlocks = new Map<number, Uint8Array>()

function scaledBlock(scale: number): Uint8Array {
  const known = scaledBlocks.get(scale)
  if (known) return known
  const bytes = new Uint8Array(noiseBlock().map((value) => value * scale).buffer)
  scaledBlocks.set(scale, bytes)
  return bytes
}

class Constant {
  readonly byteLength: number
  readonly #data: Uint8Array

  constructor(count: number, value: number) {
    this.byteLength = count * 4
    this.#data = new Uint8Array(new Float32Array(count).fill(value).buffer)
  }

  read(offset: number, length: number): Uint8Array {
    return this.#data.subarray(offset, offset + length)
  }
}
