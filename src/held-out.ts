import type { DataSource, Sample } from './data/index.ts'

/** Data for calibration, and data it never sees. */
export interface SplitData {
  readonly calibration: DataSource
  readonly heldOut: DataSource
}

/** One sample in so many is kept back, up to a number that costs no time. */
const every = 8
const most = 16

/** Keeps every eighth sample back, 16 at most; where there are fewer than eight, the last. A single one serves for both. */
export function split(source: DataSource): SplitData {
  const { size } = source
  const count = Math.min(most, Math.max(1, Math.floor(size / every)))
  const stride = Math.floor(size / count)
  const isHeldOut = (position: number) => position % stride === stride - 1 && Math.floor(position / stride) < count
  if (size < 2) return { calibration: source, heldOut: source }
  return {
    calibration: part(source, size - count, (position) => !isHeldOut(position)),
    heldOut: part(source, count, isHeldOut),
  }
}

/** At most so many samples, evenly spread. */
export function evenly(source: DataSource, count: number): DataSource {
  const { size } = source
  if (size <= count) return source
  const edge = (position: number) => Math.floor((position * count) / size)
  return part(source, count, (position) => edge(position + 1) > edge(position))
}

function part(source: DataSource, size: number, takes: (position: number) => boolean): DataSource {
  return {
    manifest: source.manifest,
    files: source.files,
    notes: source.notes,
    size,
    get skipped() {
      return source.skipped
    },
    async *samples(): AsyncGenerator<Sample> {
      let position = 0
      for await (const sample of source.samples()) if (takes(position++)) yield sample
    },
  }
}
