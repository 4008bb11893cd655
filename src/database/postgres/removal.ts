import { DatabaseError, type Gone, type Tally, type Transaction } from '../database.ts'
import { codeOf } from './errors.ts'
import { countSql, deleteFreeSql, deleteSql, deleteToldSql, type Condition, type TimedTable } from './slice-sql.ts'

/** After a batch that met a held row the next ones pass over held rows from the start, until one meets none: waiting holds rows too. */
export interface Caution {
  held: boolean
}

/** Whether a batch was deleted that the disk may not have yet. */
export interface Unflushed {
  any: boolean
}

export interface RemovalTable extends TimedTable {
  /** Whether this role may lock rows (FOR UPDATE wants the UPDATE privilege); if not, a batch with a held row is left as a whole. */
  readonly mayLock: boolean
  readonly caution: Caution
  readonly unflushed: Unflushed
}

/** Told of deleted rows what `sql`, a bytea, says of each. */
export interface Witness {
  readonly sql: string
  /** What it needs to say the same in every session, as statements. */
  readonly settings: string
  readonly gone: Gone
}

interface Removed {
  readonly gone: number
  readonly digests: Uint8Array | null
}

interface Freed extends Removed {
  readonly free: number
}

/**
 * Deletes what the condition says, in the caller's transaction. A row that somebody holds is waited for no longer than the lock timeout; then
 * the free rows are deleted and the held ones counted. Rejects with `row-refused` where a trigger or rule keeps rows in silence.
 */
export async function removeRows(
  tx: Transaction,
  from: RemovalTable,
  condition: Condition,
  mostRows: number,
  witness?: Witness,
): Promise<Tally> {
  const { caution } = from
  from.unflushed.any = true
  await tx.query([UNHURRIED, ...(witness === undefined ? [] : [witness.settings]), BEGUN].join('; '))
  if (caution.held && from.mayLock) return removeFree(tx, from, condition, witness)
  try {
    return { affected: await removeAll(tx, from, condition, mostRows, witness), locked: 0 }
  } catch (error) {
    if (codeOf(error) !== LOCK_NOT_AVAILABLE) throw error
  }
  caution.held = true
  await tx.query('ROLLBACK TO SAVEPOINT batch')
  return from.mayLock ? removeFree(tx, from, condition, witness) : { affected: 0, locked: await rowsLeft(tx, from, condition) }
}

/**
 * COMMIT does not wait for the disk: what a crash of the server undoes of a batch, it undoes whole, with the counts that were committed with it, and
 * the next run does it again. The run's own last transaction waits, and with it everything before it is on the disk; before files are moved by what
 * batches have noted, `durable` waits.
 */
const UNHURRIED = 'SET LOCAL synchronous_commit = off'
const BEGUN = 'SAVEPOINT batch'
const LOCK_NOT_AVAILABLE = '55P03'

async function removeAll(
  tx: Transaction,
  timed: TimedTable,
  condition: Condition,
  mostRows: number,
  witness: Witness | undefined,
): Promise<number> {
  const remove = async (): Promise<number> => {
    if (witness === undefined) return (await tx.query(deleteSql(timed, condition), condition.values)).changed
    const { rows } = await tx.query<Removed>(deleteToldSql(timed, condition, witness.sql), condition.values)
    return told(rows[0], witness)
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
  return affected
}

async function removeFree(tx: Transaction, timed: RemovalTable, condition: Condition, witness: Witness | undefined): Promise<Tally> {
  let affected = 0
  // A row that was changed and set free in this moment is caught by the second look: by then it is ours.
  for (let look = 1; ; look += 1) {
    const { rows } = await tx.query<Freed>(deleteFreeSql(timed, condition, witness?.sql), condition.values)
    const free = rows[0]?.free ?? 0
    const gone = told(rows[0], witness)
    affected += gone
    if (gone === free) break
    if (look === 2) throw keptInSilence(timed, free - gone)
  }
  const locked = await rowsLeft(tx, timed, condition)
  timed.caution.held = locked > 0
  return { affected, locked }
}

function told(removed: Removed | undefined, witness: Witness | undefined): number {
  if (witness !== undefined && removed?.digests) witness.gone(removed.digests)
  return removed?.gone ?? 0
}

async function rowsLeft(tx: Transaction, timed: TimedTable, condition: Condition): Promise<number> {
  const { rows } = await tx.query<{ rows: number }>(countSql(timed, condition), condition.values)
  return rows[0]?.rows ?? 0
}

function keptInSilence({ title }: TimedTable, rows: number): DatabaseError {
  return new DatabaseError(
    'row-refused',
    `A trigger or rule on ${title} keeps ${rows === 1 ? 'an expired row' : `${rows} expired rows`} from being deleted without an error; nothing of that batch was kept. ` +
      'Change the trigger or rule, or switch the job off.',
  )
}
