import type { Clock } from '../time.ts'
import type { Status } from './status.ts'

/** The status as it was last read, for those who ask often and must not wait. */
export interface LatestStatus {
  /** Something has happened since the last reading. */
  outdate(): void
  /**
   * One not older than `freshMs`, nor outdated. It is read anew where there is none, once for all who ask meanwhile; when that takes longer than
   * `waitMs` the answer is the last one, which may be `undefined`, and not `current`. Rejects with what nobody foresaw.
   */
  within(patience: { readonly freshMs: number; readonly waitMs: number }): Promise<Known>
}

export interface Known {
  readonly status: Status | undefined
  readonly current: boolean
}

export function latestStatus(read: () => Promise<Status>, clock: Clock): LatestStatus {
  let last: { readonly status: Status; readonly atMs: number } | undefined
  let outdated = false
  let reading: Promise<void> | undefined

  const readOnce = async (): Promise<void> => {
    outdated = false
    const atMs = clock.monotonicMs()
    last = { status: await read(), atMs }
  }
  return {
    outdate: () => (outdated = true),
    async within({ freshMs, waitMs }) {
      if (last !== undefined && !outdated && clock.monotonicMs() - last.atMs <= freshMs) return { status: last.status, current: true }
      reading ??= readOnce().finally(() => (reading = undefined))
      const patience = new AbortController()
      const current = await Promise.race([reading.then(() => true), clock.sleep(waitMs, patience.signal).then(() => false)])
      patience.abort()
      return { status: last?.status, current }
    },
  }
}
