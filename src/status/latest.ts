import type { Clock } from '../time/clock.ts'
import type { Status } from './read-status.ts'

/** The status as it was last read, for those who ask often and must not wait. */
export interface LatestStatus {
  /** Something has happened since the last reading. */
  outdate(): void
  /**
   * One not older than `freshMs`, nor outdated. It is read anew where there is none, once for all who ask meanwhile; when that takes longer than
   * `waitMs` the answer is the last one, which may be `undefined`, and not `current`. Rejects with what nobody foresaw.
   */
  within(patience: Patience): Promise<Known>
}

export interface Patience {
  readonly freshMs: number
  readonly waitMs: number
  /** An older one is still the answer, while the next one is read in the background for later requests. */
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
        // What fails now fails again for the one who has to wait for it.
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
