import { sizeText } from '../../../number-text.ts'
import { durationText } from '../../../time/time-text.ts'
import type { Ailment } from '../../examining.ts'
import type { Query } from '../../query.ts'
import { EQ, GE, MINUS, NE, nameIn, secondsOf } from '../exact.ts'
import { literal } from '../identifiers.ts'

/** A slot of which nobody reads keeps the log from being removed, until the disk is full. */
const LARGE_LOG_BYTES = 2 ** 30

interface TransactionRow {
  readonly pid: number
  readonly role: string | null
  readonly application: string
  readonly state: string | null
  readonly seconds: number
  readonly database: string
  /** Whether that is this database. */
  readonly is_here: boolean
}

/**
 * What vacuum of this database's tables has to wait for: any transaction in this database, and one in another database as soon as it has written. A snapshot that is
 * taken here while that one is open goes back to its beginning. One that only reads elsewhere holds back nothing here but the catalogues that all databases share.
 */
export async function oldTransactions(query: Query, olderThanMs: number): Promise<readonly Ailment[]> {
  const { rows } = await query.query<TransactionRow>(TRANSACTIONS, [olderThanMs / 1_000])
  return rows.map(({ pid, role, application, state, seconds, database, is_here: isHere }) => ({
    grave: isHere,
    sentence:
      `process ${pid} of role ${role ?? 'unknown'}${application === '' ? '' : ` (${application})`} has had a ${isHere ? 'transaction open' : `writing transaction open in the database ${database}`} ` +
      `for ${durationText(seconds * 1_000)}${state === null ? '' : ` (${state})`}: until it ends, the space of rows that were deleted since it began is not used again` +
      (isHere ? '' : ', unless nobody reads in this database at the moment of a vacuum'),
    action: `find out what it does; to end it, run: SELECT pg_terminate_backend(${pid})`,
  }))
}

const AGE = secondsOf(`(pg_catalog.clock_timestamp() ${MINUS} a.xact_start)`)
const TRANSACTIONS = `SELECT a.pid, a.usename::pg_catalog.text AS role, a.application_name AS application, a.state, ${AGE} AS seconds,
  a.datname::pg_catalog.text AS database, a.datname ${EQ} pg_catalog.current_database() AS is_here
FROM pg_catalog.pg_stat_activity AS a
WHERE a.pid ${NE} pg_catalog.pg_backend_pid() AND ${nameIn('a.backend_type', ['"client backend"'])}
  AND (a.backend_xid IS NOT NULL OR (a.backend_xmin IS NOT NULL AND a.datname ${EQ} pg_catalog.current_database()))
  AND ${AGE} ${GE} $1::pg_catalog.float8
ORDER BY is_here DESC, a.xact_start LIMIT 10`

export async function preparedTransactions(query: Query, olderThanMs: number): Promise<readonly Ailment[]> {
  const { rows } = await query.query<{ gid: string; owner: string; database: string; seconds: number }>(PREPARED, [olderThanMs / 1_000])
  return rows.map(({ gid, owner, database, seconds }) => ({
    grave: true,
    sentence: `the prepared transaction ${JSON.stringify(gid)} of role ${owner} in ${database} has waited for ${durationText(seconds * 1_000)} to be committed: it keeps its locks, and the space of deleted rows`,
    action: `ask whoever prepared it; then, in ${database}, run: COMMIT PREPARED ${literal(gid)} or ROLLBACK PREPARED ${literal(gid)}`,
  }))
}

const PREPARED_AGE = secondsOf(`(pg_catalog.clock_timestamp() ${MINUS} p.prepared)`)
const PREPARED = `SELECT p.gid, p.owner::pg_catalog.text AS owner, p.database::pg_catalog.text AS database, ${PREPARED_AGE} AS seconds
FROM pg_catalog.pg_prepared_xacts AS p WHERE ${PREPARED_AGE} ${GE} $1::pg_catalog.float8 ORDER BY p.prepared LIMIT 10`

interface SlotRow {
  readonly name: string
  readonly kept: number | null
  readonly holds_rows: boolean
}

export async function replicationSlots(query: Query): Promise<readonly Ailment[]> {
  const { rows } = await query.query<SlotRow>(SLOTS)
  return rows.map(({ name, kept, holds_rows: holdsRows }) => ({
    grave: holdsRows || (kept ?? 0) >= LARGE_LOG_BYTES,
    sentence:
      `nobody reads from the replication slot ${JSON.stringify(name)}: it keeps ${kept === null ? 'an unknown part' : sizeText(kept)} of the write-ahead log` +
      `${holdsRows ? ', and the space of deleted rows' : ''}, and more from day to day`,
    action: `start what reads from it, or run: SELECT pg_drop_replication_slot(${literal(name)})`,
  }))
}

/** On a standby the place in the log is the one that it has replayed. */
const SLOTS = `SELECT s.slot_name::pg_catalog.text AS name, s.xmin IS NOT NULL OR s.catalog_xmin IS NOT NULL AS holds_rows,
  pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END, s.restart_lsn)::bigint AS kept
FROM pg_catalog.pg_replication_slots AS s WHERE NOT s.active ORDER BY s.slot_name LIMIT 10`
