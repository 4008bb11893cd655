import BetterSqlite3 from 'better-sqlite3'
import type { Database, OpenOptions } from '../../../src/database/database.ts'
import type { ExpiredRows, Slice } from '../../../src/database/purging.ts'
import { openSqlite } from '../../../src/database/sqlite/sqlite-database.ts'
import { hostClock, SECOND } from '../../../src/time/clock.ts'

/** What the database told its listener. */
export interface Told {
  readonly created: string[]
  readonly warnings: string[]
  readonly awaited: string[]
}

export interface Opened extends AsyncDisposable {
  readonly database: Database
  readonly told: Told
}

/** Opens a file as the program does, as the user who runs the test. */
export async function opened(file: string, changes: Partial<Omit<OpenOptions, 'url'>> = {}): Promise<Opened> {
  const told: Told = { created: [], warnings: [], awaited: [] }
  const database = await openSqlite({
    url: { engine: 'sqlite', file, notes: [] },
    schema: 'public',
    timeZone: 'UTC',
    connectTimeoutMs: 2 * SECOND,
    access: 'write',
    readUrlAgain: () => undefined,
    random: Math.random,
    applicationName: 'test',
    clock: hostClock(),
    node: process.execPath,
    user: { uid: process.getuid?.() },
    listener: {
      created: (path) => void told.created.push(path),
      warning: (message) => void told.warnings.push(message),
      note: () => undefined,
      awaiting: (place, reason) => void told.awaited.push(`${place}: ${reason}`),
      lost: () => undefined,
      regained: () => undefined,
    },
    signal: new AbortController().signal,
    ...changes,
  })
  return { database, told, [Symbol.asyncDispose]: () => database[Symbol.asyncDispose]() }
}

/** Another connection to the file, as the gateway has one. It gives up on a lock at once. */
export function beside(file: string): BetterSqlite3.Database & Disposable {
  const other = new BetterSqlite3(file, { timeout: 0 })
  return Object.assign(other, { [Symbol.dispose]: () => void other.close() })
}

/** The slices from the first to the last, with nothing done to them. */
export async function slicesOf<S extends Slice>(
  rows: { next(size: number, after: Slice | undefined): Promise<S | undefined> },
  size: number,
): Promise<S[]> {
  const slices: S[] = []
  for (let slice = await rows.next(size, undefined); slice !== undefined; slice = await rows.next(size, slice)) slices.push(slice)
  return slices
}

/** Deletes what has expired, slice by slice. */
export async function purged(database: Database, rows: ExpiredRows, size: number): Promise<number> {
  let gone = 0
  for (let slice = await rows.next(size, undefined); slice !== undefined; slice = await rows.next(size, slice)) {
    const chosen = slice
    const { affected } = await database.transaction((tx) => chosen.remove(tx, []))
    gone += affected
    await database.afterBatch(false)
  }
  return gone
}

export const NOON = Date.parse('2026-11-23T12:00:00Z')
