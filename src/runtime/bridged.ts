import { createRequire } from 'node:module'

/** The addon that loads operators into onnxruntime-node, and the library that has them. */
export interface Bridge {
  readonly bridge: string
  readonly library: string
}

/**
 * The arguments of a Node that runs a model with the operators of a library, in a process of its own: it fails unless output
 * `y` is what is wanted. Inputs are the other names; all are one number, [1, 1, 1, 1].
 */
export function bridgedRun({ bridge, library }: Bridge, model: Uint8Array, numbers: Record<string, number>): string[] {
  const runtime = createRequire(import.meta.url).resolve('onnxruntime-node')
  return ['-e', program, bridge, library, runtime, Buffer.from(model).toString('base64'), JSON.stringify(numbers)]
}

const program = `
const [bridge, library, runtime, model, numbers] = process.argv.slice(1)
const ort = require(runtime)
require(bridge).load(library)
const { y: wanted, ...inputs } = JSON.parse(numbers)
const tensor = ([name, x]) => [name, new ort.Tensor('float32', [x], [1, 1, 1, 1])]
void (async () => {
  const session = await ort.InferenceSession.create(Buffer.from(model, 'base64'), { logSeverityLevel: 3 })
  const { y } = await session.run(Object.fromEntries(Object.entries(inputs).map(tensor)))
  if (y.data[0] !== wanted) throw new Error('the result is ' + y.data[0] + ' and not ' + wanted)
})().catch((error) => { console.error(error.message); process.exitCode = 1 })
`
