import { DerivedPayload, Tensor } from '../../ir/index.ts'
import type { Field } from '../../wire/index.ts'
import type { Document } from '../document.ts'
export function readSparse(document: Document, field: Field): Tensor {
  throw new Error(`sparse ${document} ${field} ${DerivedPayload}`)
}
