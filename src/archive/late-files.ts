import { DAY, type EpochMs } from '../time/clock.ts'

/** For so long the file of rows that came into the archive late stays in it. */
export const LATE_FILES_KEPT_MS = 30 * DAY

/** Rows of a day are archived in the nights after the first of them has expired, the last two days later if a night was left out. */
const USUAL_MS = 2 * DAY

/** What the manifest of a file of rows says of its age. */
export interface Aged {
  /** `2026-08-25`: the day of its rows, in UTC. */
  readonly day: string
  readonly written: string
  /** The rows of the run that wrote it had an earlier time. */
  readonly cutoff: string
}

/**
 * Until when a file stays however old its rows are, because they came into the archive long after they had expired: a hold or a rule had kept them, or nothing
 * had been archived for some time. `undefined`: they came as usual. A file that does not tell when it was written counts as written long ago.
 */
export function lateFileStaysUntil({ day, written, cutoff }: Aged, keptMs = LATE_FILES_KEPT_MS): EpochMs | undefined {
  const endOfDay = Date.parse(`${day}T00:00:00.000Z`) + DAY
  if (!(Date.parse(cutoff) - endOfDay > USUAL_MS)) return undefined
  const writtenAt = Date.parse(written)
  return Number.isNaN(writtenAt) ? undefined : writtenAt + keptMs
}
