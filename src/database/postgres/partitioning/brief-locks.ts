import { MINUTE, SECOND } from '../../../time/clock.ts'
import { everyTenSeconds } from '../../../time/every-ten-seconds.ts'
import { durationText } from '../../../time/time-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Transaction } from '../../query.ts'
import { EQ, NE } from '../exact.ts'
import { literal, qualified, quoted } from '../identifiers.ts'
import { describeSessions } from '../migrating/blockers.ts'
import { SESSION_COLUMNS, type SessionRow } from '../migrating/sessions.ts'
import { stateOf } from '../postgres-errors.ts'
import type { ViewFacts } from './dependents.ts'
import type { Work } from './conversion.ts'

/** Everybody who wants the table waits behind us for as long as we wait for it. */
const QUEUE_MS = 100
/** Under the lock a statement takes milliseconds. One that takes longer has met something that was not foreseen. */
const LOCKED_STATEMENT_MS = 5 * SECOND
/** Waiting in this queue keeps no reader and no writer waiting, and makes autovacuum step aside, which it does after a second. */
const GENTLE_MS = 3 * SECOND
/** A transaction that is older keeps its locks for longer than we may queue. */
const OLD_MS = SECOND
const SHORTEST_PAUSE_MS = SECOND
const LONGEST_PAUSE_MS = 3 * SECOND
/** How long a lock is tried for before it is given up. */
export const PATIENCE_MS = 10 * MINUTE

export interface Briefly<T> {
  readonly value: T
  /** From the moment the lock was granted until the server had answered COMMIT. */
  readonly lockedMs: number
}

export interface BriefOptions {
  /** Those that read the table: whoever reads one of them locks that first, and the table after it. */
  readonly views?: readonly ViewFacts[]
  readonly patienceMs?: number
}

/**
 * A transaction that locks everybody out of the table, for a moment. `body` is run under a lock that keeps out those who change the table, and them alone; it
 * has to take the other one with `lock`. Does not queue while an old transaction is in the way; tries again until the time is up, and rejects with `busy` then,
 * naming who was in the way.
 */
export async function briefly<T>(
  work: Work,
  { views = [], patienceMs = PATIENCE_MS }: BriefOptions,
  body: (tx: Transaction, lock: () => Promise<void>) => Promise<T>,
): Promise<Briefly<T>> {
  const { clock, random, schema, column } = work.options
  const table = qualified(schema, column.table)
  const startedMs = clock.monotonicMs()
  const due = everyTenSeconds()
  const names = [table, ...views.map((view) => qualified(view.schema, view.name))]
  let seen: ReadonlySet<string> | undefined
  let by = 'a session that has just ended'
  for (;;) {
    const holders = await holdersOf(work, names)
    const { inTheWay, unknown } = judged(holders, seen)
    seen = new Set(holders.map(({ transaction }) => transaction))
    if (inTheWay.length > 0) by = describeSessions(inTheWay)
    else if (!unknown) {
      const done = await attempt(work, table, views, body)
      if (done !== undefined) return done
      const now = await holdersOf(work, names, 'with vacuum')
      if (now.length > 0) by = describeSessions(now)
    }
    const waitedMs = clock.monotonicMs() - startedMs
    if (work.signal.aborted) throw new DatabaseError('busy', `Interrupted while waiting for a lock on ${column.table}, held up by ${by}.`)
    if (waitedMs >= patienceMs)
      throw new DatabaseError('busy', `Gave up after ${durationText(waitedMs)} of waiting for a lock on ${column.table}, held up by ${by}.`)
    if (due(waitedMs)) work.listener.blocked(by, waitedMs)
    await clock.sleep(SHORTEST_PAUSE_MS + random() * (LONGEST_PAUSE_MS - SHORTEST_PAUSE_MS), work.signal)
  }
}

interface Holder extends SessionRow {
  readonly transaction: string
}

