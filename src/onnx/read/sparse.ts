import { dataSize, malformed } from '../../errors.ts'
import type { Payload } from '../../ir/index.ts'
import { bitsOf, DerivedPayload, dtypes, Tensor } from '../../ir/index.ts'
import type { Field } from '../../wire/index.ts'
import { place } from '../../wire/index.ts'
import { elementCount } from '../data/range.ts'
import type { Document } from '../document.ts'
import { schema } from '../schema.ts'
import { integersAt } from './numbers.ts'
import { isBytes, refuseSecond } from './scalars.ts'
import { readTensor } from './tensor.ts'

const S = schema.SparseTensor

/** Reads a sparse initializer. Its zeros are filled in while somebody reads its data. */
export function readSparse(document: Document, field: Field): Tensor {
  const fields = field.inside()
  const dims: number[] = []
  let values: Tensor | undefined
  let indices: Tensor | undefined
  for (let i = 0; i < fields.count; i++) {
    const part = fields.field(i)
    const scan = part.at()
    if (isBytes(scan, S.values)) {
      refuseSecond(values, 'list of values', scan)
      values = readTensor(document, part)
    } else if (isBytes(scan, S.indices)) {
      refuseSecond(indices, 'list of indices', scan)
      indices = readTensor(document, part)
    } else if (scan.number === S.dims) integersAt(scan, (low, high) => dims.push(high * 2 ** 32 + low))
  }
  const width = (bitsOf(values?.dtype ?? 0) ?? 0) / 8
  if (!values?.payload || !indices?.payload || indices.dtype !== dtypes.int64 || width < 1) {
    throw malformed(
      `a sparse tensor without values or indices at byte ${field.start}`,
      place(field.source, field.start),
    )
  }
  const head = { name: values.name, dtype: values.dtype, dims }
  const dense = new Dense(values, values.payload, indices, dims, width, field)
  const payload = new DerivedPayload(elementCount(head) * width, (offset, length) => dense.read(offset, length))
  return new Tensor({ ...head, payload })
}

/** The dense layout of a sparse tensor. */
class Dense {
  readonly #values: Payload
  readonly #count: number
  readonly #indices: Tensor
  readonly #dims: readonly number[]
  readonly #width: number
  readonly #field: Field
  #positions: Float64Array | undefined

  constructor(tensor: Tensor, values: Payload, indices: Tensor, dims: readonly number[], width: number, field: Field) {
    this.#values = values
    this.#count = tensor.size
    this.#indices = indices
    this.#dims = dims
    this.#width = width
    this.#field = field
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    const width = this.#width
    for (const [i, position] of this.#linear().entries()) {
      const start = position * width - offset
      if (start <= -width || start >= length) continue
      const value = this.#values.read(i * width, width)
      for (let b = 0; b < width; b++) if (start + b >= 0 && start + b < length) bytes[start + b] = value[b] as number
    }
    return bytes
  }

  /** Element positions in row-major order; indices are given like that, or one for each axis. */
  #linear(): Float64Array {
    if (this.#positions) return this.#positions
    const raw = this.#indices.payload?.read(0, this.#indices.payload.byteLength) ?? new Uint8Array()
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
    const index = (i: number) => Number(view.getBigInt64(i * 8, true))
    const perAxis = this.#indices.dims.length === 2
    const axes = perAxis ? this.#dims.length : 1
    if (raw.length !== this.#count * axes * 8) {
      throw dataSize(this.#indices.name, raw.length, this.#count * axes * 8, this.#place())
    }
    const size = this.#dims.reduce((count, dim) => count * dim, 1)
    this.#positions = Float64Array.from({ length: this.#count }, (_, i) => {
      let position = perAxis ? 0 : index(i)
      for (let a = 0; perAxis && a < axes; a++) position = position * (this.#dims[a] as number) + index(i * axes + a)
      if (position < 0 || position >= size)
        throw malformed('an index of a sparse tensor is out of range', this.#place())
      return position
    })
    return this.#positions
  }

  #place() {
    return place(this.#field.source, this.#field.start)
  }
}
