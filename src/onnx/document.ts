import type { Model } from '../ir/index.ts'
import type { Budget, Field, Fields, Source } from '../wire/index.ts'
import type { Head, RangePayload } from './data/range.ts'

/** What the reader knows about the file of a model: the origin of a `Model`. */
export class Document {
  readonly source: Source
  readonly budget: Budget
  /** The fields of the model message. */
  readonly fields: Fields
  /** The model's own fields as they were read, to see what changed. */
  header = { irVersion: 0, producerName: '', producerVersion: '', docString: '' }
  /** Strings that occur again and again (operators, domains), one object each. */
  readonly #interned = new Map<string, string>()

  constructor(source: Source, budget: Budget, fields: Fields) {
    this.source = source
    this.budget = budget
    this.fields = fields
  }

  external(_entries: ReadonlyMap<string, string>, _head: Head, field: Field): RangePayload {
    throw new Error(`external data is not there yet ${field.start}`)
  }

  intern(text: string): string {
    const known = this.#interned.get(text)
    if (known !== undefined) return known
    this.#interned.set(text, text)
    return text
  }
}

/** The file a model was read from; `undefined` when it was built in memory. */
export function documentOf(model: Model): Document | undefined {
  return model.origin instanceof Document ? model.origin : undefined
}
