/** Data as callers of the library open it: their options are checked, too. */

import { checkOptions } from './check-options.ts'
import type { DataOptions, DataSource } from './data/index.ts'
import { openData as open } from './data/index.ts'
import type { Model } from './ir/index.ts'
import { dataKinds } from './option-kinds.ts'

/**
 * Opens the samples that `spec` names (a file, a folder or a module; nothing with `synthetic`) for a model, and checks names,
 * types and shapes: `for await (const { id, feeds } of source.samples())`.
 *
 * Throws a `ConvertError` of kind `data` with every mismatch in one table when they do not fit.
 */
export async function openData(spec: string | undefined, model: Model, options: DataOptions = {}): Promise<DataSource> {
  checkOptions(options, dataKinds)
  return open(spec, model, options)
}
