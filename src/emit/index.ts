export { placeText } from '../onnx/write/temporary.ts'
export { checkDump, dumpInto } from './dump.ts'
export { checkOutput, defaultOutput } from './output.ts'
export { writeNote, writeText } from './write-text.ts'
