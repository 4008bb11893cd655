import { SECOND } from './time.ts'

/** Told to every form of the program, from above. */
export interface Shutdown extends Disposable {
  /** A normal ending: looked at between units of work and in every sleep. Its reason is the signal's name. */
  readonly stopping: AbortSignal
  /** The deadline has passed: connections are to be destroyed, so that the server rolls back. */
  readonly abandon: AbortSignal
  /** 128 + the signal's number once one came. */
  readonly exitCode: number | undefined
}

const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const

/** After a signal: work is abandoned at the first, the process ends at the second, within the promised 8 s. */
const ABANDON_MS = 6 * SECOND
const END_MS = 7.5 * SECOND

/** Listens for SIGTERM and SIGINT until disposed. A second signal ends the process at once. */
export function listenForSignals(): Shutdown {
  const stopping = new AbortController()
  const abandon = new AbortController()
  const timers: NodeJS.Timeout[] = []
  let exitCode: number | undefined

  const hear = (signal: NodeJS.Signals): void => {
    const code = 128 + SIGNALS[signal as keyof typeof SIGNALS]
    if (exitCode !== undefined) process.exit(code)
    exitCode = code
    timers.push(setTimeout(() => abandon.abort(signal), ABANDON_MS).unref(), setTimeout(() => process.exit(code), END_MS).unref())
    stopping.abort(signal)
  }
  for (const signal of Object.keys(SIGNALS)) process.on(signal, hear)
  return {
    stopping: stopping.signal,
    abandon: abandon.signal,
    get exitCode() {
      return exitCode
    },
    [Symbol.dispose]() {
      for (const timer of timers) clearTimeout(timer)
      for (const signal of Object.keys(SIGNALS)) process.off(signal, hear)
    },
  }
}
