import { entry, floats, int, len } from './proto-bytes.ts'

export const elements = 1024
export const weights = floats(Array.from({ length: elements }, (_, i) => i / 7))

const shape = len(2, len(1, int(1, 1), len(2, len(1, int(1, elements)))))

/** y = x + w, where w has 1024 floats and its data where the entries say. */
export function externalModel(entries: readonly (readonly [string, string])[], dims: number = elements): Buffer {
  const tensor = [int(1, dims), int(2, 1), len(8, 'w'), ...entries.map(([k, v]) => entry(13, k, v)), int(14, 1)]
  return addModel(len(5, ...tensor))
}

/** y = x + w, with w inside. */
export function inlineModel(data: Buffer = weights): Buffer {
  return addModel(len(5, int(1, elements), int(2, 1), len(8, 'w'), len(9, data)))
}

/** y = x + w, where w comes from a Constant node with external data. */
export function externalConstantModel(entries: readonly (readonly [string, string])[]): Buffer {
  const tensor = [int(1, elements), int(2, 1), ...entries.map(([k, v]) => entry(13, k, v)), int(14, 1)]
  return addModel(len(1, len(2, 'w'), len(4, 'Constant'), len(5, len(1, 'value'), len(5, ...tensor), int(20, 4))))
}

function addModel(weight: Buffer): Buffer {
  const add = len(1, len(1, 'x'), len(1, 'w'), len(2, 'y'), len(4, 'Add'))
  const infos = [len(11, len(1, 'x'), shape), len(12, len(1, 'y'), shape)]
  return Buffer.concat([int(1, 8), len(7, weight, add, len(2, 'g'), ...infos), len(8, len(1, ''), int(2, 17))])
}
