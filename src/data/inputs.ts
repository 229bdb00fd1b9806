import { dataInputType } from '../errors.ts'
import type { Dim, DType, Model } from '../ir/index.ts'
import { dtypeName } from '../ir/index.ts'
import { rowsIndexedBy } from '../runtime/index.ts'

/** An input that has to be fed. */
export interface ModelInput {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly Dim[] | undefined
  /** How many rows the table has that the elements index; `undefined` when they are no ids. */
  readonly rows: number | undefined
}

/** The inputs a sample has to give; those with a default in the model are left to it. */
export function inputsOf(model: Model): ModelInput[] {
  return model.graph.inputs
    .filter((value) => value.initializer === undefined)
    .map((value) => {
      if (value.type?.kind !== 'tensor') throw dataInputType(value.name)
      const { dtype, shape } = value.type
      return { name: value.name, dtype, shape, rows: rowsIndexedBy(value) }
    })
}

/** `float [batch, 3, 224, 224]`. */
export function describeType(dtype: DType, shape: readonly Dim[] | undefined): string {
  const name = dtypeName(dtype) ?? `type ${dtype}`
  return shape === undefined ? name : `${name} [${shape.map((dim) => dim ?? '?').join(', ')}]`
}

/** The size of the leading axis of one sample: what the input is fixed to, or 1. */
export function batchOf({ shape }: ModelInput): number {
  const first = shape?.[0]
  return typeof first === 'number' && first > 0 ? first : 1
}
