import { existsSync } from 'node:fs'
import type { DataOptions } from './data/index.ts'
import { openData } from './data/index.ts'
import { closeModel, externalFiles, openModel } from './onnx/index.ts'

/** What names the files that a result is made of, beside the model. */
export interface InputOptions {
  readonly data?: string | undefined
  readonly dataOptions?: DataOptions | undefined
  readonly calibration?: string | undefined
  /** Also the path of a quantized model whose choices are made again. */
  readonly recipe?: string | undefined
}

export interface InputFiles {
  readonly files: string[]
  /** Whether nothing else decides the result: a module that gives samples may read anything. */
  readonly complete: boolean
}

/** The files a result is made of: the model, its external data, the data samples are read from, the table. */
export async function inputFiles(
  path: string,
  { data, dataOptions, calibration, recipe }: InputOptions,
): Promise<InputFiles> {
  const model = openModel(path)
  try {
    const samples = data === undefined ? undefined : await openData(data, model, dataOptions)
    const named = [calibration, recipe].filter((file) => file !== undefined && existsSync(file)) as string[]
    const files = [...new Set([path, ...externalFiles(model), ...(samples?.files ?? []), ...named])]
    return { files, complete: samples?.manifest.kind !== 'module' }
  } finally {
    closeModel(model)
  }
}
