import { isAscii } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'
import type { Database, OpenOptions } from '../database.ts'
import { NO_TERMS } from '../purging.ts'
import type { Query, Session } from '../query.ts'
import type { DatabaseUrl, PostgresUrl } from '../url/url-types.ts'
import type { Target } from './connection/attempt.ts'
import { connectPatiently, reportingOnce } from './connection/connect.ts'
import { Connection, type Copy } from './connection/connection.ts'
import { chooseSchema, schemaFacts, type SchemaChoice } from './connection/schema-choice.ts'
import { postgresLabel } from './connection/server-names.ts'
import { checkServer, serverFacts } from './connection/server-check.ts'
import {
  EPOCH_MS,
  lookTransaction,
  plainTransaction,
  readingTransaction,
  restoringTransaction,
  shortTransaction,
} from './connection/transactions.ts'
import { charsetOf, storableIn } from './exporting/charset.ts'
import { PostgresExportedRows } from './exporting/exported-rows.ts'
import { forRestoring, makeRestoreTable, restore } from './exporting/restoring.ts'
import { instantOf, instantsOf, recordColumns } from './exporting/stored-rows.ts'
import { millisecondsOf } from './exact.ts'
import { qualified } from './identifiers.ts'
import { isPooled, withMigrationLock } from './migrating/migration-lock.ts'
import { approximateRows, indexState, relations, tablesAmong } from './migrating/relations.ts'
import { missingGrants, updatersOf } from './grants.ts'
import { raiseNumbers } from './numbers.ts'
import { mustBeTrusted, OWN_TABLES } from './owners.ts'
import type { Taken } from './purging/cascaded.ts'
import { partitionsOf } from './partitioning/partitions.ts'
import { inspect } from './purging/inspect.ts'
import { PACING, pressureGauge } from './purging/pressure.ts'
import { expiredRows } from './purging/slices.ts'
import { NEEDLESS_COMPACTION, space } from './space.ts'

