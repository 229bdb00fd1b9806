/** Results by what they were made of: looked up by a hash, verified, never half written. */
export { cacheFolder } from './folder.ts'
export { hashesOf, hashOfFile } from './hashes.ts'
export { keyOf } from './key.ts'
export { packageFolder } from './package.ts'
export type { Program } from './program.ts'
export { programOf } from './program.ts'
export type { Entry, EntryFacts, Pruned } from './store.ts'
export { Store } from './store.ts'
