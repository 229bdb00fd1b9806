import type { HeadChange, SinkTarget } from './sinks.ts'
import { calibratedSink, changeOf } from './sinks.ts'
import type { CalibrationTable, SiteState } from './table.ts'

/** The rows of an attention, in all calls of the function it is in. There is one sink for all of them. */
export class SiteRows {
  readonly #calls: readonly SiteState[]

  constructor(calls: readonly SiteState[]) {
    this.#calls = calls
  }

  /** Whether a sample reached it. */
  get isSeen(): boolean {
    return this.#calls.some(({ logsumexp }) => logsumexp.some(({ rows, masked }) => rows.counts.length + masked > 0))
  }

  get heads(): number {
    return Math.max(...this.#calls.map(({ logsumexp }) => logsumexp.length))
  }

  /** The calibrated sink of every head, the lowest that any call asks for; undefined for a head without rows. */
  sinks(target: SinkTarget): (number | undefined)[] {
    return Array.from({ length: this.heads }, (_, head) => {
      const asked = this.#ofHead(head, (rows) => calibratedSink(rows, target))
      return asked.length === 0 ? undefined : Math.min(...asked)
    })
  }

  /** What a sink does to every head, in the call in which it does most; undefined for a head without rows. */
  changes(sinkOf: (head: number) => number): (HeadChange | undefined)[] {
    return Array.from({ length: this.heads }, (_, head) => {
      const changes = this.#ofHead(head, (rows) => changeOf(rows, sinkOf(head)))
      if (changes.length === 0) return undefined
      return {
        gate: Math.min(...changes.map(({ gate }) => gate)),
        changed: Math.max(...changes.map(({ changed }) => changed)),
      }
    })
  }

  #ofHead<T>(head: number, ask: (rows: SiteState['logsumexp'][number]) => T | undefined): T[] {
    return this.#calls.flatMap(({ logsumexp }) => {
      const rows = logsumexp[head]
      const answer = rows && ask(rows)
      return answer === undefined ? [] : [answer]
    })
  }
}

/** The rows of the sites of a table, by the path of a graph and the name of the output in it. */
export function rowsBySite({ sites }: CalibrationTable): (graph: string, output: string) => SiteRows | undefined {
  const calls = new Map<string, SiteState[]>()
  for (const site of sites) {
    const key = keyOf(site.graph, site.output)
    calls.set(key, [...(calls.get(key) ?? []), site])
  }
  const all = new Map(Array.from(calls, ([key, states]) => [key, new SiteRows(states)]))
  return (graph, output) => all.get(keyOf(graph, output))
}

function keyOf(graph: string, output: string): string {
  return `${graph}\n${output}`
}
