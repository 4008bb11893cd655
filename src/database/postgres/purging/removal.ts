import { plural } from '../../../number-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Tally } from '../../purging.ts'
import type { Transaction } from '../../query.ts'
import { stateOf } from '../postgres-errors.ts'
import { countSql, deleteFreeSql, deleteSql, deleteDigestedSql, type Condition, type TimedTable } from './slice-sql.ts'

/** After a batch that met a held row the next ones skip held rows from the start, until one meets none: waiting holds rows too. */
export interface LockBackoff {
  held: boolean
}

/** Whether a batch was deleted that the disk may not have yet. */
export interface Unflushed {
  any: boolean
}

export interface RemovalTable extends TimedTable {
  /** Whether this role may lock rows (FOR UPDATE wants the UPDATE privilege); if not, a batch with a held row is left as a whole. */
  readonly mayLock: boolean
  readonly lockBackoff: LockBackoff
  readonly unflushed: Unflushed
}

/** What comes back of each deleted row. */
export interface Digest {
  /** A bytea, of the alias `t`. */
  readonly sql: string
  /** What it needs to say the same in every session, as statements. */
  readonly settings: string
}

/** `digests`: side by side; empty where none were asked for. */
type Removed = Tally & { readonly digests: Uint8Array }

interface RemovedRow {
  readonly gone: number
  readonly digests: Uint8Array | null
}

interface FreedRow extends RemovedRow {
  readonly free: number
}

/**
 * Deletes what the condition says, in the caller's transaction. A row that somebody holds is waited for no longer than the lock timeout; then
 * the free rows are deleted and the held ones counted, or, without the right to lock rows (UPDATE), the whole batch is left. Rejects with
 * `row-refused` if a trigger or rule keeps rows without an error.
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
  await tx.query([UNHURRIED, ...(digest === undefined ? [] : [digest.settings]), BEGUN].join('; '))
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
 * COMMIT does not wait for the disk: what a crash of the server undoes of a batch, it undoes whole, with the counts that were committed with it, and
 * the next run does it again. The run's own last transaction waits, and with it everything before it is on the disk; before files are moved by what
 * batches have noted, `durable` waits.
 */
const UNHURRIED = 'SET LOCAL synchronous_commit = off'
const BEGUN = 'SAVEPOINT batch'
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
    return rows[0]?.gone ?? 0
  }
  let affected = await remove()
  // A full batch needs no second look. Of the others it must be known that nothing is left: a trigger can keep rows without a word.
  while (affected < mostRows && (await rowsLeft(tx, timed, condition)) > 0) {
    // Rows that came in the meantime go with a second try; kept ones do not.
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
  // A row that was changed and set free in this moment is caught by the second look: by then it is ours.
  for (let look = 1; ; look += 1) {
    const { rows } = await tx.query<FreedRow>(deleteFreeSql(timed, condition, digest?.sql), condition.values)
    const { free, gone, digests: here } = rows[0] ?? { free: 0, gone: 0, digests: null }
    digests.push(here ?? NONE)
    affected += gone
    if (gone === free) break
    if (look === 2) throw keptInSilence(timed, free - gone)
  }
  const locked = await rowsLeft(tx, timed, condition)
  timed.lockBackoff.held = locked > 0
  return { affected, locked, digests: together(digests) }
}

/** Nearly always there is one. */
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
    `A trigger or rule on ${title} keeps ${plural(rows, 'an expired row', `${rows} expired rows`)} from being deleted without an error; nothing of that batch was kept. ` +
      'Change the trigger or rule, or switch the job off.',
  )
}
