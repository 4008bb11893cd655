import type { Query, Transaction } from '../database/query.ts'
import { notKept, readBack } from '../database/read-back.ts'
import { boundedText } from '../database/stored-values.ts'
import { MaintenanceError } from '../errors.ts'
import { SECOND, type EpochMs } from '../time/clock.ts'

/** How long a lease lasts without being renewed, and so how long a killed holder blocks the job. */
export const TERM_MS = 15 * SECOND

/** As `expires_at` of a lease that nobody holds. */
const GIVEN_BACK = 0

/** Clocks may be corrected by a small step, which must not void a lease. */
const STEP_MS = SECOND

/**
 * Ends the holder of a lease that was taken by a worker that reads the holds in each batch. A trigger of migration 007 asks for it: while there is a hold, a lease
 * without it cannot be taken or renewed.
 */
const KNOWS_HOLDS = ' (knows holds)'

/** The right to run a job, held by one worker at a time. `fence` increases with each holder, so that a former holder is recognised. */
export interface Lease {
  readonly job: string
  /** `host:process` */
  readonly holder: string
  readonly knowsHolds: boolean
  readonly fence: number
}

function markOf({ holder, knowsHolds }: Pick<Lease, 'holder' | 'knowsHolds'>): string {
  return knowsHolds ? `${holder}${KNOWS_HOLDS}` : holder
}

/** Another worker has taken the job, or the database has failed over to a server that knows nothing of the claim. The current batch is rolled back. */
export class LeaseLost extends MaintenanceError {
  override readonly name = 'LeaseLost'

  constructor({ job, holder }: Lease) {
    super(
      'JOB_FAILED',
      `${holder} has lost the lease of ${job}: it was not renewed for ${TERM_MS / SECOND} s, and another worker has taken it. ` +
        'The current batch was rolled back; earlier batches are committed. The next run continues.',
    )
  }
}

/**
 * `undefined`: another worker has it. An expiry more than one term ahead is void: it can only have been written under a clock that has been set back since.
 * `again` also takes the lease from the same holder, for a claim whose answer was lost.
 */
export async function claimLease(
  tx: Transaction,
  table: string,
  { again, ...wanted }: Omit<Lease, 'fence'> & { readonly again: boolean },
): Promise<Lease | undefined> {
  const { job } = wanted
  const holder = markOf(wanted)
  const { rows } = await tx.query<{ fence: number }>(
    `INSERT INTO ${table} AS lease (job, holder, fence, expires_at) VALUES ($1, $2, 1, $3)
     ON CONFLICT (job) DO UPDATE SET holder = excluded.holder, fence = lease.fence + 1, expires_at = excluded.expires_at
     WHERE lease.expires_at <= $4 OR lease.expires_at > $5 ${again ? 'OR lease.holder = excluded.holder' : ''} RETURNING fence`,
    [job, holder, tx.now + TERM_MS, tx.now, tx.now + TERM_MS + STEP_MS],
  )
  const [row] = rows
  if (row === undefined) {
    // Nobody holds it, yet the claim had no effect.
    if ((await holderOf(tx, table, job, tx.now)) === undefined) throw notKept(table, ['holder', 'fence'])
    return undefined
  }
  await readBack(tx, table, { job }, { holder, fence: row.fence, expires_at: tx.now + TERM_MS })
  return { ...wanted, fence: row.fence }
}

/** Who held the lease last, and when that worker took or last renewed it. `undefined`: nobody did, or it was given back. Read it before the lease is claimed. */
export async function lastHolder(tx: Transaction, table: string, job: string): Promise<LastHolder | undefined> {
  const { rows } = await tx.query<{ holder: unknown; expires_at: number }>(
    `SELECT ${boundedText('holder')} AS holder, expires_at FROM ${table} WHERE job = $1 AND expires_at > ${GIVEN_BACK}`,
    [job],
  )
  const { holder, expires_at: expiresAt } = rows[0] ?? {}
  return typeof holder === 'string' && Number.isSafeInteger(expiresAt)
    ? { holder: unmarked(holder), renewedAt: expiresAt! - TERM_MS }
    : undefined
}

