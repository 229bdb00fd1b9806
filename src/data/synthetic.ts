import { dataSynthetic } from '../errors.ts'
import type { Model } from '../ir/index.ts'
import { generateFeeds } from '../runtime/index.ts'
import type { Reader } from './reader.ts'
import type { DataOptions } from './source.ts'

const defaultCount = 16
const defaultLength = 32

/** Seeded inputs that no data stands behind: for trying things out, never for a model that is used. */
export function syntheticReader(model: Model, { samples = defaultCount, seed = 0, maxLength }: DataOptions): Reader {
  const length = maxLength ?? defaultLength
  const sizes = { batch: 1, other: length, past: 0 }
  return {
    kind: 'synthetic',
    count: samples,
    notes: ['the inputs are synthetic: ranges and errors measured with them say nothing about real data'],
    preparation: { length },
    files: () => [],
    async *read(positions) {
      for (const position of positions) {
        // Far apart: neighbouring seeds must not give overlapping data.
        const { feeds, refused } = generateFeeds(
          model,
          sizes,
          Math.imul(seed + 1, 0x9e3779b1) ^ (position * 0x85ebca6b),
        )
        if (feeds === undefined) throw dataSynthetic(refused)
        yield { position, id: `synthetic ${position}`, feeds }
      }
    },
  }
}
