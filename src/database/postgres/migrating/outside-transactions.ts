import { SECOND } from '../../../time/clock.ts'
import { everyTenSeconds } from '../../../time/every-ten-seconds.ts'
import { durationText } from '../../../time/time-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { ApplyOutside } from '../../migrating.ts'
import type { Target } from '../connection/attempt.ts'
import type { Connection } from '../connection/connection.ts'
import { EQ, nameIn, NE } from '../exact.ts'
import { qualified } from '../identifiers.ts'
import { describeSessions, namingBlockers } from './blockers.ts'
import { SESSION_COLUMNS, type SessionRow } from './sessions.ts'

export interface OutsideOptions {
  /** Must be direct: this changes settings of the session. */
  readonly connection: Connection
  readonly target: Target
  readonly schema: string
  /** How long to wait for other sessions that change a table's structure. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/**
 * Limits that may be set for the role or database. They would cut off a build and leave an invalid index. Waiting without a limit is harmless here: a
 * concurrent build that waits does not block reads and writes of the table.
 */
const LIMITS = ['lock_timeout', 'statement_timeout', 'transaction_timeout'] as const
const LOOK_EVERY_MS = SECOND / 2

type Report = (by: string, waitedMs: number) => void

export function outsideTransactions(options: OutsideOptions): ApplyOutside {
  const { connection, target, schema } = options
  return async (blocked, work) => {
    try {
      for (const limit of LIMITS) await liftLimit(connection, limit)
      const run = async (sql: string, relation: string): Promise<void> => {
        await untilUnlocked(options, relation, everyTenSecondsOnly(blocked))
        const watched = { target, pid: connection.processId() ?? 0, report: everyTenSecondsOnly(blocked) }
        await namingBlockers(watched, () => connection.statement(sql))
      }
      return await work({ run, dropIndex: (name) => run(`DROP INDEX CONCURRENTLY IF EXISTS ${qualified(schema, name)}`, name) })
    } finally {
      // Failures are ignored: a lost connection has lost its settings too.
      for (const name of LIMITS) await connection.statement(`RESET ${name}`).catch(() => undefined)
    }
  }
}

/**
 * A concurrent build that queues for its table's lock holds a snapshot, and the concurrent build that has the lock waits for all snapshots. The server
 * resolves this deadlock by failing one of them, whose index stays invalid. So this waits until no other session has the lock before it queues.
 */
async function untilUnlocked(
  { connection, target: { clock }, schema, timeoutMs, signal }: OutsideOptions,
  relation: string,
  report: Report,
): Promise<void> {
  const startedMs = clock.monotonicMs()
  for (;;) {
    const { rows } = await connection.query<SessionRow>(WORKING_ON, [qualified(schema, relation)])
    if (rows.length === 0) return
    const by = describeSessions(rows)
    const waitedMs = clock.monotonicMs() - startedMs
    if (waitedMs >= timeoutMs || signal.aborted) {
      throw new DatabaseError('busy', `waited ${durationText(waitedMs)} for a lock on ${relation}, held up by ${by}`)
    }
    report(by, waitedMs)
    await clock.sleep(Math.min(LOOK_EVERY_MS, timeoutMs - waitedMs), signal)
  }
}

/** `$1` is qualified. */
const RELATION = 'pg_catalog.to_regclass($1::pg_catalog.text)::pg_catalog.oid'

/**
 * Sessions whose lock on the relation, or on the table of that index, a concurrent build would have to queue for. Vacuum is left out: it waits for no
 * snapshot, and autovacuum yields to a session that queues.
 */
const WORKING_ON = `SELECT l.pid, ${SESSION_COLUMNS}
FROM (
  SELECT DISTINCT coalesce(k.pid, 0) AS pid FROM pg_catalog.pg_locks AS k
  WHERE k.locktype ${EQ} 'relation' AND k.granted AND (k.pid IS NULL OR k.pid ${NE} pg_catalog.pg_backend_pid())
    AND k.database ${EQ} (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname ${EQ} pg_catalog.current_database())
    AND k.relation ${EQ} coalesce((SELECT i.indrelid FROM pg_catalog.pg_index AS i WHERE i.indexrelid ${EQ} ${RELATION}), ${RELATION})
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum AS v WHERE v.pid ${EQ} k.pid)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_analyze AS v WHERE v.pid ${EQ} k.pid)
    AND ${nameIn('k.mode', ['ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'])}
) AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid ${EQ} l.pid`

/** Does nothing for a limit that the server lacks: transaction_timeout exists from 17 on. */
async function liftLimit(connection: Connection, name: string): Promise<void> {
  const { rows } = await connection.query(`SELECT FROM pg_catalog.pg_settings WHERE name ${EQ} $1::pg_catalog.text`, [name])
  if (rows.length > 0) await connection.statement(`SET ${name} = 0`)
}

function everyTenSecondsOnly(report: Report): Report {
  const due = everyTenSeconds()
  return (by, waitedMs) => {
    if (due(waitedMs)) report(by, waitedMs)
  }
}
