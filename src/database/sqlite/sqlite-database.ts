import BetterSqlite3 from 'better-sqlite3'
import type { Database, OpenOptions } from '../database.ts'
import type { SqliteUrl } from '../url/url-types.ts'
import { BUSY_TIMEOUT_MS, Connection } from './connection/connection.ts'
import { prepareFile, sqliteLabel } from './connection/database-file.ts'
import { Housekeeping } from './connection/housekeeping.ts'
import { someOf } from './connection/neighbours.ts'
import { pacingOf } from './connection/pacing.ts'
import { SqliteSession } from './connection/session.ts'
import { Snapshot } from './connection/snapshot.ts'
import { isReplicated, syncLog, WriteAheadLog } from './connection/write-ahead-log.ts'
import { foreignTables, gatewayHasWritten } from './connection/written.ts'
import { SqliteExportedRows } from './exporting/exported-rows.ts'
import { makeRestoreTable, restore } from './exporting/restoring.ts'
import { storedColumns } from './exporting/stored-columns.ts'
import { withMigrationLock } from './migrating/migration-lock.ts'
import { approximateRows, indexState, relations, tablesAmong } from './migrating/relations.ts'
import { folded } from './names.ts'
import { inspect } from './purging/inspect.ts'
import { expiredRows } from './purging/slices.ts'
import { databaseError } from './sqlite-errors.ts'
import { instantIn } from './times.ts'

/** Opens the file, or makes it where it may be made. Rejects with a `DatabaseError` when it cannot be used. */
export async function openSqlite(options: OpenOptions & { readonly url: SqliteUrl }): Promise<Database> {
  const { file } = options.url
  const { present, path } = await prepareFile(file, options)
  const connection = new Connection(openFile(present ? path : ':memory:', path, options.access), path, options.clock, file)
  try {
    let told = false
    const waiting = (): void => {
      if (!told) options.listener.awaiting(file, 'another process holds its lock')
      told = true
    }
    const patience = { limitMs: options.connectTimeoutMs, signal: options.signal, waiting }
    // All of it: looking at the file can meet somebody's lock at any point.
    const { database, foreign } = await connection.patiently(
      () => ({ database: databaseOf(connection, prepare(connection), options), foreign: foreignTables(connection) }),
      patience,
    )
    if (options.access === 'write' && foreign.length > 0) options.listener.warning(foreignWarning(file, foreign))
    return database
  } catch (error) {
    connection.close()
    throw error
  }
}

/** It is no reason to refuse: the gateway's own file may have other tables first. */
function foreignWarning(file: string, tables: readonly string[]): string {
  const { some, more } = someOf(tables)
  const names = `${some.join(', ')}${more === 0 ? '' : ` and ${more} more`}`
  return (
    `${file} holds tables of another program, ${names}, and none of the gateway's: what the migrations make is made beside them; ` +
    `where the gateway keeps its own database elsewhere, stop this and correct DATABASE_URL`
  )
}

function openFile(path: string, file: string, access: OpenOptions['access']): BetterSqlite3.Database {
  try {
    // The file was made by now, or must not be.
    return new BetterSqlite3(path, { timeout: BUSY_TIMEOUT_MS, readonly: access === 'read' && path === file, fileMustExist: path === file })
  } catch (error) {
    throw databaseError(error, file)
  }
}

/** A bound for transactions that no `tidy` follows. */
const MOST_LEFT_TO_COMMIT_BYTES = 256 * 2 ** 20

/** Whether the database has a write-ahead log. */
function prepare(connection: Connection): boolean {
  // Whether the file is a database shows at the first read.
  connection.run('SELECT count(*) FROM main.sqlite_schema')
  // What a trigger or an index of the file runs is SQLite's own, and of that only what is harmless; `inspect` says so where a table needs more. The driver
  // opens every file in SQLite's defensive mode, in which no statement writes to the schema's table or to those behind a virtual one.
  connection.run('PRAGMA trusted_schema = OFF')
  // A page that is damaged is told when it is read, and not when it has misled.
  connection.run('PRAGMA cell_size_check = ON')
  // A reference that somebody put on a table is respected, whether or not the gateway asks SQLite to.
  connection.run('PRAGMA foreign_keys = ON')
  // What is deleted is overwritten: a purged token must not stay readable in the file.
  connection.run('PRAGMA secure_delete = ON')
  // A commit that also moved the log into the main file would seem to hold the lock for as long: `tidy` does that between batches, if anybody.
  const pages = isReplicated(connection) ? 0 : Math.ceil(MOST_LEFT_TO_COMMIT_BYTES / connection.figure('PRAGMA page_size'))
  connection.run(`PRAGMA wal_autocheckpoint = ${pages}`)
  return connection.run<{ journal_mode: string }>('PRAGMA journal_mode').rows[0]?.journal_mode === 'wal'
}

function databaseOf(
  connection: Connection,
  writeAhead: boolean,
  { url: { file }, timeZone, access, longestBlockMs }: OpenOptions & { readonly url: SqliteUrl },
): Database {
  const log = new WriteAheadLog(connection, new Snapshot(connection.file))
  const session = new SqliteSession(connection, log)
  const housekeeping = new Housekeeping(session, log, longestBlockMs)
  let open = true
  return {
    label: sqliteLabel(file),
    now: () => session.now(),
    query: (sql, values) => session.query(sql, values),
    transaction: (work) => session.transaction(work),
    reconnected: () => session.reconnected(),
    named: (table) => session.named(table),

    pacing: pacingOf(writeAhead, longestBlockMs),
    inspect: (column) => session.read(() => inspect(connection, column, timeZone)),
    expired: (column, cutoff) => expiredRows({ session, column, cutoff, timeZone }),
    pressure: () => housekeeping.pressure(),
    afterBatch: (last) => (access === 'read' ? Promise.resolve() : housekeeping.afterBatch(last)),
    gatewayHasWritten: () => session.read(gatewayHasWritten),
    sizeBytes: () => session.read(() => connection.figure('PRAGMA page_count') * connection.figure('PRAGMA page_size')),

    worksElsewhere: false,
    durable: () => session.read(() => syncLog(connection.file)),
    exported: (column, cutoff, longestBytes) => new SqliteExportedRows({ session, column, cutoff, timeZone }, longestBytes),
    instantOf: instantIn(timeZone),
    columnsOf: (table) => session.read(() => storedColumns(connection, table)),
    namesOneTable: (a, b) => folded(a) === folded(b),
    makeRestoreTable: (restoring, columns) => makeRestoreTable(session, restoring, columns),
    restore: (...asked) => session.transaction(async (tx) => restore(session, tx, timeZone, ...asked)),

    migrationFiles: /^\d+_\w+_sqlite\.sql$/,
    tablesAmong: (names) => session.read(() => tablesAmong(connection, names)),
    relations: () => session.read(() => relations(connection)),
    approximateRows: (table) => session.read(() => approximateRows(connection, table)),
    indexState: (name) => session.read(() => indexState(connection, name)),
    pooled: () => Promise.resolve(false),
    withMigrationLock: (lock, work) => withMigrationLock(session, lock, work),

    [Symbol.asyncDispose]: () => {
      if (open) {
        log.close()
        connection.close()
      }
      open = false
      return Promise.resolve()
    },
  }
}
