/** What a command line program touches of its surroundings, so that tests can stand in for it. */
export interface World {
  /** Results. */
  readonly stdout: Output
  /** Progress, warnings and errors. */
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  /** Milliseconds of a clock that only goes forward. */
  now(): number
  /** Milliseconds since 1970. */
  date(): number
  /** Calls `listener` at the first Ctrl-C (or termination signal, or when the terminal is closed), and returns how to stop listening. */
  onInterrupt(listener: () => void): () => void
}

export interface Output {
  write(text: string): void
  readonly isTTY: boolean
  readonly columns: number | undefined
}

/** The real thing. A reader that goes away (`… | head`, a terminal that is closed) is no error. */
export function processWorld(): World {
  return {
    stdout: output(process.stdout),
    stderr: output(process.stderr),
    env: process.env,
    now: () => performance.now(),
    date: Date.now,
    onInterrupt,
  }
}

function output(stream: NodeJS.WriteStream): Output {
  let open = true
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error
    open = false
  })
  return {
    write(text) {
      if (open) stream.write(text)
    },
    isTTY: stream.isTTY === true,
    columns: stream.columns,
  }
}

/** After the second signal the program has half a second to take away what it was writing: it may hang in what it waits for. */
function onInterrupt(listener: () => void): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  let asked = false
  const handle = () => {
    if (asked) setTimeout(() => process.exit(130), 500).unref()
    asked = true
    listener()
  }
  for (const signal of signals) process.on(signal, handle)
  return () => {
    for (const signal of signals) process.off(signal, handle)
  }
}
