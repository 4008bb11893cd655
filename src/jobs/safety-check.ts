import type { Job } from '../catalogue.ts'
import type { Database, ExpiredRows } from '../database/database.ts'
import { MaintenanceError } from '../errors.ts'
import { counting } from '../retention/disposals.ts'
import { countingPacer } from '../retention/pacer.ts'
import { purge } from '../retention/purge.ts'
import { emptyingMessage, judgeClocks, MOST_ROWS_EMPTIED, shrinkingMessage, smallPartOf } from '../retention/safety.ts'
import type { Clock, EpochMs } from '../time.ts'
import type { Run } from './run.ts'

/** What a person has looked at and wants done. */
export interface Accepted {
  readonly shorterRetention: boolean
  readonly emptyTable: boolean
}

export const NOTHING_ACCEPTED: Accepted = { shorterRetention: false, emptyTable: false }

export interface SafetyOptions {
  readonly database: Database
  readonly clock: Clock
  readonly run: Run
  readonly job: Job
  readonly cutoff: EpochMs
  /** As the run would go by it; `undefined`: the job has none. */
  readonly retentionMs: number | undefined
  readonly accepted: Accepted
  readonly warn: (message: string) => void
  readonly stopping: AbortSignal
}

/** Before anything is deleted. Rejects with `SAFETY_STOP`, every reason a line. */
export async function checkSafety(options: SafetyOptions): Promise<void> {
  const { run, accepted, retentionMs, warn } = options
  const clocks = judgeClocks(run.hostAheadMs)
  if (clocks.kind === 'stop') throw new MaintenanceError('SAFETY_STOP', clocks.message)
  if (clocks.kind === 'warning') warn(clocks.message)
  if (retentionMs === undefined) return

  const reasons = [
    ...(accepted.shorterRetention ? [] : await shrinking(options, retentionMs)),
    ...(accepted.emptyTable ? [] : await emptying(options)),
  ]
  if (reasons.length > 0) throw new MaintenanceError('SAFETY_STOP', reasons.join('\n'))
}

async function shrinking(options: SafetyOptions, retentionMs: number): Promise<string[]> {
  const { run, job, database } = options
  const lastAcceptedMs = await run.lastAcceptedRetention()
  if (lastAcceptedMs === undefined || retentionMs >= lastAcceptedMs) return []
  const rows = await rowsOf(database, job.table)
  if (!(await expireMoreThan(options, smallPartOf(rows)))) return []
  return [shrinkingMessage({ job: job.name, table: job.table, retentionMs, lastAcceptedMs, rows })]
}

async function emptying(options: SafetyOptions): Promise<string[]> {
  const { database, job, cutoff } = options
  if (await database.expired(job, cutoff).sparesAny()) return []
  return (await expireMoreThan(options, MOST_ROWS_EMPTIED)) ? [emptyingMessage(job.name, job.table)] : []
}

/** Beyond this an exact count would take long, and the estimate is good: a table of this size is analyzed. */
const EXACT_ROWS = 5_000_000

async function rowsOf(database: Database, table: string): Promise<number> {
  const about = await database.approximateRows(table)
  if (about > EXACT_ROWS) return about
  const { rows } = await database.query<{ n: number }>(`SELECT count(*) AS n FROM ${database.named(table)}`)
  return rows[0]?.n ?? 0
}

/** Counts no further than it must. */
async function expireMoreThan({ database, clock, job, cutoff, stopping }: SafetyOptions, most: number): Promise<boolean> {
  const rows: ExpiredRows = database.expired(job, cutoff)
  const enough = new AbortController()
  const signal = AbortSignal.any([stopping, enough.signal])
  let expired = 0
  const report = ({ affected }: { readonly affected: number }): void => {
    expired = affected
    if (affected > most) enough.abort()
  }
  await purge(rows, counting(), await countingPacer(database, clock, signal), report, signal)
  return expired > most
}
