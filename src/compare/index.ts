/** Two models on the same data: how alike their outputs are, and how long they take. */
export type { Quality } from './quality.ts'
export { compareModels } from './quality.ts'
