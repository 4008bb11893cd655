import type { Job } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import type { ExpiredRows, SparedExpired } from '../database/purging.ts'
import type { Query, Transaction } from '../database/query.ts'
import { readBack } from '../database/read-back.ts'
import type { Hold } from '../policy/holds.ts'
import type { SparedRows } from '../policy/spared.ts'
import type { EpochMs } from '../time/clock.ts'

/** As `hold` in the record: all of them together. */
export const ALL_HOLDS = 0

/** Expired rows that holds keep. */
export interface HeldRows {
  /** A row that two holds keep counts once. */
  readonly rows: number
  readonly byHold: readonly { readonly hold: Hold; readonly rows: number }[]
}

export const NOTHING_HELD: HeldRows = { rows: 0, byHold: [] }

/** Rows of a hold that a rule would keep anyway count too. */
export async function countHeld(database: Database, job: Job, cutoff: EpochMs, holds: readonly Hold[]): Promise<HeldRows> {
  return holds.length === 0 ? NOTHING_HELD : heldOf(holds, await database.expired(job, cutoff).sparedBy(sparedBy(holds)))
}

/** The same before the walk of the run, which then passes over stretches in which every row is kept. The holds are those that it leaves out. */
export async function surveyHeld(expired: ExpiredRows, holds: readonly Hold[]): Promise<HeldRows> {
  return heldOf(holds, await expired.survey(sparedBy(holds)))
}

function sparedBy(holds: readonly Hold[]): SparedRows {
  return holds.map(({ spared }) => spared)
}

function heldOf(holds: readonly Hold[], { each, together }: SparedExpired): HeldRows {
  return { rows: together, byHold: holds.map((hold, index) => ({ hold, rows: each[index] ?? 0 })) }
}

/** In a transaction under the lease. May be called again for the same run. */
export async function noteHeld(tx: Transaction, table: string, run: number, { rows, byHold }: HeldRows): Promise<void> {
  const counts = [{ hold: ALL_HOLDS, rows }, ...byHold.map((each) => ({ hold: each.hold.id, rows: each.rows }))]
  for (const { hold, rows: held } of counts) {
    await tx.query(
      `INSERT INTO ${table} (run, hold, "rows") VALUES (CAST($1 AS bigint), CAST($2 AS bigint), CAST($3 AS bigint))
       ON CONFLICT (run, hold) DO UPDATE SET "rows" = excluded."rows"`,
      [run, hold, held],
    )
    await readBack(tx, table, { run, hold }, { rows: held })
  }
}

/** SQL: the rows that holds kept in runs, as `run` and `rows`. */
export function heldByRunSql(table: string): string {
  return `SELECT h.run, h."rows" FROM ${table} AS h WHERE h.hold = ${ALL_HOLDS}`
}

/** Goes with the record of the runs. */
export async function forgetHeld(tx: Query, table: string, runs: string): Promise<void> {
  await tx.query(`DELETE FROM ${table} WHERE run < (SELECT min(id) FROM ${runs})`)
}
