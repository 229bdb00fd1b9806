/** Prints the most MB that a process had that runs a model so often: kernels-once FILE SHAPE MASK ADDON LIBRARY RUNS. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { InferenceSession } from 'onnxruntime-node'
import type { Mask, Shape } from './blocks.ts'
import { feedsFor, options } from './blocks.ts'

const [file = '', shape = '', mask = '', addon = '', library = '', runs = ''] = process.argv.slice(2)
if (addon !== '') createRequire(import.meta.url)(addon).load(library)
const session = await InferenceSession.create(file, options)
const feeds = feedsFor(JSON.parse(shape) as Shape, mask as Mask)
for (let i = 0; i < Number(runs); i++) await session.run(feeds)
// What the kernel says of resource usage begins with what the process was forked from.
console.log(Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024)
