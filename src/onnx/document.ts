import { dirname } from 'node:path'
import type { Model, Node } from '../ir/index.ts'
import type { Budget, Fields, FileSource, Source } from '../wire/index.ts'
import { openLocation } from './data/location.ts'

/** Most files with external data that are open at once; exporters may write one for each weight. */
const openFiles = 32

/** What the reader knows about the file of a model: the origin of a `Model`. */
export class Document {
  readonly source: Source
  readonly budget: Budget
  /** The fields of the model message. */
  readonly fields: Fields
  /** Where external data is looked for, when not beside the model. */
  readonly folder: string | undefined
  readonly #strictLinks: boolean
  /** The model's own fields as they were read, to see what changed. */
  header = { irVersion: 0, producerName: '', producerVersion: '', docString: '' }
  /** Nodes with an attribute whose tensor has external data. */
  readonly externalNodes: Node[] = []
  readonly #locations = new Set<string>()
  readonly #files = new Map<string, FileSource>()
  /** Strings that occur again and again (operators, domains), one object each. */
  readonly #interned = new Map<string, string>()

  constructor(fields: Fields, options: { folder?: string | undefined; strictLinks?: boolean | undefined } = {}) {
    this.source = fields.source
    this.budget = fields.budget
    this.fields = fields
    this.folder = options.folder
    this.#strictLinks = options.strictLinks ?? false
  }

  /** The file a location names, opened once. Throws a typed error when it is missing or must not be read. */
  externalFile(tensor: string, location: string): FileSource {
    const known = this.#files.get(location)
    if (known) return known
    const file = openLocation(tensor, location, this.source.path, this.folder, this.#strictLinks)
    const open = [...this.#files.values()].filter((other) => other.isOpen)
    if (open.length >= openFiles) open[0]?.release()
    this.#files.set(location, file)
    return file
  }

  /** The folder that locations are relative to; `undefined` for a model of bytes that was given none. */
  get home(): string | undefined {
    return this.folder ?? (this.source.path === undefined ? undefined : dirname(this.source.path))
  }

  /** Locations of external data, as the model has them: those of attributes are found when the attributes are read. */
  get locations(): ReadonlySet<string> {
    for (const node of this.externalNodes) void node.attributes
    return this.#locations
  }

  addLocation(location: string): void {
    this.#locations.add(location)
  }

  close(): void {
    for (const source of [this.source, ...this.#files.values()]) source.close()
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
