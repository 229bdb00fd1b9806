import type { World } from '../../src/cli/world.ts'

/** A world that remembers what was written to it. Its clock stands unless `clock` is given. */
export interface RecordedWorld extends World {
  readonly out: () => string
  readonly err: () => string
  /** What Ctrl-C does. */
  interrupt(): void
}

export interface WorldSettings {
  readonly env?: Record<string, string>
  readonly isTTY?: boolean
  readonly clock?: () => number
  readonly date?: () => number
}

export function recordedWorld({
  env = {},
  isTTY = false,
  clock = () => 0,
  date = Date.now,
}: WorldSettings = {}): RecordedWorld {
  let out = ''
  let err = ''
  const listeners = new Set<() => void>()
  return {
    stdout: {
      isTTY,
      columns: 80,
      write(text) {
        out += text
      },
    },
    stderr: {
      isTTY,
      columns: 80,
      write(text) {
        err += text
      },
    },
    env,
    now: clock,
    date,
    onInterrupt(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    interrupt: () => {
      for (const listener of listeners) listener()
    },
    out: () => out,
    err: () => err,
  }
}
