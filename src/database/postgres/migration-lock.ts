import { createHash } from 'node:crypto'
import { SECOND, formatDuration, type Clock } from '../../time.ts'
import { DatabaseError, type ApplyTransaction, type MigrationLockOptions, type Query, type Transaction } from '../database.ts'
import type { Connection } from './connection.ts'
import { migrationTransaction } from './transactions.ts'

export interface LockOptions extends MigrationLockOptions {
  readonly connection: Connection
  readonly clock: Clock
  readonly schema: string
}

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = SECOND
const TELL_EVERY_MS = 10 * SECOND

/**
 * One migrating worker at a time. On a direct connection a session lock is held all the while. Behind a transaction pooler a session lock would
 * stay in a server session that is not ours; there only the lock that every transaction takes for itself keeps others out. It is taken in both
 * cases, so that workers on either way exclude each other. Locks are tried for and never waited for: a waiting statement holds a snapshot, and
 * an index that is built concurrently would wait for it.
 */
export async function withMigrationLock<T>(options: LockOptions, work: (apply: ApplyTransaction) => Promise<T>): Promise<T> {
  const { connection, schema } = options
  const key = lockKey(schema)
  const wait = patience(options, key)
  const style = migrationTransaction(schema)
  const apply: ApplyTransaction = async (body) => {
    for (;;) {
      const outcome = await connection.transaction(style, async (tx) => {
        if (!(await isTrue(tx, 'SELECT pg_try_advisory_xact_lock($1::bigint) AS yes', key))) return undefined
        return { value: await body(tx) }
      })
      if (outcome !== undefined) return outcome.value
      await wait()
    }
  }
  if (!(await isDirect(connection))) return work(apply)

  while (!(await isTrue(connection, 'SELECT pg_try_advisory_lock($1::bigint) AS yes', key))) await wait()
  try {
    // The server would notice only at the end of a long index build that its client was killed, and hold the lock until then.
    await unlessFailing(connection, `SET client_connection_check_interval = '1s'`)
    return await work(apply)
  } finally {
    // A connection that is lost has let go of it; what the work itself failed with must not be hidden.
    await unlessFailing(connection, 'RESET client_connection_check_interval')
    await unlessFailing(connection, `SELECT pg_advisory_unlock(${key})`)
  }
}

/** Not every platform and version of the server has the setting. */
async function unlessFailing(query: Query, sql: string): Promise<void> {
  await query.query(sql).catch(() => undefined)
}

export function lockKey(schema: string): string {
  return createHash('sha256').update(`mcp-gateway-maintenance:migrations:${schema}`).digest().readBigInt64BE().toString()
}

/** A pooler gives each client a process id of its own making. */
async function isDirect(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  return rows[0]?.pid === connection.processId()
}

async function isTrue(query: Query | Transaction, sql: string, key: string): Promise<boolean> {
  const { rows } = await query.query<{ yes: boolean }>(sql, [key])
  return rows[0]?.yes === true
}

/** Resolves when it is time for another try; tells who holds the lock at once and then every ten seconds; rejects at the end of the time. */
function patience({ connection, clock, timeoutMs, signal, waiting }: LockOptions, key: string): () => Promise<void> {
  let startedMs: number | undefined
  let toldMs = -Infinity
  let pauseMs = FIRST_PAUSE_MS
  return async () => {
    const nowMs = clock.monotonicMs()
    startedMs ??= nowMs
    const waitedMs = nowMs - startedMs
    if (nowMs - toldMs >= TELL_EVERY_MS) {
      toldMs = nowMs
      waiting(await holder(connection, key), waitedMs)
    }
    if (signal.aborted) throw new DatabaseError('busy', `Told to stop while waiting for the migration lock. Nothing was changed.`)
    if (waitedMs >= timeoutMs) {
      throw new DatabaseError(
        'busy',
        `Gave up after ${formatDuration(Math.round(waitedMs / SECOND) * SECOND)} waiting for another worker that is migrating: ${await holder(connection, key)}. ` +
          'Nothing was changed. Wait for it to finish, or raise MIGRATIONS_LOCK_TIMEOUT.',
      )
    }
    // Jitter: workers that were started together must not try together for ever.
    await clock.sleep(Math.min(pauseMs * (0.5 + Math.random() / 2), timeoutMs - waitedMs), signal)
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
  }
}

interface Holder {
  readonly pid: number
  readonly application_name: string | null
  readonly client: string | null
  readonly connected_s: number | null
}

async function holder(connection: Connection, key: string): Promise<string> {
  const { rows } = await connection.query<Holder>(HOLDER, [key])
  const [found] = rows
  if (found === undefined) return 'a session that has just ended'
  const name = found.application_name === null || found.application_name === '' ? 'unnamed' : found.application_name
  const since = found.connected_s === null ? '' : `, connected for ${formatDuration(Math.round(found.connected_s) * SECOND)}`
  return `server process ${found.pid} (${name}${found.client === null ? '' : ` from ${found.client}`}${since})`
}

/** A 64-bit key is shown in two halves. */
const HOLDER = `SELECT l.pid, a.application_name, host(a.client_addr) AS client, extract(epoch FROM clock_timestamp() - a.backend_start)::float8 AS connected_s
FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = $1::bigint
LIMIT 1`
