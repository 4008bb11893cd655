/** Milliseconds since 1970-01-01T00:00:00Z. The only form a point in time takes inside the program. */
export type EpochMs = number

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** The source of time. It is passed in, so that a test decides what time it is and how long a wait lasts. */
export interface Clock {
  now(): EpochMs
  /** Milliseconds from an arbitrary start that never go back: for durations. */
  monotonicMs(): number
  /** Resolves after `ms`, or at once when `signal` aborts; an abort is a normal ending, not an error. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** The only place that reads the host's clock. */
export function hostClock(): Clock {
  return {
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve()
        const wake = (): void => {
          clearTimeout(timer)
          signal?.removeEventListener('abort', wake)
          resolve()
        }
        const timer = setTimeout(wake, Math.min(ms, LONGEST_TIMER_MS))
        signal?.addEventListener('abort', wake, { once: true })
      }),
  }
}

/** A longer `setTimeout` fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY }

/** Reads `500ms`, `30s`, `10m`, `12h`, `90d`, `4w` as milliseconds; anything else, a bare number above all, is `undefined`. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,9})(ms|s|m|h|d|w)$/.exec(text)
  const unit = UNITS[match?.[2] ?? '']
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit
}

/** The shortest spelling that `parseDuration` reads back: 7,776,000,000 is `90d`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const size = UNITS[unit]!
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`
  }
  return `${ms}ms`
}

/** ISO 8601 in UTC. Never throws: what a `Date` cannot hold comes back as its number. */
export function formatTime(time: EpochMs): string {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? `${time}ms` : date.toISOString()
}

/** Its day in UTC, `2026-08-25`; before the year 0 `-000043-03-15`. */
export function formatDay(time: EpochMs): string {
  return formatTime(time).split('T')[0]!
}
