import { SECOND } from './time/clock.ts'

/** Passed to every command from above. */
export interface Shutdown extends Disposable {
  /** The program should end normally: checked between units of work and in every sleep. Its reason is the signal's name. */
  readonly stopping: AbortSignal
  /** The deadline has passed: connections are destroyed, so that the server rolls back. */
  readonly abandon: AbortSignal
  /** 128 + the signal's number, once there was a signal. */
  readonly exitCode: number | undefined
}

const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const

/** After a signal, work is abandoned at the first of these times, and the process ends at the second, within the promised 8 s. */
const ABANDON_MS = 6 * SECOND
const END_MS = 7.5 * SECOND

/** Listens for SIGTERM and SIGINT until disposed. A second signal ends the process at once. */
export function listenForSignals(): Shutdown {
  const stopping = new AbortController()
  const abandon = new AbortController()
  let abandoning: NodeJS.Timeout | undefined
  let exitCode: number | undefined

  const onSignal = (signal: NodeJS.Signals): void => {
    const code = 128 + SIGNALS[signal as keyof typeof SIGNALS]
    if (exitCode !== undefined) end(signal, code, onSignal)
    exitCode = code
    abandoning = setTimeout(() => abandon.abort(signal), ABANDON_MS).unref()
    setTimeout(() => end(signal, code, onSignal), END_MS).unref()
    stopping.abort(signal)
  }
  for (const signal of Object.keys(SIGNALS)) process.on(signal, onSignal)
  return {
    stopping: stopping.signal,
    abandon: abandon.signal,
    get exitCode() {
      return exitCode
    },
    [Symbol.dispose]() {
      // The other deadline stays, because something that hangs may still keep the process from ending.
      clearTimeout(abandoning)
      for (const signal of Object.keys(SIGNALS)) process.off(signal, onSignal)
    },
  }
}

/** Requests that occupy one of Node's threads, such as a read from a file server that no longer answers. */
const HANGING = /^(?:FSReq|GetAddrInfo|GetNameInfo)/

/**
 * Ends the process at once. `exit` waits for Node's threads, for ever if one of them hangs; then the signal itself must end the process. The first process
 * of a container ignores its own signals, so it can only abort.
 */
function end(signal: NodeJS.Signals, code: number, onSignal: NodeJS.SignalsListener): void {
  if (process.getActiveResourcesInfo().some((name) => HANGING.test(name))) {
    process.off(signal, onSignal)
    process.kill(process.pid, signal)
    process.abort()
  }
  process.exit(process.exitCode ?? code)
}
