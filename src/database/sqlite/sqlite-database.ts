import BetterSqlite3 from 'better-sqlite3'
import { NOTHING_SPARED } from '../../policy/spared.ts'
import type { Database, OpenOptions } from '../database.ts'
import { NO_TERMS } from '../purging.ts'
import type { SqliteUrl } from '../url/url-types.ts'
import { BUSY_TIMEOUT_MS, Connection } from './connection/connection.ts'
import { prepareFile, sqliteLabel } from './connection/database-file.ts'
import { Housekeeping } from './connection/housekeeping.ts'
import { someOf } from './connection/neighbours.ts'
import { pacingOf } from './connection/pacing.ts'
import { SqliteSession } from './connection/session.ts'
import { Snapshot } from './connection/snapshot.ts'
import { wouldLeaveLog } from './connection/traces.ts'
import { isReplicated, syncLog, WriteAheadLog } from './connection/write-ahead-log.ts'
import { foreignTables, gatewayHasWritten } from './connection/written.ts'
import { SqliteExportedRows } from './exporting/exported-rows.ts'
import { makeRestoreTable, restore } from './exporting/restoring.ts'
import { storedColumns } from './exporting/stored-columns.ts'
import { withMigrationLock } from './migrating/migration-lock.ts'
import { approximateRows, indexState, relations, tablesAmong } from './migrating/relations.ts'
import { folded } from './names.ts'
import { inspect } from './purging/inspect.ts'
import { rehearse } from './purging/rehearsal.ts'
import { expiredRows } from './purging/slices.ts'
import { sparedInTable } from './purging/spared-counts.ts'
import { space } from './space.ts'
import { databaseError } from './sqlite-errors.ts'
import { allInstantsIn, instantIn } from './times.ts'

/** Opens the file, or creates it if that is allowed. Rejects with a `DatabaseError` when it cannot be used. */
export async function openSqlite(options: OpenOptions & { readonly url: SqliteUrl }): Promise<Database> {
  const { file } = options.url
  const { present, path } = await prepareFile(file, options)
  const readonly = options.access === 'read' && present && !(await wouldLeaveLog(path))
  const connection = new Connection(openFile(present ? path : ':memory:', path, readonly), path, options.clock, file)
  try {
    let reported = false
    const waiting = (): void => {
      if (!reported) options.listener.awaiting(file, 'another process holds its lock')
      reported = true
    }
    const patience = { limitMs: options.connectTimeoutMs, signal: options.signal, waiting }
    // Retried as a whole: any of these reads can run into another process's lock.
    const { database, foreign } = await connection.patiently(
      () => ({
        database: databaseOf(connection, { writeAhead: prepare(connection, options.access), present }, options),
        foreign: foreignTables(connection),
      }),
      patience,
    )
    if (options.access === 'write' && foreign.length > 0) options.listener.warning(foreignWarning(file, foreign))
    return database
  } catch (error) {
    connection.close()
    throw error
  }
}

/** Only a warning: the gateway may create its own tables in this file later. */
function foreignWarning(file: string, tables: readonly string[]): string {
  return (
    `${file} has tables of another program (${someOf(tables)}) and none of the gateway's. The migrations create theirs beside them. ` +
    `If the gateway's database is elsewhere, stop the worker and correct DATABASE_URL.`
  )
}

function openFile(path: string, file: string, readonly: boolean): BetterSqlite3.Database {
  try {
    // The file exists by now, or must not be created.
    return new BetterSqlite3(path, { timeout: BUSY_TIMEOUT_MS, readonly, fileMustExist: path === file })
  } catch (error) {
    throw databaseError(error, file)
  }
}

/** A limit for transactions that are not followed by `afterBatch`. */
const MOST_LEFT_TO_COMMIT_BYTES = 256 * 2 ** 20

/** Whether the database has a write-ahead log. */
function prepare(connection: Connection, access: OpenOptions['access']): boolean {
  // The first read fails if the file is not a database.
  connection.run('SELECT count(*) FROM main.sqlite_schema')
  // The file itself may have been opened for writing, see `wouldLeaveLog`.
  if (access === 'read') connection.run('PRAGMA query_only = ON')
  // Triggers and indexes of the file may only call SQLite's harmless built-in functions; `inspect` reports a table that needs others. The driver opens
  // every file in SQLite's defensive mode, in which no statement can write to the schema table or to the shadow tables of a virtual one.
  connection.run('PRAGMA trusted_schema = OFF')
  // Damaged pages are reported when they are read, before they can mislead.
  connection.run('PRAGMA cell_size_check = ON')
  // Foreign keys are enforced whether or not the gateway enables them.
  connection.run('PRAGMA foreign_keys = ON')
  // Deleted content is overwritten: a purged token must not stay readable in the file.
  connection.run('PRAGMA secure_delete = ON')
  // A commit that also checkpointed the log would appear to hold the lock for that long. `afterBatch` checkpoints between batches instead.
  const pages = isReplicated(connection) ? 0 : Math.ceil(MOST_LEFT_TO_COMMIT_BYTES / connection.figure('PRAGMA page_size'))
  connection.run(`PRAGMA wal_autocheckpoint = ${pages}`)
  return connection.run<{ journal_mode: string }>('PRAGMA journal_mode').rows[0]?.journal_mode === 'wal'
}

