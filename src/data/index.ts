export type { ImageOptions } from './image-recipe.ts'
export { openData } from './open.ts'
export type {
  DataFile,
  DataKind,
  DataManifest,
  DataOptions,
  DataSource,
  Sample,
  Shard,
  SkippedSample,
} from './source.ts'
