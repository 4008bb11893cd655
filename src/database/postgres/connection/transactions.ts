import { MINUTE, SECOND } from '../../../time/clock.ts'
import { EQ, millisecondsOf, NE } from '../exact.ts'
import { literal, quoted } from '../identifiers.ts'
import type { TransactionStyle } from './connection.ts'

/** How long we wait for a lock. The gateway holds row locks for milliseconds; a row that is locked for longer is skipped. */
export const LOCK_MS = 100
/** A batch takes tens of milliseconds; a plan that went wrong must not hold rows for long. */
const STATEMENT_MS = 5 * SECOND
/** Outside the short transactions no server-side timeout is set. */
const STATEMENT_ANSWER_MS = MINUTE
const READING_MS = 30 * SECOND
const LOOK_MS = SECOND
/** A worker that was frozen in mid-transaction must not hold the gateway's rows. */
const IDLE_MS = 10 * SECOND
/** Added to the server's own timeout, which fires first: ours is for a connection that is dead. */
const ANSWER_MARGIN_MS = 5 * SECOND

/** For DDL: a queued table lock blocks everyone queued after it, so this wait is short too; the caller tries again. */
const DDL_LOCK_MS = 3 * SECOND
const DDL_IDLE_MS = MINUTE

/** Short, for batches and small writes. `takesMs`: see `TransactionOptions`. */
export function shortTransaction(schema: string, access: 'write' | 'read', takesMs = STATEMENT_MS): TransactionStyle {
  const statementMs = Math.max(STATEMENT_MS, Math.ceil(takesMs))
  return { ...limited(schema, access, statementMs), statementMs, watched: true }
}

/** For optional information: gives up soon, and its locks do not count as held by the purge. */
export function lookTransaction(schema: string): TransactionStyle {
  return { ...limited(schema, 'read', LOOK_MS), watched: false }
}

function limited(schema: string, access: 'write' | 'read', statementMs: number): Omit<TransactionStyle, 'watched'> {
  return {
    begin: [
      `BEGIN ISOLATION LEVEL READ COMMITTED${access === 'read' ? ' READ ONLY' : ''}`,
      ...settings({ lock_timeout: LOCK_MS, statement_timeout: statementMs, idle_in_transaction_session_timeout: IDLE_MS }),
      // Outdated statistics must never turn a batch into a scan of the whole table, and JIT compilation must never take longer than the batch.
      'SET LOCAL enable_seqscan = off',
      'SET LOCAL jit = off',
      ...(access === 'write' ? [DURABLE] : []),
      searchPath(schema),
      NOW,
    ].join('; '),
    answerMs: statementMs + ANSWER_MARGIN_MS,
    writes: access === 'write',
  }
}

/** For servers whose default is not to wait for the disk: archive files are moved once a commit is known, so a crash must not undo it. */
const DURABLE = `SELECT pg_catalog.set_config('synchronous_commit', 'on', true) WHERE pg_catalog.current_setting('synchronous_commit') ${EQ} 'off'`

/** For a single statement that only needs its names resolved in our schema; outside a transaction the session's own path would decide. */
export function plainTransaction(schema: string): TransactionStyle {
  return {
    begin: ['BEGIN ISOLATION LEVEL READ COMMITTED', searchPath(schema), NOW].join('; '),
    answerMs: STATEMENT_ANSWER_MS,
    writes: true,
    watched: false,
  }
}

/** For reading a few megabytes of rows as fast as they can be written to a file. */
export function readingTransaction(schema: string): TransactionStyle {
  return { ...limited(schema, 'read', READING_MS), watched: false }
}

/** For inserting a few megabytes of rows, or a single very long one. Nobody waits for these rows. */
export function restoringTransaction(schema: string): TransactionStyle {
  return { ...limited(schema, 'write', READING_MS), watched: false }
}

/** For migrations: statements take as long as they need. */
export function migrationTransaction(schema: string): TransactionStyle {
  return {
    begin: [
      'BEGIN ISOLATION LEVEL READ COMMITTED',
      ...settings({ lock_timeout: DDL_LOCK_MS, statement_timeout: 0, idle_in_transaction_session_timeout: DDL_IDLE_MS }),
      // Exists from PostgreSQL 17 on.
      `SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings WHERE name ${EQ} 'transaction_timeout'`,
      searchPath(schema),
      NOW,
    ].join('; '),
    answerMs: 0,
    writes: true,
    watched: false,
  }
}

function settings(values: Readonly<Record<string, number>>): string[] {
  // With row security off, a policy that would hide rows raises an error instead.
  return ['SET LOCAL row_security = off', ...Object.entries(values).map(([name, value]) => `SET LOCAL ${name} = ${value}`)]
}

/**
 * Our schema first, then the schemas that the gateway's own statements see: its triggers may rely on them. pg_catalog is removed from a path that names
 * it: then it is searched before all others, and an exact match is always the built-in object.
 */
function searchPath(schema: string): string {
  const setting = `pg_catalog.current_setting('search_path'::pg_catalog.text)`
  const schemas = 'pg_catalog.current_schemas(false)'
  return `SELECT pg_catalog.set_config('search_path'::pg_catalog.text, pg_catalog.concat_ws(', '::pg_catalog.text, ${literal(quoted(schema))}::pg_catalog.text,
  CASE WHEN 'pg_catalog'::pg_catalog.name ${EQ} ANY (${schemas}) THEN
    (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(s.name::pg_catalog.text), ', '::pg_catalog.text ORDER BY s.place)
      FROM pg_catalog.unnest(${schemas}) WITH ORDINALITY AS s (name, place) WHERE s.name ${NE} 'pg_catalog')
  WHEN ${setting} ${NE} '' THEN ${setting} END), true)`
}

export const EPOCH_MS = `${millisecondsOf('pg_catalog.clock_timestamp()')}::bigint`
const NOW = `SELECT ${EPOCH_MS} AS now`