function databaseOf(
  connection: Connection,
  { writeAhead, present }: { readonly writeAhead: boolean; readonly present: boolean },
  { url: { file }, timeZone, access, longestBlockMs, node }: OpenOptions & { readonly url: SqliteUrl },
): Database {
  const log = new WriteAheadLog(connection, new Snapshot(connection.file))
  const session = new SqliteSession(connection, log)
  const housekeeping = new Housekeeping(session, log, longestBlockMs)
  let open = true
  const close = (): Promise<void> => {
    if (open) {
      log.close()
      connection.close()
    }
    open = false
    return Promise.resolve()
  }
  return {
    label: sqliteLabel(file),
    isStandby: () => Promise.resolve(false),
    login: () => Promise.resolve(undefined),
    missingGrants: () => Promise.resolve([]),
    now: () => session.now(),
    query: (sql, values) => session.query(sql, values),
    // No statement and no COMMIT is cut off here, so how long they may take is of no account.
    transaction: (work) => session.transaction(work),
    reconnected: () => session.reconnected(),
    raiseNumbers: (...raised) => session.raiseNumbers(...raised),
    named: (table) => session.named(table),
    storable: (text) => session.storable(text),

    pacing: pacingOf(writeAhead, longestBlockMs),
    inspect: (column, terms = NO_TERMS) => session.read(() => inspect(connection, column, terms, timeZone)),
    sparedBy: (column, spared, cutoff, most) => sparedInTable({ session, column, spared, cutoff, timeZone }, most),
    expired: (column, cutoff, spared = NOTHING_SPARED) => expiredRows({ session, column, cutoff, spared, timeZone }),
    rehearse: (column, cutoff, spared, stopping) => rehearse({ session, column, cutoff, spared, timeZone }, node, stopping),
    heldMs: () => session.heldMs,
    pressure: () => housekeeping.pressure(),
    afterBatch: (last) => (access === 'read' ? Promise.resolve() : housekeeping.afterBatch(last)),
    gatewayHasWritten: () => session.read(gatewayHasWritten),
    space: () => session.read(space),
    compaction: async () => (await import('./compaction.ts')).compactionOf(session, close),

    worksElsewhere: false,
    durable: () => session.read(() => syncLog(connection.file)),
    exported: (column, cutoff, longestBytes, spared = NOTHING_SPARED) =>
      new SqliteExportedRows({ session, column, cutoff, spared, timeZone }, longestBytes),
    instantOf: instantIn(timeZone),
    instantsOf: allInstantsIn(timeZone),
    columnsOf: ({ table, column }) => session.read(() => storedColumns(connection, table, column)),
    namesOneTable: (a, b) => folded(a) === folded(b),
    makeRestoreTable: (restoring, columns) => makeRestoreTable(session, restoring, columns),
    restore: (...asked) => session.transaction(async (tx) => restore(session, tx, timeZone, ...asked)),

    partitions: () => undefined,
    matching: async (sought) => (await import('./searching/matching-rows.ts')).matchingRows({ session, timeZone }, sought),
    otherTables: async (known) => (await import('./searching/other-tables.ts')).otherTables(session, known),
    examining: async () => (await import('./examining/examination.ts')).examination({ session, present, node }),

    migrationFiles: /^\d+_\w+_sqlite\.sql$/,
    tablesAmong: (names) => session.read(() => tablesAmong(connection, names)),
    relations: () => session.read(() => relations(connection)),
    approximateRows: (table) => session.read(() => approximateRows(connection, table)),
    indexState: (name) => session.read(() => indexState(connection, name)),
    updatersOf: () => Promise.resolve([]),
    serverStartedAt: () => Promise.resolve(undefined),
    pooled: () => Promise.resolve(false),
    withMigrationLock: (lock, work) => withMigrationLock(session, lock, work),

    [Symbol.asyncDispose]: close,
  }
}
