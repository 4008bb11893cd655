import type { Estimate } from '../database/purging.ts'
import type { Query } from '../database/query.ts'
import { boundedText, orNothing, storedNumber, storedText, storedTime } from '../database/stored-values.ts'
import { overdueOf, type Overdue } from '../purge/overdue.ts'
import type { EpochMs } from '../time/clock.ts'
import type { Link } from './format.ts'
import { NO_GROWTH, type Growth } from './step.ts'
import { archivePath } from './store/path.ts'
import { archiveTexts, parseStep, refuseLong } from './stored-step.ts'
import { ARCHIVES } from './tables.ts'

/** What an archive holds, for people and gauges: read from the database alone, in one row. */
export interface ArchiveSummary extends Growth {
  /** `null`: nothing is archived yet. */
  readonly head: Link | null
  /** The latest time of an archived row. */
  readonly newestAt: EpochMs | undefined
  /** The last time that `archive verify` read the whole archive or a sample of it; one with `--since` is not recorded. */
  readonly verification: Verdict | undefined
  /** Files that a run is working on or left when it was interrupted. The totals above include them only once their rows are deleted. */
  readonly pendingFiles: number
}

export interface Verdict {
  readonly at: EpochMs
  readonly sound: boolean
}

/**
 * How long the oldest expired row that is only in the database has been waiting, to the day; 0: there is none. Rows of pending files count
 * as waiting. `undefined`: the estimate did not finish in time.
 */
export function lagOf(estimate: Overdue & Pick<Estimate, 'rows' | 'more'>, cutoff: EpochMs): number | undefined {
  const { rows, more } = estimate
  return rows === 0 && !more ? 0 : (overdueOf(estimate, cutoff) ?? undefined)
}

interface SummaryRow extends Growth {
  readonly head: string | null
  readonly head_file: string | null
  readonly step: string | null
  readonly newest_at: number | null
  readonly verified_at: number | null
  readonly verified: string | null
}

const NOTHING: ArchiveSummary = { ...NO_GROWTH, head: null, newestAt: undefined, verification: undefined, pendingFiles: 0 }

const TEXTS = ['head', 'head_file', 'step'] as const

/** `source`: the archived table. `table`: the table that records archives, as it is written in SQL. */
export async function readSummary(query: Query, table: string, source: string): Promise<ArchiveSummary> {
  const { rows: found } = await query.query<SummaryRow>(
    `SELECT ${archiveTexts(TEXTS)}, newest_at, verified_at, ${boundedText('verified')} AS verified, "rows", bytes, files FROM ${table} WHERE source = $1`,
    [source],
  )
  const [row] = found
  if (row === undefined) return NOTHING
  refuseLong(row, TEXTS)
  const verifiedAt = orNothing(storedTime, row.verified_at, `${ARCHIVES}.verified_at`)
  return {
    rows: storedNumber(row.rows, `${ARCHIVES}.rows`),
    bytes: storedNumber(row.bytes, `${ARCHIVES}.bytes`),
    files: storedNumber(row.files, `${ARCHIVES}.files`),
    head: row.head === null ? null : { manifest: archivePath(row.head_file, source, 'maintenance_archives.head_file'), sha256: row.head },
    newestAt: orNothing(storedTime, row.newest_at, `${ARCHIVES}.newest_at`),
    verification: verifiedAt === undefined ? undefined : { at: verifiedAt, sound: row.verified === 'sound' },
    pendingFiles: row.step === null ? 0 : parseStep(storedText(row.step, `${ARCHIVES}.step`), source).files.length,
  }
}
