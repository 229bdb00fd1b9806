import { OwnedPayload, Tensor } from '../ir/index.ts'
import type { Feeds } from '../runtime/index.ts'
import type { ModelInput } from './inputs.ts'

/** The input that says which positions count, and the inputs that have the same positions along their second axis. */
export interface Padded {
  readonly mask: string
  readonly inputs: readonly string[]
}

/**
 * The inputs that a sample may be shortened in, where the model has an attention mask of `[batch, positions]` whose length
 * is open: those with an axis of the same name, or of no name at all, in the same place.
 */
export function paddedInputs(inputs: readonly ModelInput[]): Padded | undefined {
  const mask = inputs.find(({ name, shape }) => /(^|[._/])attention_mask$/.test(name) && shape?.length === 2)
  const length = mask?.shape?.[1]
  if (!mask || typeof length === 'number') return undefined
  const same = inputs.filter(({ shape }) => shape !== undefined && shape.length >= 2 && shape[1] === length)
  // Where the length has a name, it must not count anything else.
  const elsewhere = inputs.some(({ shape }) => shape?.some((dim, i) => i !== 1 && dim !== undefined && dim === length))
  return elsewhere ? undefined : { mask: mask.name, inputs: same.map(({ name }) => name) }
}

/**
 * A sample without the positions behind the last one that its mask counts.
 *
 * A model computes something for padding too, which nobody ever reads: it must not widen ranges or move means.
 */
export function withoutPadding(feeds: Feeds, { mask, inputs }: Padded): Feeds {
  const counted = feeds[mask]?.toNumbers(1 << 24)
  const [batch, length] = feeds[mask]?.dims ?? []
  if (!counted || batch !== 1 || length === undefined) return feeds
  const last = counted.findLastIndex((x) => x !== 0) + 1
  if (last === 0 || last === length) return feeds
  const fits = inputs.every((name) => feeds[name]?.dims[0] === 1 && feeds[name]?.dims[1] === length)
  if (!fits) return feeds
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => [name, inputs.includes(name) ? shortened(tensor, last) : tensor]),
  )
}

/** The first positions of a tensor of `[1, positions, …]`. */
function shortened(tensor: Tensor, length: number): Tensor {
  const { dtype, dims, name, payload } = tensor
  if (!payload) return tensor
  const bytes = (payload.byteLength / (dims[1] as number)) * length
  const part = new OwnedPayload(payload.read(0, bytes))
  return new Tensor({ dtype, dims: [1, length, ...dims.slice(2)], name, payload: part })
}
