import { SECOND } from '../../../time/clock.ts'
import { everyTenSeconds } from '../../../time/every-ten-seconds.ts'
import { durationText } from '../../../time/time-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { ApplyOutside } from '../../migrating.ts'
import type { Target } from '../connection/connect.ts'
import type { Connection } from '../connection/connection.ts'
import { EQ, nameIn, NE } from '../exact.ts'
import { qualified } from '../identifiers.ts'
import { describeSessions, namingBlockers } from './blockers.ts'
import { SESSION_COLUMNS, type SessionRow } from './sessions.ts'

export interface OutsideOptions {
  /** Direct: settings of the session are ours. */
  readonly connection: Connection
  readonly target: Target
  readonly schema: string
  /** For how long others who work on a table's structure are waited for. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/**
 * What a role or database may have set and would cut a build, which leaves an invalid index. Waiting without limit is in nobody's way here: who
 * reads and writes the table passes a concurrent build that waits.
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
        await undisturbed(options, relation, sparingly(blocked))
        const watched = { target, pid: connection.processId() ?? 0, report: sparingly(blocked) }
        await namingBlockers(watched, () => connection.statement(sql))
      }
      return await work({ run, dropIndex: (name) => run(`DROP INDEX CONCURRENTLY IF EXISTS ${qualified(schema, name)}`, name) })
    } finally {
      // A connection that is lost has forgotten them.
      for (const name of LIMITS) await connection.statement(`RESET ${name}`).catch(() => undefined)
    }
  }
}

/**
 * A concurrent build that queues for its table's lock holds a snapshot, and a concurrent build that has the lock waits for all snapshots: the server
 * ends that by failing one of them, and leaves its index invalid. So the lock is not queued for while another session has it.
 */
async function undisturbed(
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
 * Sessions whose lock on the relation, or on the table of that index, a concurrent build would queue for. Vacuum waits for no snapshot, and
 * autovacuum makes room for who queues.
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

/** Servers before 17 lack one. */
async function liftLimit(connection: Connection, name: string): Promise<void> {
  const { rows } = await connection.query(`SELECT FROM pg_catalog.pg_settings WHERE name ${EQ} $1::pg_catalog.text`, [name])
  if (rows.length > 0) await connection.statement(`SET ${name} = 0`)
}

function sparingly(report: Report): Report {
  const due = everyTenSeconds()
  return (by, waitedMs) => {
    if (due(waitedMs)) report(by, waitedMs)
  }
}
