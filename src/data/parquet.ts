import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import type { AsyncBuffer, FileMetaData } from 'hyparquet'
import { dataDamaged } from '../errors.ts'
import { readAt } from './cursor.ts'
import { loadPackage } from './optional.ts'
import type { NamedValues, Records } from './records.ts'

/** Most rows that are decoded at once: row groups may have a million. */
const mostRows = 64

/** The rows of a Parquet file, decoded some at a time; what no row is wanted from is not read. */
export async function parquetRecords(path: string): Promise<Records> {
  const library = await loadPackage('hyparquet', 'Parquet files', () => import('hyparquet'))
  const metadata = await withFile(path, (file) => library.parquetMetadataAsync(file))
  const compressors = await compressorsFor(metadata)
  const count = Number(metadata.num_rows)
  const rows = (rowStart: number, rowEnd: number) =>
    withFile(path, (file) => library.parquetReadObjects({ file, metadata, ...compressors, rowStart, rowEnd }))
  return {
    kind: 'parquet',
    path,
    count,
    first: count === 0 ? undefined : ((await rows(0, 1))[0] as NamedValues),
    async *read(positions) {
      for (const [start, own] of runs(positions)) {
        const records = await rows(start, (own.at(-1) as number) + 1)
        for (const position of own)
          yield { position, id: `${basename(path)}[${position}]`, record: records[position - start] as NamedValues }
      }
    },
  }
}

/** Ascending positions in stretches of at most {@link mostRows} rows. */
function* runs(positions: Iterable<number>): Generator<[start: number, own: number[]]> {
  let own: number[] = []
  for (const position of positions) {
    if (own.length > 0 && position - (own[0] as number) >= mostRows) {
      yield [own[0] as number, own]
      own = []
    }
    own.push(position)
  }
  if (own.length > 0) yield [own[0] as number, own]
}

async function withFile<T>(path: string, use: (file: AsyncBuffer) => Promise<T>): Promise<T> {
  const handle = await open(path)
  try {
    const { size: byteLength } = await handle.stat()
    const slice = async (start: number, end = byteLength) => {
      const from = start < 0 ? byteLength + start : start
      return (await readAt(handle, path, from, end - from)).buffer as ArrayBuffer
    }
    return await use({ byteLength, slice })
  } catch (error) {
    throw error instanceof Error && error.name === 'ConvertError' ? error : dataDamaged(path, (error as Error).message)
  } finally {
    await handle.close()
  }
}

/** What is built in needs no further package. */
const builtIn = new Set(['UNCOMPRESSED', 'SNAPPY'])

async function compressorsFor({ row_groups: groups }: FileMetaData) {
  const codecs = groups.flatMap(({ columns }) => columns.map((column) => column.meta_data?.codec ?? 'UNCOMPRESSED'))
  const foreign = codecs.find((codec) => !builtIn.has(codec))
  if (foreign === undefined) return {}
  const what = `Parquet files compressed with ${foreign}`
  const { compressors } = await loadPackage('hyparquet-compressors', what, () => import('hyparquet-compressors'))
  return { compressors }
}
