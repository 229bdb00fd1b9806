export { placeText } from '../onnx/write/temporary.ts'
export { checkDump, dumpInto } from './dump.ts'
export { checkOutput, defaultOutput } from './output.ts'
export { writeText } from './write-text.ts'
