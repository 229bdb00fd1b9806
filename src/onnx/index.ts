export { parseModel, printModel } from './text/index.ts'
export { closeModel, modelToBytes, openModel } from './thin.ts'