export interface LastHolder {
  /** `host:process` */
  readonly holder: string
  readonly renewedAt: EpochMs
}

/**
 * Comes first in every transaction under the lease: the row stays locked until COMMIT, so that nobody can take over in between. A lease that has expired is
 * renewed if nobody has taken it, as after a failover that took longer than the term: each claim raises the fence. Rejects with `LeaseLost`.
 */
export async function renewLease(tx: Transaction, table: string, lease: Lease): Promise<void> {
  const { changed } = await tx.query(
    `UPDATE ${table} SET expires_at = $1 WHERE job = $2 AND holder = $3 AND fence = $4 AND expires_at > ${GIVEN_BACK}`,
    [tx.now + TERM_MS, lease.job, markOf(lease), lease.fence],
  )
  if (changed !== 1) throw new LeaseLost(lease)
}

/**
 * Locks the row of a job's lease until the transaction ends, whoever holds it, and leaves it as it is; a row that is made here is free. An UPDATE: after a mere lock, a transaction that was waiting
 * could still read what was there before (PostgreSQL under REPEATABLE READ).
 */
export async function lockLease(tx: Transaction, table: string, job: string): Promise<void> {
  const { changed } = await tx.query(
    `INSERT INTO ${table} AS lease (job, holder, fence, expires_at) VALUES ($1, '', 0, ${GIVEN_BACK}) ON CONFLICT (job) DO UPDATE SET fence = lease.fence`,
    [job],
  )
  if (changed !== 1) throw notKept(table, ['fence'])
}

/** Does nothing if the lease was lost. Returns whether it was held. */
export async function releaseLease(tx: Transaction, table: string, lease: Lease): Promise<boolean> {
  const { changed } = await tx.query(`UPDATE ${table} SET expires_at = ${GIVEN_BACK} WHERE job = $1 AND holder = $2 AND fence = $3`, [
    lease.job,
    markOf(lease),
    lease.fence,
  ])
  return changed > 0
}

/** The worker that currently holds the job's lease. */
export async function holderOf(query: Query, table: string, job: string, now: EpochMs): Promise<string | undefined> {
  const { rows } = await query.query<{ holder: string }>(
    `SELECT ${boundedText('holder')} AS holder FROM ${table} WHERE job = $1 AND expires_at > $2 AND expires_at <= $3`,
    [job, now, now + TERM_MS + STEP_MS],
  )
  const holder = rows[0]?.holder
  return holder === undefined ? undefined : unmarked(holder)
}

/** Leases that were neither given back nor renewed for so long, and such as cannot have been taken yet, by a clock that has been set back since. */
export async function abandonedLeases(
  query: Query,
  table: string,
  now: EpochMs,
  forMs: number,
): Promise<readonly (LastHolder & { readonly job: string })[]> {
  const { rows } = await query.query<{ job: unknown; holder: unknown; expires_at: number }>(
    `SELECT ${boundedText('job')} AS job, ${boundedText('holder')} AS holder, expires_at FROM ${table}
     WHERE expires_at > ${GIVEN_BACK} AND (expires_at <= $1 OR expires_at > $2) ORDER BY job LIMIT ${MOST_ABANDONED}`,
    [now + TERM_MS - forMs, now + TERM_MS + STEP_MS],
  )
  return rows.flatMap(({ job, holder, expires_at: expiresAt }) =>
    typeof job === 'string' && typeof holder === 'string' && Number.isSafeInteger(expiresAt)
      ? [{ job, holder: unmarked(holder), renewedAt: expiresAt - TERM_MS }]
      : [],
  )
}

/** More than there are jobs. */
const MOST_ABANDONED = 20

function unmarked(holder: string): string {
  return holder.endsWith(KNOWS_HOLDS) ? holder.slice(0, -KNOWS_HOLDS.length) : holder
}
