import type { Listener } from '../observe/fan-out.ts'

/** Whether the first migration pass has ended and, until then, what the worker waits for, in a few words. */
export interface Readiness {
  readonly listener: Listener
  /** `undefined`: ready, and it stays so whatever happens later. */
  readonly reason: string | undefined
}

export function openReadiness(): Readiness {
  let reason: string | undefined = 'the database is not connected yet'
  let ready = false
  const because = (text: string): void => {
    if (!ready) reason = text
  }
  return {
    get reason() {
      return reason
    },
    listener: {
      awaiting: (place, why) => because(`${place} cannot be used yet: ${why}`),
      workerStarted: () => because('migrations are being applied'),
      waiting: (holder) => because(`another worker is migrating: ${holder}`),
      blocked: (path) => because(`${path} waits for a lock that somebody holds on a table`),
      applied: () => because('migrations are being applied'),
      migrationsEnded() {
        ready = true
        reason = undefined
      },
    },
  }
}
