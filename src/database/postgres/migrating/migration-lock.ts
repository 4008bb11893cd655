import { createHash } from 'node:crypto'
import { SECOND, type Clock } from '../../../time/clock.ts'
import { everyTenSeconds } from '../../../time/every-ten-seconds.ts'
import { durationText } from '../../../time/time-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { ApplyOutside, ApplyTransaction, MigrationLockOptions } from '../../migrating.ts'
import type { Query } from '../../query.ts'
import type { Target } from '../connection/connect.ts'
import type { Connection } from '../connection/connection.ts'
import { migrationTransaction } from '../connection/transactions.ts'
import { builtIn, EQ, NE } from '../exact.ts'
import { mustBeTrusted, MIGRATED } from '../owners.ts'
import { namingBlockers } from './blockers.ts'
import { outsideTransactions } from './outside-transactions.ts'
import { describeSession, SESSION_COLUMNS, type SessionRow } from './sessions.ts'

export interface LockOptions extends MigrationLockOptions {
  readonly connection: Connection
  /** Where to connect a second time, to see who is in the way. */
  readonly target: Target
  readonly clock: Clock
  readonly schema: string
}

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = SECOND

/**
 * One migrating worker at a time. On a direct connection a session lock is held all the while. Behind a transaction pooler a session lock would
 * stay in a server session that is not ours; there only the lock that every transaction takes for itself keeps others out. It is taken in both
 * cases, so that workers on either way exclude each other. Locks are tried for and never waited for: a waiting statement holds a snapshot, and
 * an index that is built concurrently would wait for it.
 */
export async function withMigrationLock<T>(
  options: LockOptions,
  work: (apply: ApplyTransaction, outside: ApplyOutside) => Promise<T>,
): Promise<T> {
  const { connection, target, schema } = options
  const key = lockKey(schema)
  const wait = patience(options, key)
  const style = migrationTransaction(schema)
  // Here too, so that it is reported as what it is and not as the failure of a file.
  await mustBeTrusted(connection, schema, MIGRATED)
  const apply: ApplyTransaction = async (body) => {
    for (;;) {
      const outcome = await connection.transaction(style, async (tx) => {
        const { taken, pid } = await tried(tx, `pg_catalog.pg_try_advisory_xact_lock(${keySql(key)})`)
        if (!taken) return undefined
        const before = await mustBeTrusted(tx, schema, MIGRATED)
        const value = await namingBlockers({ target, pid }, () => body(tx))
        // IF NOT EXISTS takes what somebody else made meanwhile; then all of it is rolled back.
        const made = MIGRATED.filter((name) => !before.has(name))
        await mustBeTrusted(tx, schema, made)
        return { value }
      })
      if (outcome !== undefined) return outcome.value
      await wait()
    }
  }
  if (await isPooled(connection))
    return work(apply, () => Promise.reject(new Error('statements outside a transaction need a direct connection')))

  while (!(await tried(connection, `pg_catalog.pg_try_advisory_lock(${keySql(key)})`)).taken) await wait()
  try {
    // The server would notice only at the end of a long index build that its client was killed, and hold the lock until then.
    await unlessFailing(connection, `SET client_connection_check_interval = '1s'`)
    return await work(apply, outsideTransactions(options))
  } finally {
    // A connection that is lost has let go of it; what the work itself failed with must not be hidden.
    await unlessFailing(connection, 'RESET client_connection_check_interval')
    await unlessFailing(connection, `SELECT pg_catalog.pg_advisory_unlock(${keySql(key)})`)
  }
}

/** Not every platform and version of the server has the setting. */
async function unlessFailing(query: Query, sql: string): Promise<void> {
  await query.query(sql).catch(() => undefined)
}

export function lockKey(schema: string): string {
  return createHash('sha256').update(`mcp-gateway-maintenance:migrations:${schema}`).digest().readBigInt64BE().toString()
}

/** Typed, so that it is not taken for a number of another kind. */
function keySql(key: string): string {
  return `'${key}'::bigint`
}

/** A pooler gives each client a process id of its own making. */
export async function isPooled(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid')
  return rows[0]?.pid !== connection.processId()
}

/**
 * Without bound values: those would leave a portal open, whose snapshot an index that is built concurrently on another connection would wait for
 * until the next statement.
 */
async function tried(query: Query, lock: string): Promise<{ readonly taken: boolean; readonly pid: number }> {
  const { rows } = await query.query<{ taken: boolean; pid: number }>(`SELECT ${lock} AS taken, pg_catalog.pg_backend_pid() AS pid`)
  return rows[0] ?? { taken: false, pid: 0 }
}

/** Resolves when it is time for another try; reports who holds the lock at once and then every ten seconds; rejects at the end of the time. */
function patience({ connection, clock, timeoutMs, signal, waiting }: LockOptions, key: string): () => Promise<void> {
  let startedMs: number | undefined
  const due = everyTenSeconds()
  let pauseMs = FIRST_PAUSE_MS
  return async () => {
    const nowMs = clock.monotonicMs()
    startedMs ??= nowMs
    const waitedMs = nowMs - startedMs
    if (due(waitedMs)) waiting(await holder(connection, key), waitedMs)
    if (signal.aborted) throw new DatabaseError('busy', `Told to stop while waiting for the migration lock. Nothing was changed.`)
    if (waitedMs >= timeoutMs) {
      throw new DatabaseError(
        'busy',
        `Gave up after ${durationText(waitedMs)} waiting for another worker that is migrating: ${await holder(connection, key)}. ` +
          'Nothing was changed. Wait for it to finish, or raise MIGRATIONS_LOCK_TIMEOUT.',
      )
    }
    // Jitter: workers that were started together must not try together for ever.
    await clock.sleep(Math.min(pauseMs * (0.5 + Math.random() / 2), timeoutMs - waitedMs), signal)
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
  }
}

async function holder(connection: Connection, key: string): Promise<string> {
  const { rows } = await connection.query<SessionRow>(HOLDER, [key])
  return rows[0] === undefined ? 'a session that has just ended' : describeSession(rows[0])
}

/** A 64-bit key is shown in two halves. */
const HOLDER = `SELECT l.pid, ${SESSION_COLUMNS}
FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid ${EQ} l.pid
WHERE l.locktype ${EQ} 'advisory' AND l.granted AND l.objsubid ${EQ} 1 AND l.pid ${NE} pg_catalog.pg_backend_pid()
  AND l.database ${EQ} (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname ${EQ} pg_catalog.current_database())
  AND ((l.classid::bigint ${builtIn('<<')} 32) ${builtIn('|')} l.objid::bigint) ${EQ} $1::bigint
LIMIT 1`
