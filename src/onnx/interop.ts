import type { Model } from '../ir/index.ts'
import type { OpenOptions } from './open.ts'
import { openModel } from './open.ts'
import { decodeMessage, encodeMessage } from './proto.ts'
import { modelToBytes } from './save.ts'

/** A class that decodes a model from bytes, such as `onnx.ModelProto` of the package onnx-proto. */
export interface ModelProtoClass<T extends object> {
  decode(bytes: Uint8Array): T
}

/**
 * A model from an object with the fields of `ModelProto`: one of the package onnx-proto, or a plain one. The weights are
 * copied, so the object may change afterwards. For objects that fit into memory as bytes; about 1 GiB.
 */
export function fromOnnxProto(proto: object, options: OpenOptions = {}): Model {
  return openModel(encodeMessage('ModelProto', proto), options)
}

/**
 * The model as an object with the fields of `ModelProto`: of `type`, or a plain one that every onnx-proto accepts.
 * Unknown fields of a plain one are in `$unknowns`; onnx-proto drops them, and fields newer than ONNX 1.10 too.
 */
export function toOnnxProto<T extends object = object>(model: Model, type?: ModelProtoClass<T>): T {
  const bytes = modelToBytes(model)
  return type ? type.decode(bytes) : (decodeMessage('ModelProto', bytes) as T)
}
