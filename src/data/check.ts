import type { ConvertError, DataMismatch } from '../errors.ts'
import { dataDtype, dataInputMissing, dataMismatch, dataShape } from '../errors.ts'
import type { Dim, DType, Tensor } from '../ir/index.ts'
import { dtypeName, dtypes, isFloat } from '../ir/index.ts'
import type { ModelInput } from './inputs.ts'
import { describeType } from './inputs.ts'

/** What the data has under one name. */
export interface Column {
  readonly name: string
  readonly dtype: DType
  /** Of one sample. */
  readonly shape: readonly Dim[]
}

/** Every way in which columns do not fit the inputs; a row of the table each. */
export function mismatches(inputs: readonly ModelInput[], columns: readonly Column[]): DataMismatch[] {
  const given = new Map(columns.map((column) => [column.name, column]))
  const sizes = new Map<string, number>()
  return inputs.flatMap((input) => {
    const column = given.get(input.name)
    return column === undefined ? [missing(input, inputs, columns)] : unlike(input, column, sizes)
  })
}

/** The error for a table: of one sort where all rows are. */
export function mismatchError(from: string, rows: readonly DataMismatch[]): ConvertError {
  const sorts = new Set(rows.map((row) => row.sort))
  if (sorts.size > 1) return dataMismatch(from, rows)
  if (sorts.has('missing')) return dataInputMissing(from, rows)
  if (sorts.has('dtype')) return dataDtype(from, rows)
  return sorts.has('shape') ? dataShape(from, rows) : dataMismatch(from, rows)
}

function missing(input: ModelInput, inputs: readonly ModelInput[], columns: readonly Column[]): DataMismatch {
  const taken = new Set(inputs.map(({ name }) => name))
  const spare = columns.filter(({ name }) => !taken.has(name)).map(({ name }) => `"${name}"`)
  const advice = spare.length === 0 ? '' : `no input takes ${spare.slice(0, 4).join(', ')}`
  return { ...wanted(input), sort: 'missing', given: 'nothing', advice }
}

function unlike(input: ModelInput, column: Column, sizes: Map<string, number>): DataMismatch[] {
  const row = { ...wanted(input), given: describeType(column.dtype, column.shape) }
  const found: DataMismatch[] = []
  if (column.dtype !== input.dtype) {
    found.push({ ...row, sort: 'dtype', advice: `write it as ${numpyName(input.dtype)}` })
  }
  const shape = shapeProblem(input.shape, column.shape, sizes)
  if (shape !== undefined) found.push({ ...row, sort: 'shape', advice: shape })
  return found
}

function wanted({ name, dtype, shape }: ModelInput) {
  return { input: name, wanted: describeType(dtype, shape) }
}

function shapeProblem(
  wants: readonly Dim[] | undefined,
  has: readonly Dim[],
  sizes: Map<string, number>,
): string | undefined {
  if (wants === undefined) return undefined
  if (wants.length !== has.length) return `${has.length} axes instead of ${wants.length}`
  for (const [axis, want] of wants.entries()) {
    const size = has[axis]
    if (typeof size !== 'number') continue
    if (typeof want === 'number' && want >= 0 && size !== want) return `axis ${axis} is ${size} instead of ${want}`
    if (typeof want !== 'string' || !/^[A-Za-z_][\w.]*$/.test(want)) continue
    const known = sizes.get(want)
    if (known !== undefined && known !== size) return `"${want}" is ${size} here and ${known} in another input`
    sizes.set(want, size)
  }
  return undefined
}

const numpyNames: Readonly<Record<string, string>> = { float: 'float32', double: 'float64' }

/** The name a Python user knows the type by. */
function numpyName(dtype: DType): string {
  const name = dtypeName(dtype) ?? `type ${dtype}`
  return numpyNames[name] ?? name
}

/** Why the elements of a sample cannot be used. */
export interface ValueProblem {
  readonly sort: 'not-finite' | 'out-of-range'
  readonly reason: string
}

/** NaN and infinities in floats, ids outside of the table they index. */
export function valueProblem(input: ModelInput, tensor: Tensor): ValueProblem | undefined {
  if (tensor.payload === undefined) return undefined
  if (isFloat(tensor.dtype)) {
    const bad = firstNotFinite(tensor.dtype, tensor.payload.read(0, tensor.payload.byteLength))
    return bad && { sort: 'not-finite', reason: `element ${bad.at} of input "${input.name}" is ${bad.what}` }
  }
  if (input.rows === undefined || (tensor.dtype !== dtypes.int64 && tensor.dtype !== dtypes.int32)) return undefined
  const { rows } = input
  const id = tensor.toNumbers(tensor.size).find((element) => element >= rows || element < -rows)
  if (id === undefined) return undefined
  const reason = `input "${input.name}" has the id ${id}, and its table ${rows} rows`
  return { sort: 'out-of-range', reason }
}

/** Exponent bits all set: neither NaN nor infinity is told apart from numbers in any other way. */
function firstNotFinite(dtype: DType, bytes: Uint8Array): { at: number; what: string } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const [step, offset, mask] =
    dtype === dtypes.double ? [8, 6, 0x7ff0] : dtype === dtypes.float ? [4, 2, 0x7f80] : [2, 0, halfMask(dtype)]
  for (let at = offset; at < bytes.length; at += step) {
    if ((view.getUint16(at, true) & mask) !== mask) continue
    const element = (at - offset) / step
    return { at: element, what: isInfinite(view, at, mask, offset) ? 'infinite' : 'NaN' }
  }
  return undefined
}

function halfMask(dtype: DType): number {
  return dtype === dtypes.bfloat16 ? 0x7f80 : 0x7c00
}

function isInfinite(view: DataView, at: number, mask: number, offset: number): boolean {
  if ((view.getUint16(at, true) & 0x7fff) !== mask) return false
  for (let i = 1; i <= offset; i++) if (view.getUint8(at - i) !== 0) return false
  return true
}
