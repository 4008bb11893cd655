import { plural } from '../../../number-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Tally } from '../../purging.ts'
import type { Transaction } from '../../query.ts'
import { EQ } from '../exact.ts'
import { stateOf } from '../postgres-errors.ts'
import { countSql, deleteFreeSql, deleteSql, deleteDigestedSql, type Condition, type TimedTable } from './slice-sql.ts'

/** After a batch that ran into a locked row, the next batches skip locked rows from the start until one finds none, because a batch that waits holds its own locks longer. */
export interface LockBackoff {
  held: boolean
}

/** Whether a batch was committed that may not be on the disk yet. */
export interface Unflushed {
  any: boolean
}

export interface RemovalTable extends TimedTable {
  /** Whether this role may lock rows (FOR UPDATE needs the UPDATE privilege). If not, a batch with a locked row is skipped as a whole. */
  readonly mayLock: boolean
  readonly lockBackoff: LockBackoff
  readonly unflushed: Unflushed
}

/** What is returned for each deleted row. */
export interface Digest {
  /** An expression of type bytea on the alias `t`. */
  readonly sql: string
  /** Statements that make its result the same in every session. */
  readonly settings: string
}

/** `digests`: concatenated; empty if none were requested. */
type Removed = Tally & { readonly digests: Uint8Array }

interface RemovedRow {
  readonly deleted: number
  readonly digests: Uint8Array | null
}

interface FreedRow extends RemovedRow {
  readonly free: number
}

/**
 * Deletes the rows of the condition in the caller's transaction. Waits for a locked row until the lock timeout; then deletes the rows that are free and
 * counts the locked ones or, without the right to lock rows (UPDATE), leaves the whole batch. Rejects with `row-refused` if a trigger or rule keeps rows
 * without an error.
 */
export async function removeRows(
  tx: Transaction,
  from: RemovalTable,
  condition: Condition,
  mostRows: number,
  digest?: Digest,
): Promise<Removed> {
  const { lockBackoff } = from
  from.unflushed.any = true
  await tx.query([UNHURRIED, UNCHECKED, ...(digest === undefined ? [] : [digest.settings]), BEGUN].join('; '))
  if (lockBackoff.held && from.mayLock) return removeFree(tx, from, condition, digest)
  try {
    return await removeAll(tx, from, condition, mostRows, digest)
  } catch (error) {
    if (stateOf(error) !== LOCK_NOT_AVAILABLE) throw error
  }
  lockBackoff.held = true
  await tx.query('ROLLBACK TO SAVEPOINT batch')
  if (from.mayLock) return removeFree(tx, from, condition, digest)
  return { affected: 0, locked: await rowsLeft(tx, from, condition), digests: NONE }
}

/**
 * COMMIT does not wait for the disk. If the server crashes, a batch that was not flushed is lost as a whole, together with its counts, and the next run
 * repeats it. The run's last transaction does wait, which flushes everything before it; and `durable` waits before archive files are moved because of
 * what batches have recorded.
 */
const UNHURRIED = 'SET LOCAL synchronous_commit = off'
const BEGUN = 'SAVEPOINT batch'
/** In such a database a message of a trigger need not be UTF-8. The server would send an error about that in its place, and so hide why a row is refused. */
const UNCHECKED = `SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', true) WHERE pg_catalog.getdatabaseencoding() ${EQ} 'SQL_ASCII'`
const LOCK_NOT_AVAILABLE = '55P03'

const NONE = new Uint8Array()

async function removeAll(
  tx: Transaction,
  timed: TimedTable,
  condition: Condition,
  mostRows: number,
  digest: Digest | undefined,
): Promise<Removed> {
  const digests: Uint8Array[] = []
  const remove = async (): Promise<number> => {
    if (digest === undefined) return (await tx.query(deleteSql(timed, condition), condition.values)).changed
    const { rows } = await tx.query<RemovedRow>(deleteDigestedSql(timed, condition, digest.sql), condition.values)
    digests.push(rows[0]?.digests ?? NONE)
    return rows[0]?.deleted ?? 0
  }
  let affected = await remove()
  // A full batch needs no check. After any other, check that nothing is left: a trigger can keep rows without an error.
  while (affected < mostRows && (await rowsLeft(tx, timed, condition)) > 0) {
    // A second attempt deletes rows that were added meanwhile, but not rows that a trigger keeps.
    const more = await remove()
    const left = more === 0 ? await rowsLeft(tx, timed, condition) : 0
    if (left > 0) throw keptInSilence(timed, left)
    affected += more
  }
  return { affected, locked: 0, digests: together(digests) }
}

async function removeFree(tx: Transaction, timed: RemovalTable, condition: Condition, digest: Digest | undefined): Promise<Removed> {
  const digests: Uint8Array[] = []
  let affected = 0
  // A row that was changed and unlocked at this moment is deleted on the second pass: by then we hold its lock.
  for (let look = 1; ; look += 1) {
    const { rows } = await tx.query<FreedRow>(deleteFreeSql(timed, condition, digest?.sql), condition.values)
    const { free, deleted, digests: here } = rows[0] ?? { free: 0, deleted: 0, digests: null }
    digests.push(here ?? NONE)
    affected += deleted
    if (deleted === free) break
    if (look === 2) throw keptInSilence(timed, free - deleted)
  }
  const locked = await rowsLeft(tx, timed, condition)
  timed.lockBackoff.held = locked > 0
  return { affected, locked, digests: together(digests) }
}

/** Nearly always there is only one, which is then not copied. */
function together(digests: readonly Uint8Array[]): Uint8Array {
  return digests.length === 1 ? digests[0]! : Buffer.concat(digests)
}

async function rowsLeft(tx: Transaction, timed: TimedTable, condition: Condition): Promise<number> {
  const { rows } = await tx.query<{ rows: number }>(countSql(timed, condition), condition.values)
  return rows[0]?.rows ?? 0
}

function keptInSilence({ title }: TimedTable, rows: number): DatabaseError {
  return new DatabaseError(
    'row-refused',
    `A trigger or rule on ${title} silently prevents ${plural(rows, 'an expired row', `${rows} expired rows`)} from being deleted. The batch was rolled back. ` +
      'Change the trigger or rule, or disable the job.',
  )
}
