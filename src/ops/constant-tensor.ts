import type { Value } from '../ir/index.ts'
import { dtypes, Tensor } from '../ir/index.ts'

/**
 * The data of a constant of any size: an initializer that no caller can override, or what a Constant node holds.
 * `undefined` for everything else, a sparse or a string constant included.
 */
export function constantTensor(value: Value | undefined): Tensor | undefined {
  if (!value) return undefined
  if (value.initializer) return isOverridable(value) ? undefined : numeric(value.initializer)
  const node = value.producer
  if (node?.op !== 'Constant') return undefined
  const { attributes } = node
  const tensor = attributes.get('value')
  if (tensor?.kind === 'tensor') return numeric(tensor.value)
  const float = attributes.get('value_float')
  if (float?.kind === 'float') return Tensor.scalar(dtypes.float, float.value)
  const floats = attributes.get('value_floats')
  return floats?.kind === 'floats' ? Tensor.of(dtypes.float, [floats.value.length], floats.value) : undefined
}

function numeric(tensor: Tensor): Tensor | undefined {
  return tensor.payload === undefined || tensor.expectedBytes === undefined ? undefined : tensor
}

/** From IR version 4 on an initializer that is an input too is only its default. */
function isOverridable(value: Value): boolean {
  return value.isInput && (value.graph.model?.irVersion ?? 0) >= 4
}
