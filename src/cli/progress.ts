import type { Output } from './world.ts'

/** Work shorter than this is not announced. */
const patience = 1000
const redraw = 100
const reprint = 10_000

export interface Progress {
  /** `detail` is said behind the time. */
  update(phase: string, done: number, total: number, detail?: string): void
  /** Clears the line. */
  end(): void
}

/**
 * Progress on stderr, from the first second on: one line that is redrawn on a terminal; elsewhere a line a phase and one
 * every ten seconds.
 */
export function progressOn(output: Output, now: () => number): Progress {
  const start = now()
  let shown = Number.NEGATIVE_INFINITY
  let phaseShown = ''
  let drawn = false
  return {
    update(phase, done, total, detail) {
      const time = now()
      const wait = output.isTTY ? redraw : phase === phaseShown ? reprint : 0
      if (time - start < patience || time - shown < wait) return
      shown = time
      phaseShown = phase
      const percent = total > 1 ? ` ${Math.floor((100 * done) / total)}%` : ''
      const line = `${phase}…${percent} ${((time - start) / 1000).toFixed(0)} s${detail === undefined ? '' : `, ${detail}`}`
      if (output.isTTY) output.write(`\r\u001b[K${line}`)
      else output.write(`${line}\n`)
      drawn = output.isTTY
    },
    end() {
      if (drawn) output.write('\r\u001b[K')
      drawn = false
    },
  }
}
