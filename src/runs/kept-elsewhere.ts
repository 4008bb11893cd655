import { JOBS, type Job } from '../catalogue.ts'
import { DatabaseError } from '../database/database-error.ts'
import type { Query, Transaction } from '../database/query.ts'
import { holdsInForce, mayHaveHolds } from './holds-in-force.ts'
import { HOLDS } from './hold-tables.ts'
import { lockLease } from './lease.ts'
import type { RunContext, RunRequest } from './run-context.ts'
import { LEASES } from './run-records.ts'

/** Tables of other jobs whose rows may go along with those of this job, by foreign keys that the settings allow, and of which rows can be held. */
export interface KeptElsewhere {
  /** Those of which a hold or a rule keeps rows, at the beginning of the run. */
  readonly tables: readonly string[]
  /** Call it in the transaction that deletes, under the lease. Rejects if a hold was placed since: what would go along cannot be told from what must stay. */
  mustBeFree(tx: Transaction): Promise<void>
}

export async function keptElsewhere(context: RunContext, { job, cascade = [] }: RunRequest): Promise<KeptElsewhere> {
  const { database, ruledTables = [] } = context
  const holdable: Job[] = []
  const tables: string[] = []
  for (const other of JOBS) {
    if (other.name === job.name || !cascade.includes(other.table) || other.holdable.by.length === 0) continue
    const may = await mayHaveHolds(database, other)
    if (may) holdable.push(other)
    if (ruledTables.includes(other.table) || (may && (await isHeld(database, database.named(HOLDS), other)))) tables.push(other.table)
  }
  return {
    tables,
    async mustBeFree(tx) {
      for (const other of holdable) {
        // Held until the end of the batch, as each batch of that job holds it: a hold is placed before it or after it.
        await lockLease(tx, database.named(LEASES), other.name)
        if (await isHeld(tx, database.named(HOLDS), other)) throw takenAlong(job, other.table)
      }
    },
  }
}

/** A hold was placed in the course of a run on rows that foreign keys may take along. */
export function takenAlong({ table, settings }: Job, held: string): DatabaseError {
  return new DatabaseError(
    'failed',
    `A legal hold was placed on rows of ${held}, and jobs.${settings}.cascade lets foreign keys take such rows along with those of ${table}. The current batch was rolled back; ` +
      `earlier batches are committed. Take ${held} out of that setting and let the foreign key keep both rows, or disable the job until the hold is released.`,
  )
}

async function isHeld(query: Query, holds: string, job: Job): Promise<boolean> {
  return (await holdsInForce(query, holds, job)).length > 0
}
