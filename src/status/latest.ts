import type { Clock } from '../time/clock.ts'
import type { Status } from './read-status.ts'

/** The status as last read, for callers that ask often and must not wait. */
export interface LatestStatus {
  /** Call when something has happened since the last reading. */
  outdate(): void
  /**
   * A status that is not outdated and at most `freshMs` old. Otherwise it is read again, once for all callers that wait. If that takes longer than `waitMs`,
   * returns the previous one, which may be `undefined`, with `current` false. Rejects only with unexpected errors.
   */
  within(patience: Patience): Promise<Known>
}

export interface Patience {
  readonly freshMs: number
  readonly waitMs: number
  /** From this age on the status is still returned, while the next one is read in the background. */
  readonly renewMs?: number
}

export interface Known {
  readonly status: Status | undefined
  readonly current: boolean
}

/** `read` is handed the status before, where there is one. */
export function latestStatus(read: (before: Status | undefined) => Promise<Status>, clock: Clock): LatestStatus {
  let last: { readonly status: Status; readonly atMs: number } | undefined
  let outdated = false
  let reading: Promise<void> | undefined

  const readOnce = async (): Promise<void> => {
    outdated = false
    const atMs = clock.monotonicMs()
    last = { status: await read(last?.status), atMs }
  }
  const readAnew = (): Promise<void> => (reading ??= readOnce().finally(() => (reading = undefined)))
  return {
    outdate: () => (outdated = true),
    async within({ freshMs, waitMs, renewMs = freshMs }) {
      const ageMs = last === undefined || outdated ? Infinity : clock.monotonicMs() - last.atMs
      if (last !== undefined && ageMs <= freshMs) {
        // An error here occurs again for the caller that has to wait for it.
        if (ageMs > renewMs) readAnew().catch(() => undefined)
        return { status: last.status, current: true }
      }
      const patience = new AbortController()
      const current = await Promise.race([readAnew().then(() => true), clock.sleep(waitMs, patience.signal).then(() => false)])
      patience.abort()
      return { status: last?.status, current }
    },
  }
}
