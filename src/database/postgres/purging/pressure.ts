import { SECOND, type Clock } from '../../../time/clock.ts'
import type { Pacing, Pressure } from '../../purging.ts'
import type { Query } from '../../query.ts'
import type { LastHold } from '../connection/connection.ts'
import { EQ, GT, MINUS, NE, secondsOf, textOf, TIMES } from '../exact.ts'

/**
 * Measured on two cores. Alone, batches of 10 to 30 ms take at most a tenth longer than one DELETE of everything. Beside a writer, holds of up to about
 * 5 ms keep its 99th percentile low; shorter ones do not lower it further and make the purge slower, longer ones raise it.
 */
export const PACING: Pacing = {
  firstRows: 500,
  leastRows: 250,
  mostRows: 18_000,
  // The first query already covers the second before it.
  listenMs: 0,
  alone: { holdMs: 32, pauseMs: 0, pauseShare: 0 },
  polite: { holdMs: 5, timesAround: 3, pauseMs: 2, pauseShare: 0 },
  // Nobody waits for the rows of a purge.
  longHoldPause: { share: 0, mostMs: 0 },
}

export interface Observed {
  readonly query: Query
  readonly clock: Clock
  readonly last: () => LastHold
  /** How many transactions of our own have begun. */
  readonly transactions: () => number
}

/** The query takes most of a millisecond, and activity of other clients need not be known more often. */
const LOOK_EVERY_MS = 50
const MOST_LAG_S = 5
/** Transaction ids one of our transactions may use: its own, and one for each savepoint. */
const OWN_IDS = 4

/** Measures pressure. What is known of other clients may be up to `LOOK_EVERY_MS` old; what the last transaction ran into is always current. */
export function pressureGauge({ query, clock, last, transactions }: Observed): () => Promise<Pressure> {
  let seen: { readonly atMs: number; readonly transactions: number; readonly look: Look } | undefined
  let others = false
  return async () => {
    const atMs = clock.monotonicMs()
    if (seen === undefined || atMs - seen.atMs >= LOOK_EVERY_MS) {
      const sinceMs = seen === undefined ? SECOND : atMs - seen.atMs
      const { rows } = await query.query<Look>(LOOK, [sinceMs])
      const look = rows[0] ?? NOTHING_SEEN
      const foreignIds =
        seen === undefined ? 0 : Number(look.next_id) - Number(seen.look.next_id) - OWN_IDS * (transactions() - seen.transactions)
      others = look.active || (look.hidden && foreignIds > 0)
      seen = { atMs, transactions: transactions(), look }
    }
    const lag = seen.look.lag_s
    const backpressure = lag !== null && lag > MOST_LAG_S ? `a replica is ${Math.round(lag)} s behind` : undefined
    return { contended: last().contended, others, backpressure }
  }
}

interface Look {
  readonly active: boolean
  readonly hidden: boolean
  /** A number as text. */
  readonly next_id: string
  readonly lag_s: number | null
}

const NOTHING_SEEN: Look = { active: false, hidden: false, next_id: '0', lag_s: null }

/**
 * pg_stat_activity is exact and immediate, unlike the counters of pg_stat_database, which a session flushes once a second at most. It shows the sessions
 * of our own role, usually the gateway's too. For other roles, without pg_read_all_stats, it shows only that they are connected: then transaction ids
 * that are not ours show whether somebody writes.
 */
const LOOK = `SELECT
  coalesce(pg_catalog.bool_or(other.state ${EQ} 'active'
    OR other.state_change ${GT} (pg_catalog.clock_timestamp() ${MINUS} ($1::pg_catalog.float8 ${TIMES} interval '1 ms'))), false) AS active,
  coalesce(pg_catalog.bool_or(other.state IS NULL), false) AS hidden,
  ${textOf('pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())')} AS next_id,
  (SELECT pg_catalog.max(${secondsOf('r.replay_lag')}) FROM pg_catalog.pg_stat_replication AS r) AS lag_s
FROM pg_catalog.pg_stat_activity AS other
WHERE other.datid ${EQ} (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname ${EQ} pg_catalog.current_database())
  AND other.pid ${NE} pg_catalog.pg_backend_pid() AND coalesce(other.backend_type ${EQ} 'client backend', true)`
