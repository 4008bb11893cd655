import type { Query, Transaction } from '../database/query.ts'
import { notKept, readBack } from '../database/read-back.ts'
import { boundedText } from '../database/stored-values.ts'
import { MaintenanceError } from '../errors.ts'
import { SECOND, type EpochMs } from '../time/clock.ts'

/** What a lease is good for without being renewed: a holder that was killed is in nobody's way for longer. */
export const TERM_MS = 15 * SECOND

/** Clocks are corrected by small steps, which make no lease void. */
const STEP_MS = SECOND

/** The right to run a job, for one at a time. `fence` is greater with each holder, so that an old holder is known for one. */
export interface Lease {
  readonly job: string
  readonly holder: string
  readonly fence: number
}

/** Somebody else has the job, or this process slept through the term. Nothing of the batch in hand is kept. */
export class LeaseLost extends MaintenanceError {
  override readonly name = 'LeaseLost'

  constructor({ job, holder }: Lease) {
    super(
      'JOB_FAILED',
      `${holder} has lost the lease of ${job}: it was not renewed for ${TERM_MS / SECOND} s, or another worker has it. ` +
        'The batch in hand was rolled back, those before it are done; the next run goes on',
    )
  }
}

/**
 * `undefined`: another worker has it. An expiry further ahead than one term is void: nobody can have written it but under a clock that was
 * set back since. `again` takes it from the same holder too: for a claim whose answer was lost.
 */
export async function claimLease(
  tx: Transaction,
  table: string,
  { job, holder, again }: { readonly job: string; readonly holder: string; readonly again: boolean },
): Promise<Lease | undefined> {
  const { rows } = await tx.query<{ fence: number }>(
    `INSERT INTO ${table} AS lease (job, holder, fence, expires_at) VALUES ($1, $2, 1, $3)
     ON CONFLICT (job) DO UPDATE SET holder = excluded.holder, fence = lease.fence + 1, expires_at = excluded.expires_at
     WHERE lease.expires_at <= $4 OR lease.expires_at > $5 ${again ? 'OR lease.holder = excluded.holder' : ''} RETURNING fence`,
    [job, holder, tx.now + TERM_MS, tx.now, tx.now + TERM_MS + STEP_MS],
  )
  const [row] = rows
  if (row === undefined) {
    // Nobody has it, and it was not to be had.
    if ((await holderOf(tx, table, job, tx.now)) === undefined) throw notKept(table, ['holder', 'fence'])
    return undefined
  }
  await readBack(tx, table, { job }, { holder, fence: row.fence, expires_at: tx.now + TERM_MS })
  return { job, holder, fence: row.fence }
}

/**
 * First in every transaction that works under the lease: the row stays locked until COMMIT, so that nobody can take over in between. Rejects
 * with `LeaseLost`.
 */
export async function renewLease(tx: Transaction, table: string, lease: Lease): Promise<void> {
  const { changed } = await tx.query(
    `UPDATE ${table} SET expires_at = $1 WHERE job = $2 AND holder = $3 AND fence = $4 AND expires_at > $5`,
    [tx.now + TERM_MS, lease.job, lease.holder, lease.fence, tx.now],
  )
  if (changed !== 1) throw new LeaseLost(lease)
}

/** Gives it back; one that was lost is left alone. */
export async function releaseLease(tx: Transaction, table: string, { job, holder, fence }: Lease): Promise<void> {
  await tx.query(`UPDATE ${table} SET expires_at = 0 WHERE job = $1 AND holder = $2 AND fence = $3`, [job, holder, fence])
}

/** The worker that holds the job's lease right now. */
export async function holderOf(query: Query, table: string, job: string, now: EpochMs): Promise<string | undefined> {
  const { rows } = await query.query<{ holder: string }>(
    `SELECT ${boundedText('holder')} AS holder FROM ${table} WHERE job = $1 AND expires_at > $2 AND expires_at <= $3`,
    [job, now, now + TERM_MS + STEP_MS],
  )
  return rows[0]?.holder
}
