import { accessSync, constants, statSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'
import { outputIsInput, outputNotWritable } from '../errors.ts'
import { checkPlace, statOf } from '../onnx/index.ts'

/** Where the conversion of `input` goes when nothing else is said: `NAME.outeffhop.onnx` beside `NAME.onnx`. */
export function defaultOutput(input: string, extension = '.onnx'): string {
  return join(dirname(input), `${basename(input, extname(input))}.outeffhop${extension}`)
}

/**
 * Refuses an output that could not be written, before any work is done: the input itself, an existing file without
 * `overwrite`, a folder, a pipe or device, a folder that is missing or read-only.
 */
export function checkOutput(output: string, input: string | undefined, overwrite: boolean): void {
  if (input !== undefined && statOf(output) && isSameFile(input, output)) throw outputIsInput(output)
  checkPlace(output, overwrite)
  try {
    accessSync(dirname(output), constants.W_OK)
  } catch (error) {
    throw outputNotWritable(output, error)
  }
}

/** Also true for links to one file. */
function isSameFile(a: string, b: string): boolean {
  const [first, second] = [statSync(a, { throwIfNoEntry: false, bigint: true }), statSync(b, { bigint: true })]
  return first !== undefined && first.dev === second.dev && first.ino === second.ino
}