/** Waits for a server that does not answer yet; rejects with a `DatabaseError` when it cannot be reached or used. */
export async function openPostgres(options: OpenOptions & { readonly url: PostgresUrl }): Promise<Database> {
  const { timeZone, clock, listener, signal } = options
  let { url } = options
  // Connecting to a server never creates a database, so `existing` is the same as `write`.
  const access = options.access === 'read' ? 'read' : 'write'
  const noted = new Set<string>()
  const target: Target = {
    get url() {
      return url
    },
    applicationName: options.applicationName,
    schema: options.schema,
    clock,
    random: options.random,
    writes: access === 'write',
    async check(connected) {
      const facts = await serverFacts(connected)
      for (const note of checkServer(facts, access === 'write' ? 'read-write' : url.target)) {
        if (!noted.has(note)) listener.note(note)
        noted.add(note)
      }
      return facts
    },
    renewLogin() {
      const renewed = withLoginOf(url, options.readUrlAgain())
      if (renewed === undefined) return false
      url = renewed
      return true
    },
  }
  const connected = await connectPatiently(target, {
    timeoutMs: options.connectTimeoutMs,
    signal,
    giveUpOnRefusal: true,
    failed: reportingOnce((place, reason) => listener.awaiting(place, reason)),
  })
  const connection = new Connection(target, listener, connected, options.reconnectTimeoutMs)
  const label = postgresLabel(url)
  const { schema, warnings } = await schemaOf(connection, options.schema, `${label.place}/${label.name}`).catch(async (error: unknown) => {
    await connection.close()
    throw error
  })
  for (const warning of warnings) listener.warning(warning)

  const short = shortTransaction(schema, access)
  const glance = lookTransaction(schema)
  const look: Session['transaction'] = (work) => connection.transaction(glance, work)
  const transaction: Session['transaction'] = (work, { takesMs } = {}) =>
    connection.transaction(takesMs === undefined ? short : shortTransaction(schema, access, takesMs), work)
  const plain = access === 'read' ? short : plainTransaction(schema)
  const query: Query['query'] = (sql, values) => connection.transaction(plain, (tx) => tx.query(sql, values))
  // Statements under src/database qualify every name, so a single one needs a transaction only to be read-only.
  const queries: Query = access === 'read' ? { query } : connection
  const now = async (): Promise<number> => (await queries.query<{ now: number }>(`SELECT ${EPOCH_MS} AS now`)).rows[0]?.now ?? NaN
  const lockBackoff = { held: false }
  // True at the start: an earlier worker may have left unflushed batches.
  const unflushed = { any: true }
  const reading = readingTransaction(schema)
  const scan: Session['transaction'] = (work) => connection.transaction(reading, work)
  const copy: Copy = (...args) => connection.copy(reading, ...args)
  const charset = charsetOf(queries)
  const storable = async (text: string): Promise<string> => (isAscii(Buffer.from(text)) ? text : storableIn(await charset(), text))
  const steered = new Set<string>()
  const taken = new Map<string, Taken>()
  const withLock: Database['withMigrationLock'] = (lock, work) => withMigrationLock({ ...lock, connection, target, clock, schema }, work)
  const partitioning = {
    query: queries,
    look,
    scan,
    schema,
    timeZone,
    withMigrationLock: withLock,
    pooled: () => isPooled(connection),
    clock,
    random: options.random,
  }
  const slicing = { query: queries, copy, look, scan, schema, timeZone, lockBackoff, unflushed, steered, taken }

  return {
    label,
    isStandby: async () =>
      (await query<{ standby: boolean }>('SELECT pg_catalog.pg_is_in_recovery() AS standby')).rows[0]?.standby === true,
    login: async () => (await query<{ login: string }>('SELECT session_user::pg_catalog.text AS login')).rows[0]?.login,
    missingGrants: (rights) => missingGrants({ query }, schema, rights),
    query,
    transaction,
    now,
    reconnected: (giveUp) => connection.reconnected(giveUp),
    raiseNumbers: (tx, ...raised) => raiseNumbers(tx, schema, ...raised),
    named: (table) => qualified(schema, table),
    storable,

    pacing: PACING,
    // The server ends a statement that takes too long.
    rehearse: () => Promise.resolve(),
    inspect: (column, terms = NO_TERMS) => inspect({ query: queries, look, schema, timeZone, now, terms, steered, taken }, column),
    expired: (column, cutoff, spared) => expiredRows(slicing, column, cutoff, spared),
    sparedBy: (column, spared, cutoff, most) => expiredRows(slicing, column, cutoff).sparedInTable(spared, most),
    heldMs: () => connection.last.heldMs,
    pressure: pressureGauge({ query: connection, clock, last: () => connection.last, transactions: () => connection.transactions }),
    // Does nothing: dead rows are left to autovacuum, which knows the load and the table's settings better.
    afterBatch: async () => undefined,
    // The worker never creates a PostgreSQL database, so somebody chose this one.
    gatewayHasWritten: () => Promise.resolve(true),
    space: (tables) => space(queries, schema, tables),
    compaction: () => Promise.resolve({ needless: NEEDLESS_COMPACTION }),

    worksElsewhere: true,
    // COMMIT waits for the disk whatever the server's default, except for batches. A later commit that writes something waits for those too.
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
    exported: (column, cutoff, longestBytes, spared) =>
      new PostgresExportedRows({ ...slicing, charset }, column, cutoff, longestBytes, spared),
    instantOf: instantOf(timeZone),
    instantsOf: instantsOf(timeZone),
    columnsOf: ({ table, column }) => recordColumns(queries, schema, table, column),
    namesOneTable: (a, b) => a === b,
    makeRestoreTable: (restoring, columns) => forRestoring(() => makeRestoreTable({ query }, schema, restoring, columns)),
    restore: async (...args) => {
      const place = { schema, timeZone, charset: await charset() }
      return forRestoring(() => connection.transaction(restoringTransaction(schema), (tx) => restore({ tx, ...place }, ...args)))
    },

    migrationFiles: /^\d+_[a-z0-9_]*(?<!_sqlite)\.sql$/,
    tablesAmong: (names) => tablesAmong(queries, schema, names),
    relations: () => relations(queries, schema),
    approximateRows: (table) => approximateRows(queries, schema, table),
    indexState: (name) => indexState(queries, schema, name),
    updatersOf: (table) => updatersOf(queries, schema, table),
    serverStartedAt: async () => (await queries.query<{ at: number }>(SERVER_STARTED_AT)).rows[0]?.at,
    pooled: () => isPooled(connection),
    withMigrationLock: withLock,
    partitions: (column) => partitionsOf({ ...partitioning, column }),

    matching: async (sought) => (await import('./searching/matching-rows.ts')).matchingRows({ scan, schema, timeZone, storable }, sought),
    otherTables: async (known) => (await import('./searching/other-tables.ts')).otherTables(queries, schema, known),
    examining: async () => (await import('./examining/examination.ts')).examination({ transaction: scan, schema }),

    [Symbol.asyncDispose]: () => connection.close(),
  }
}

/** The URL with another login, if that is all that differs: another database would not be the one that this program has looked at. */
function withLoginOf(url: PostgresUrl, again: DatabaseUrl | undefined): PostgresUrl | undefined {
  if (again?.engine !== 'postgres' || (again.user === url.user && again.password === url.password)) return undefined
  const renewed = { ...again, user: url.user, password: url.password, given: url.given, variables: url.variables, notes: url.notes }
  return isDeepStrictEqual(renewed, url) ? { ...url, user: again.user, password: again.password } : undefined
}

const SERVER_STARTED_AT = `SELECT ${millisecondsOf('pg_catalog.pg_postmaster_start_time()')}::bigint AS at`

/** Writes a message to the write-ahead log that nobody reads, so that the commit has something to flush. */
const FLUSHED = `SELECT pg_catalog.pg_logical_emit_message(true, 'mcp-gateway-maintenance'::pg_catalog.text, ''::pg_catalog.text)`

async function schemaOf(query: Query, chosen: string | undefined, database: string): Promise<SchemaChoice> {
  const choice = chooseSchema(chosen, await schemaFacts(query, chosen), database)
  await mustBeTrusted(query, choice.schema, OWN_TABLES)
  return choice
}
