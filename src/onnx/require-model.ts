import { inWords } from '../check-options.ts'
import { usage } from '../errors.ts'
import { Model } from '../ir/index.ts'

/** Refuses what is no Model; throws `usage`. */
export function requireModel(value: Model): void {
  if (!(value instanceof Model))
    throw usage(`a Model is needed, not ${inWords(value)}`, 'openModel opens one from a path or from bytes.')
}
