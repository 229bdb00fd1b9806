export type { ParseOptions } from './parse.ts'
export { parseModel } from './parse.ts'
export type { PrintOptions } from './print.ts'
export { printGraph, printModel, printNode } from './print.ts'
