import { MINUTE, SECOND, type Clock } from '../../../time/clock.ts'
import { everyTenSeconds } from '../../../time/every-ten-seconds.ts'
import { durationText } from '../../../time/time-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Query } from '../../query.ts'
import { EQ, LT, MINUS, NE } from '../exact.ts'
import { qualified } from '../identifiers.ts'
import { describeSessions } from '../migrating/blockers.ts'
import { SESSION_COLUMNS, type SessionRow } from '../migrating/sessions.ts'

export interface QuietMoment {
  readonly query: Query
  readonly clock: Clock
  readonly random: () => number
  readonly signal: AbortSignal
  readonly schema: string
  readonly table: string
  /** Called soon and then every ten seconds. */
  readonly blocked: (by: string, waitedMs: number) => void
}

/** As long as this a lock is tried for; after it somebody has to look who is in the way. */
const PATIENCE_MS = 10 * MINUTE
const LOOK_EVERY_MS = SECOND

/**
 * Does work that locks everybody out of a table. Whoever waits for such a lock keeps everybody waiting that comes after: so while an old transaction has a lock
 * on the table or on one of its parts, this does not even queue, and a try that waited for as long as the transaction lets it is repeated only after a pause.
 * `work` takes its locks itself and rejects with `busy`.
 */
export async function inQuietMoment<T>(moment: QuietMoment, work: () => Promise<T>): Promise<T> {
  const { query, clock, random, signal, schema, table, blocked } = moment
  const beganMs = clock.monotonicMs()
  const due = everyTenSeconds()
  for (;;) {
    const { rows } = await query.query<SessionRow>(OLD_HOLDERS, [qualified(schema, table)])
    let by = rows.length > 0 ? describeSessions(rows) : undefined
    if (by === undefined) {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof DatabaseError) || error.kind !== 'busy' || signal.aborted) throw error
        by = error.message
      }
    }
    const waitedMs = clock.monotonicMs() - beganMs
    if (due(waitedMs)) blocked(by, waitedMs)
    if (waitedMs >= PATIENCE_MS || signal.aborted)
      throw new DatabaseError(
        'busy',
        `Waited ${durationText(waitedMs)} for a moment at which ${schema}.${table} can be locked, and gave up: ${by}.`,
      )
    await clock.sleep(rows.length > 0 ? LOOK_EVERY_MS : SECOND * (1 + 2 * random()), signal)
  }
}

/** \`$1\` is qualified. Autovacuum is left out: it yields. */
const OLD_HOLDERS = `WITH parts AS (
  SELECT pg_catalog.to_regclass($1::pg_catalog.text)::pg_catalog.oid AS id
  UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent ${EQ} pg_catalog.to_regclass($1::pg_catalog.text)::pg_catalog.oid
)
SELECT a.pid, ${SESSION_COLUMNS} FROM pg_catalog.pg_stat_activity AS a
WHERE a.pid ${NE} pg_catalog.pg_backend_pid() AND a.xact_start ${LT} (pg_catalog.clock_timestamp() ${MINUS} '1 second'::pg_catalog.interval)
  AND coalesce(a.backend_type, ''::pg_catalog.text) ${NE} 'autovacuum worker'
  AND EXISTS (
    SELECT FROM pg_catalog.pg_locks AS k JOIN parts AS p ON p.id ${EQ} k.relation
    WHERE k.pid ${EQ} a.pid AND k.granted AND k.locktype ${EQ} 'relation'
      AND k.database ${EQ} (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname ${EQ} pg_catalog.current_database())
  )
ORDER BY a.xact_start`
