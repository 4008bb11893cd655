import type { Job } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import type { SparedCount } from '../database/purging.ts'
import type { Rule } from '../policy/rules.ts'
import { sparedByRule } from '../policy/rules.ts'
import type { Spared } from '../policy/spared.ts'
import { cutoffOf } from '../purge/cutoff.ts'

/** What a hold keeps is counted outside any lock, and no further: a person needs the order of size. */
export const MOST_HELD_COUNTED = 100_000

export interface HeldCount extends SparedCount {
  /** Expired rows that nothing else keeps, and so go where the hold is not in force; `undefined`: there are too many to say. */
  readonly alone: number | undefined
  /** Of these rows, those in partitions that were taken out of the table and not dropped yet: while the hold is in force, the next run puts them back. */
  readonly takenOut: number
}

export interface HeldCounting {
  readonly database: Database
  readonly job: Job
  /** From the settings. */
  readonly retentionMs: number | undefined
  readonly rules: readonly Rule[]
}

/** `undefined`: there is no such table. `others`: what other holds keep. Rejects if the table lacks a column of the match. */
export async function countOfHold(
  { database, job, retentionMs, rules }: HeldCounting,
  spared: Spared,
  others: readonly Spared[],
): Promise<HeldCount | undefined> {
  if (!(await database.tablesAmong([job.table])).has(job.table)) return undefined
  const takenOut = (await database.partitions(job)?.sparedInDetached([spared], MOST_HELD_COUNTED)) ?? 0
  const inTable = await countInTable({ database, job, retentionMs, rules }, spared, others)
  if (takenOut === 0) return { ...inTable, takenOut }
  const rows = inTable.rows + takenOut
  return {
    rows: Math.min(rows, MOST_HELD_COUNTED),
    // Only what has expired is taken out.
    expired: Math.min(inTable.expired + takenOut, MOST_HELD_COUNTED),
    more: inTable.more || rows > MOST_HELD_COUNTED,
    // What else keeps them is not asked.
    alone: undefined,
    takenOut,
  }
}

async function countInTable(
  { database, job, retentionMs, rules }: HeldCounting,
  spared: Spared,
  others: readonly Spared[],
): Promise<Omit<HeldCount, 'takenOut'>> {
  const now = await database.now()
  const cutoff = cutoffOf({ retentionMs, graceMs: 0 }, now)
  const count = await database.sparedBy(job, spared, cutoff, MOST_HELD_COUNTED)
  const also = [...others, ...rules.map((rule) => sparedByRule(rule, now))]
  if (also.length === 0) return { ...count, alone: count.more ? undefined : count.expired }
  if (count.more) return { ...count, alone: undefined }
  if (count.expired === 0) return { ...count, alone: 0 }
  const [alone] = (await database.expired(job, cutoff, also).sparedBy([spared])).each
  return { ...count, alone }
}
