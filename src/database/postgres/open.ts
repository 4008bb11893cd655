import { DatabaseError, type Database, type OpenOptions, type Query, type Session } from '../database.ts'
import type { PostgresUrl } from '../url.ts'
import { connectPatiently, postgresLabel } from './connect.ts'
import { Connection, type Copy } from './connection.ts'
import { EQ } from './exact.ts'
import { qualified, quoted } from './identifiers.ts'
import { inspect } from './inspect.ts'
import { isPooled, withMigrationLock } from './migration-lock.ts'
import { PACING, pressureGauge } from './pressure.ts'
import { approximateRows, indexState, relations } from './relations.ts'
import { expiredRows } from './slices.ts'
import { makeRestoreTable, restore } from './restoring.ts'
import { instantOf, recordColumns } from './stored-rows.ts'
import { EPOCH_MS, lookTransaction, plainTransaction, readingTransaction, shortTransaction } from './transactions.ts'

/** Waits for a server that does not answer yet; rejects with a `DatabaseError` when it cannot be reached or used. */
export async function openPostgres(options: OpenOptions & { readonly url: PostgresUrl }): Promise<Database> {
  const { url, schema, timeZone, clock, listener, signal } = options
  // A server has databases, and makes none when it is connected to.
  const access = options.access === 'read' ? 'read' : 'write'
  const target = { url, applicationName: options.applicationName, clock }
  const driver = await connectPatiently(target, {
    timeoutMs: options.connectTimeoutMs,
    signal,
    giveUpOnRefusal: true,
    awaiting: (place, reason) => listener.awaiting(place, reason),
  })
  const connection = new Connection(target, listener, driver, options.reconnectTimeoutMs)
  const label = postgresLabel(url)
  try {
    await checkUsable(connection, { ...label, schema, access })
  } catch (error) {
    await connection.close()
    throw error
  }

  const short = shortTransaction(schema, access)
  const glance = lookTransaction(schema)
  const look: Session['transaction'] = (work) => connection.transaction(glance, work)
  const transaction: Session['transaction'] = (work) => connection.transaction(short, work)
  const plain = access === 'read' ? short : plainTransaction(schema)
  const query: Query['query'] = (sql, values) => connection.transaction(plain, (tx) => tx.query(sql, values))
  // Statements of this room name everything exactly: a single one needs no transaction, but where it must not write.
  const queries: Query = access === 'read' ? { query } : connection
  const now = async (): Promise<number> => (await queries.query<{ now: number }>(`SELECT ${EPOCH_MS} AS now`)).rows[0]?.now ?? NaN
  const caution = { held: false }
  // Of a worker before this one.
  const unflushed = { any: true }
  const reading = readingTransaction(schema)
  const copy: Copy = (...asked) => connection.copy(reading, ...asked)

  return {
    label,
    query,
    transaction,
    now,
    reconnected: (giveUp) => connection.reconnected(giveUp),
    named: (table) => qualified(schema, table),

    pacing: PACING,
    inspect: (column) => inspect({ query: queries, schema, timeZone, now }, column),
    expired: (column, cutoff) => expiredRows({ query: queries, copy, look, schema, timeZone, caution, unflushed }, column, cutoff),
    pressure: pressureGauge({ query: connection, clock, last: () => connection.last, transactions: () => connection.transactions }),
    // Nothing: dead rows are autovacuum's work, which knows the load and the table's settings better than a worker that has just deleted.
    tidy: async () => undefined,
    // What vacuum has made reusable is known only to extensions such as pg_freespacemap.
    reusableBytes: async () => undefined,
    sizeBytes: async () =>
      (await queries.query<{ bytes: number }>('SELECT pg_catalog.pg_database_size(pg_catalog.current_database()) AS bytes')).rows[0]
        ?.bytes ?? 0,

    worksElsewhere: true,
    // COMMIT waits for the disk, whatever the server's default, but for batches; one that has something to write waits for those too.
    durable: async () => {
      if (!unflushed.any) return
      unflushed.any = false
      try {
        await transaction((tx) => tx.query(FLUSHED))
      } catch (error) {
        unflushed.any = true
        throw error
      }
    },
    instantOf: instantOf(timeZone),
    columnsOf: (table) => recordColumns(queries, schema, table),
    makeRestoreTable: (restoring, columns) => makeRestoreTable({ query }, schema, restoring, columns),
    restore: (tx, restoring, columns, lines) => restore({ tx, schema, timeZone }, restoring, columns, lines),

    migrationFiles: /^\d+_[a-z0-9_]*(?<!_sqlite)\.sql$/,
    relations: () => relations(queries, schema),
    approximateRows: (table) => approximateRows(queries, schema, table),
    indexState: (name) => indexState(queries, schema, name),
    pooled: () => isPooled(connection),
    withMigrationLock: (lock, work) => withMigrationLock({ ...lock, connection, target, clock, schema }, work),

    [Symbol.asyncDispose]: () => connection.close(),
  }
}

/** A message in the log that nobody reads. */
const FLUSHED = `SELECT pg_catalog.pg_logical_emit_message(true, 'mcp-gateway-maintenance'::pg_catalog.text, ''::pg_catalog.text)`

interface Usability {
  readonly place: string
  readonly name: string
  readonly schema: string
  readonly access: 'write' | 'read'
}

/** A standby, or a database that is set to read-only, would fail at the first write; better at once. */
async function checkUsable(query: Query, { place, name, schema, access }: Usability): Promise<void> {
  const { rows } = await query.query<{ standby: boolean; read_only: boolean; schema: boolean }>(
    `SELECT pg_catalog.pg_is_in_recovery() AS standby, pg_catalog.current_setting('default_transaction_read_only') ${EQ} 'on' AS read_only,
       EXISTS (SELECT FROM pg_catalog.pg_namespace AS n WHERE n.nspname ${EQ} $1::pg_catalog.name) AS schema`,
    [schema],
  )
  const found = rows[0]
  if (access === 'write' && found?.standby === true) {
    throw new DatabaseError(
      'read-only',
      `PostgreSQL at ${place}/${name} is a standby and takes no writes. Nothing was changed. Point DATABASE_URL at the primary.`,
    )
  }
  if (access === 'write' && found?.read_only === true) {
    throw new DatabaseError(
      'read-only',
      `PostgreSQL at ${place}/${name} is read-only for this role (default_transaction_read_only). Nothing was changed. Connect as a role that may write.`,
    )
  }
  if (schema === '$user') {
    throw new DatabaseError(
      'refused',
      `The schema $user cannot be used: in a search_path the name stands for the role's own schema, quoted or not. Nothing was changed. Correct DATABASE_SCHEMA.`,
    )
  }
  if (found?.schema === false) {
    throw new DatabaseError(
      'refused',
      `Database ${name} at ${place} has no schema ${schema}. Nothing was changed. Run CREATE SCHEMA ${quoted(schema)}, or correct DATABASE_SCHEMA.`,
    )
  }
}
