import { createHash } from 'node:crypto'
import { SECOND, type Clock } from '../../../time/clock.ts'
import { everyTenSeconds } from '../../../time/every-ten-seconds.ts'
import { durationText } from '../../../time/time-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { ApplyOutside, ApplyTransaction, MigrationLockOptions } from '../../migrating.ts'
import type { Query } from '../../query.ts'
import type { Target } from '../connection/attempt.ts'
import type { Connection } from '../connection/connection.ts'
import { migrationTransaction } from '../connection/transactions.ts'
import { builtIn, EQ, NE } from '../exact.ts'
import { mustBeTrusted, MIGRATED } from '../owners.ts'
import { namingBlockers } from './blockers.ts'
import { outsideTransactions } from './outside-transactions.ts'
import { describeSession, SESSION_COLUMNS, type SessionRow } from './sessions.ts'

export interface LockOptions extends MigrationLockOptions {
  readonly connection: Connection
  /** For a second connection, which finds out who holds a lock. */
  readonly target: Target
  readonly clock: Clock
  readonly schema: string
}

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = SECOND

/**
 * One migrating worker at a time. On a direct connection a session lock is held throughout. Through a transaction pooler a session lock would stay in a
 * server session that is not ours, so there only the lock that each transaction takes keeps others out. Transactions take it in both cases, so that
 * pooled and direct workers exclude each other. Locks are polled, never waited for: a waiting statement holds a snapshot, and an index that is built
 * concurrently would wait for that snapshot.
 */
export async function withMigrationLock<T>(
  options: LockOptions,
  work: (apply: ApplyTransaction, outside: ApplyOutside) => Promise<T>,
): Promise<T> {
  const { connection, target, schema } = options
  const key = lockKey(schema)
  const wait = patience(options, key)
  const style = migrationTransaction(schema)
  // Checked here as well, so that the problem is not reported as the failure of a file.
  await mustBeTrusted(connection, schema, MIGRATED)
  const apply: ApplyTransaction = async (body) => {
    for (;;) {
      const outcome = await connection.transaction(style, async (tx) => {
        const { taken, pid } = await tried(tx, `pg_catalog.pg_try_advisory_xact_lock(${keySql(key)})`)
        if (!taken) return undefined
        const before = await mustBeTrusted(tx, schema, MIGRATED)
        const value = await namingBlockers({ target, pid }, () => body(tx))
        // IF NOT EXISTS accepts an object that another role has created meanwhile: then everything is rolled back.
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
    // Without this the server notices a killed client only at the end of a long index build, and holds the lock until then.
    await unlessFailing(connection, `SET client_connection_check_interval = '1s'`)
    return await work(apply, outsideTransactions(options))
  } finally {
    // Failures are ignored: a lost connection has released the lock, and an error of the work itself must not be hidden.
    await unlessFailing(connection, 'RESET client_connection_check_interval')
    await unlessFailing(connection, `SELECT pg_catalog.pg_advisory_unlock(${keySql(key)})`)
  }
}

/** The setting does not exist on every platform and server version. */
async function unlessFailing(query: Query, sql: string): Promise<void> {
  await query.query(sql).catch(() => undefined)
}

export function lockKey(schema: string): string {
  return createHash('sha256').update(`mcp-gateway-maintenance:migrations:${schema}`).digest().readBigInt64BE().toString()
}

/** With a type, so that the function with a bigint key is called. */
function keySql(key: string): string {
  return `'${key}'::bigint`
}

/** A pooler invents a process id for each client. */
export async function isPooled(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid')
  return rows[0]?.pid !== connection.processId()
}

/**
 * Uses no bound values: they leave a portal open until the next statement, and an index that another connection builds concurrently would wait for the
 * portal's snapshot.
 */
async function tried(query: Query, lock: string): Promise<{ readonly taken: boolean; readonly pid: number }> {
  const { rows } = await query.query<{ taken: boolean; pid: number }>(`SELECT ${lock} AS taken, pg_catalog.pg_backend_pid() AS pid`)
  return rows[0] ?? { taken: false, pid: 0 }
}

/** Each call resolves when it is time for another attempt, and rejects when the time is up. Reports the holder at once and then every ten seconds. */
function patience({ connection, clock, timeoutMs, signal, waiting }: LockOptions, key: string): () => Promise<void> {
  let startedMs: number | undefined
  const due = everyTenSeconds()
  let pauseMs = FIRST_PAUSE_MS
  return async () => {
    const nowMs = clock.monotonicMs()
    startedMs ??= nowMs
    const waitedMs = nowMs - startedMs
    if (due(waitedMs)) waiting(await holder(connection, key), waitedMs)
    if (signal.aborted) throw new DatabaseError('busy', `Interrupted while waiting for the migration lock. Nothing was changed.`)
    if (waitedMs >= timeoutMs) {
      throw new DatabaseError(
        'busy',
        `Gave up after ${durationText(waitedMs)} waiting for another worker that is migrating: ${await holder(connection, key)}. ` +
          'Nothing was changed. Wait for it to finish, or raise MIGRATIONS_LOCK_TIMEOUT.',
      )
    }
    // Jitter: workers that were started together must not keep colliding.
    await clock.sleep(Math.min(pauseMs * (0.5 + Math.random() / 2), timeoutMs - waitedMs), signal)
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
  }
}

async function holder(connection: Connection, key: string): Promise<string> {
  const { rows } = await connection.query<SessionRow>(HOLDER, [key])
  return rows[0] === undefined ? 'a session that has just ended' : describeSession(rows[0])
}

/** pg_locks shows a 64-bit key as two halves. */
const HOLDER = `SELECT l.pid, ${SESSION_COLUMNS}
FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid ${EQ} l.pid
WHERE l.locktype ${EQ} 'advisory' AND l.granted AND l.objsubid ${EQ} 1 AND l.pid ${NE} pg_catalog.pg_backend_pid()
  AND l.database ${EQ} (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname ${EQ} pg_catalog.current_database())
  AND ((l.classid::bigint ${builtIn('<<')} 32) ${builtIn('|')} l.objid::bigint) ${EQ} $1::bigint
LIMIT 1`
