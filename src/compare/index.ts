/** How near two models are on the same data. */
export type { CompareOptions, OutputSimilarity } from './compare-models.ts'
export { compareModels } from './compare-models.ts'
export type { Similarity } from './similarity.ts'
export { SimilarityOf } from './similarity.ts'
