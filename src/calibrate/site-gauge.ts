import type { Heads, Site } from '../attention/index.ts'
import type { Value } from '../ir/index.ts'
import { dtypes } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { removeDead, SharedValues } from '../rewrite/index.ts'
import { bringOut, closedIn, opsAtEnd } from './outlets.ts'
import { rowsOf } from './rows.ts'
import type { SiteName } from './table.ts'

/**
 * A site, in one of the calls of its function where it is in one. Its part of the vector: for every time it ran, the rank and
 * the sizes of the rows, then L of every row; then -1. It has none where it is unobserved.
 */
export interface WatchedSite extends SiteName {
  readonly node: string
  readonly heads: Heads | undefined
  /** Why no rows are there: goes on a sentence that begins with the name of the site. */
  readonly unobserved: string | undefined
}

/** Where a rank would stand in the part of a site: there are no more runs of it. */
export const endOfSite = -1

/** Builds what observes the rows of attention, in the graphs it is in, and brings it to the main graph. */
export class SiteGauge {
  readonly #facts: Facts
  readonly #shared = new SharedValues()
  readonly #parts = new Map<WatchedSite, Value>()
  readonly #unread: Value[] = []
  /** How many sites have a name. */
  readonly #names = new Map<string, number>()

  constructor(sites: readonly Site[], facts: Facts) {
    this.#facts = facts
    for (const site of sites) this.#names.set(nameOf(site), (this.#names.get(nameOf(site)) ?? 0) + 1)
  }

  /** One entry for each way of calls that leads to the site. */
  watch(site: Site): WatchedSite[] {
    const watched = { graph: site.graphPath, node: site.node.label, output: site.output.name }
    const rows = this.#problemOf(site) ?? rowsOf(site, this.#facts, this.#shared)
    if (typeof rows === 'string') return [{ ...watched, call: '', heads: undefined, unobserved: rows }]
    this.#unread.push(...rows.unread)
    return bringOut(this.#part(rows.l), this.#facts).map(({ value, calls }) => {
      const call = calls.map(({ label }) => label).join(' > ')
      const entry = { ...watched, call, heads: rows.heads, unobserved: undefined }
      this.#parts.set(entry, value)
      return entry
    })
  }

  partOf(site: WatchedSite): Value | undefined {
    return this.#parts.get(site)
  }

  /** Takes away what was built and is not needed; what several sites share is known only at the end. */
  finish(): void {
    removeDead(this.#unread.flatMap(({ producer }) => producer ?? []))
  }

  #problemOf(site: Site): string | undefined {
    if ((this.#names.get(nameOf(site)) ?? 0) > 1) return 'has the same name as another one'
    return closedIn(site.graph, this.#facts)
  }

  /** Rank, sizes and L of all rows, as one vector. */
  #part(l: Value): Value {
    const op = opsAtEnd(l.graph)
    const shape = op.Shape(l)
    return op.Concat([op.Cast(op.Concat([op.Shape(shape), shape], 0), dtypes.float), op.Reshape(l, op.ints([-1]))], 0)
  }
}

function nameOf({ graphPath, output }: Site): string {
  return `${graphPath}\n${output.name}`
}
