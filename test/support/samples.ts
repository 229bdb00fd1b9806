import type { DataSource, Shard } from '../../src/data/index.ts'
import { dtypes, Tensor } from '../../src/ir/index.ts'
import { OwnedPayload } from '../../src/ir/tensor.ts'
import type { Feeds } from '../../src/runtime/index.ts'
import { readNpz } from './npz.ts'

/** A data source of feeds in memory, or of a part of them. */
export function samplesOf(feeds: readonly Feeds[], shard: Shard | null = null, hash = 'a'): DataSource {
  const edge = (i: number) => Math.floor((i * feeds.length) / (shard?.count ?? 1))
  const [start, end] = shard === null ? [0, feeds.length] : [edge(shard.index - 1), edge(shard.index)]
  return {
    manifest: {
      kind: 'module',
      files: [],
      count: feeds.length,
      selection: { samples: feeds.length, seed: null, shard },
      preparation: {},
      synthetic: false,
      hash,
    },
    files: [],
    notes: [],
    size: end - start,
    skipped: [],
    async *samples() {
      for (let index = start; index < end; index++) yield { id: `#${index}`, index, feeds: feeds[index] as Feeds }
    },
  }
}

/** The inputs an export was stored with, in samples of some rows. */
export function feedsOfExport(path: string, batch = 1): Feeds[] {
  const inputs = [...readNpz(path)].filter(([name]) => name.startsWith('in.'))
  const rows = (inputs[0]?.[1].dims[0] ?? 0) / batch
  return Array.from({ length: rows }, (_, row) =>
    Object.fromEntries(
      inputs.map(([name, { type, dims, data }]) => {
        const size = data.length / rows
        const bytes = new Uint8Array(data.slice(row * size, (row + 1) * size).buffer)
        const dtype = type === 'float32' ? dtypes.float : dtypes[type as keyof typeof dtypes]
        return [name.slice(3), new Tensor({ dtype, dims: [batch, ...dims.slice(1)], payload: new OwnedPayload(bytes) })]
      }),
    ),
  )
}
