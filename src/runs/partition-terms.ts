import { retentionOf, type Job } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import { DatabaseError } from '../database/database-error.ts'
import type { PartitionTerms, Period } from '../database/partitioning.ts'
import type { Rule } from '../policy/rules.ts'
import { cutoffOf } from '../purge/cutoff.ts'
import type { EpochMs } from '../time/clock.ts'

/** Of a job with a retention, as the settings have it. */
export interface KeptRows {
  readonly job: Job
  readonly retentionMs: number | undefined
  readonly rules: readonly Rule[]
}

/**
 * For how long rows of the job's table are kept: as its retention says, and by each rule that keeps rows longer and matches at least one row, expired or not. A rule
 * of which that cannot be told in a few seconds counts. The table must exist.
 */
export async function partitionTerms(database: Database, kept: KeptRows, aheadMs: number): Promise<PartitionTerms> {
  const { job, retentionMs, rules } = kept
  const now = await database.now()
  const periods: Period[] = [{ name: retentionOf(job)?.environment ?? job.name, keptMs: retentionMs }]
  for (const rule of rules) {
    if (!isLonger(rule, retentionMs)) continue
    if (await matchesRows(database, kept, rule, now)) periods.push({ name: `rule ${JSON.stringify(rule.name)}`, keptMs: rule.retentionMs })
  }
  return { now, aheadMs, periods }
}

function isLonger(rule: Rule, retentionMs: number | undefined): boolean {
  return (rule.retentionMs ?? Infinity) > (retentionMs ?? Infinity)
}

async function matchesRows(database: Database, { job, retentionMs }: KeptRows, { match }: Rule, now: EpochMs): Promise<boolean> {
  try {
    const cutoff = cutoffOf({ retentionMs, graceMs: 0 }, now)
    const { rows, more } = await database.sparedBy(job, { match, from: undefined, until: undefined }, cutoff, 1)
    return rows > 0 || more
  } catch (error) {
    if (error instanceof DatabaseError && error.kind === 'busy') return true
    throw error
  }
}