/**
 * Which of them are old. A role that may not see when another one's transaction began takes it for old if it held its lock at the look before. `unknown`: there
 * was no look before that would tell.
 */
function judged(holders: readonly Holder[], seen: ReadonlySet<string> | undefined): { inTheWay: readonly Holder[]; unknown: boolean } {
  const isHidden = (holder: Holder): boolean => holder.transaction_s === null
  return {
    inTheWay: holders.filter((holder) =>
      isHidden(holder) ? seen?.has(holder.transaction) === true : (holder.transaction_s ?? 0) * SECOND >= OLD_MS,
    ),
    unknown: seen === undefined && holders.some(isHidden),
  }
}

async function attempt<T>(
  work: Work,
  table: string,
  views: readonly ViewFacts[],
  body: (tx: Transaction, lock: () => Promise<void>) => Promise<T>,
): Promise<Briefly<T> | undefined> {
  const { clock } = work.options
  let lockedAtMs: number | undefined
  const lock = async (tx: Transaction): Promise<void> => {
    const statements = [
      `SET LOCAL lock_timeout = ${QUEUE_MS}; SET LOCAL statement_timeout = ${QUEUE_MS}`,
      ...views.map((view) => lockedView(view)),
      `LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`,
      `SET LOCAL statement_timeout = ${LOCKED_STATEMENT_MS}`,
    ]
    await tx.query(statements.join('; '))
    lockedAtMs = clock.monotonicMs()
  }
  try {
    const value = await work.apply(async (tx) => {
      await tx.query(`SET LOCAL lock_timeout = ${GENTLE_MS}; LOCK TABLE ${table} IN SHARE UPDATE EXCLUSIVE MODE`)
      return await body(tx, () => lock(tx))
    })
    return { value, lockedMs: lockedAtMs === undefined ? 0 : clock.monotonicMs() - lockedAtMs }
  } catch (error) {
    if (passes(error, lockedAtMs !== undefined)) return undefined
    throw error
  }
}

/** Locks the view alone. `LOCK TABLE` would lock all that it reads as well, in the order of its text. */
function lockedView({ schema, name, owner }: ViewFacts): string {
  return `ALTER VIEW ${qualified(schema, name)} OWNER TO ${quoted(owner)}`
}

/** lock_not_available, deadlock_detected; and query_canceled while we queue, but not under the lock, where the same statement would take as long again. */
function passes(error: unknown, isLocked: boolean): boolean {
  const state = stateOf(error) ?? ''
  return ['55P03', '40P01'].includes(state) || (state === '57014' && !isLocked)
}

/** Autovacuum steps aside. `names` are qualified. */
async function holdersOf({ options }: Work, names: readonly string[], vacuum?: 'with vacuum'): Promise<readonly Holder[]> {
  const relations = names.map((name) => `pg_catalog.to_regclass(${literal(name)}::pg_catalog.text)::pg_catalog.oid`).join(', ')
  return (await options.query.query<Holder>(holdersSql(relations, vacuum !== undefined))).rows
}

function holdersSql(relations: string, withVacuum: boolean): string {
  const notVacuum = `AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum AS v WHERE v.pid ${EQ} k.pid)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_analyze AS v WHERE v.pid ${EQ} k.pid)`
  return `SELECT l.pid, l.transaction, ${SESSION_COLUMNS}
FROM (
  SELECT DISTINCT coalesce(k.pid, 0) AS pid, k.virtualtransaction AS transaction FROM pg_catalog.pg_locks AS k
  WHERE k.locktype ${EQ} 'relation' AND k.granted AND (k.pid IS NULL OR k.pid ${NE} pg_catalog.pg_backend_pid())
    AND k.database ${EQ} (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname ${EQ} pg_catalog.current_database())
    AND k.relation ${EQ} ANY (ARRAY[${relations}]) ${withVacuum ? '' : notVacuum}
) AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid ${EQ} l.pid`
}
