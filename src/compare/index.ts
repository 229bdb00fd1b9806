/** Two models on the same data: how alike their outputs are, and how long they take. */
export type { CompareOptions, Comparison, OutputSimilarity } from './compare-models.ts'
export { Baseline, compareModels } from './compare-models.ts'
export type { Similarity } from './similarity.ts'
