import { DatabaseError, type Transaction } from '../database.ts'
import { TAGS, type Restored, type Restoring, type StoredColumn } from '../stored-rows.ts'
import { wallClockThreshold } from '../wall-clock.ts'
import type { Connection } from './connection.ts'
import { folded, quoted } from './names.ts'
import type { SqliteSession } from './session.ts'
import type { StoredValue } from './row-json.ts'
import { storedColumns } from './stored-rows.ts'
import { standing } from './times.ts'

/** Columns as those of the source, without its constraints: row numbers come again, and what was archived over years may hold one twice. */
export function makeRestoreTable(session: SqliteSession, { source, into }: Restoring, columns: readonly StoredColumn[]): Promise<void> {
  return session.transaction(async (tx) => {
    const own = storedColumns(session.connection, source)
    const made = own.length > 0 ? own : columns
    await tx.query(`CREATE TABLE IF NOT EXISTS ${quoted(into)} (${made.map(({ name, type }) => `${quoted(name)} ${type}`).join(', ')})`)
    const key = made.filter((column) => column.key).map(({ name }) => quoted(name))
    if (key.length > 0 && storedColumns(session.connection, into).every((column) => !column.key))
      await tx.query(`CREATE INDEX IF NOT EXISTS ${quoted(`idx_${into}_key`)} ON ${quoted(into)} (${key.join(', ')})`)
  })
}

export function restore(
  session: SqliteSession,
  tx: Transaction,
  timeZone: string,
  { into, cutoff, timeColumn }: Restoring,
  given: readonly StoredColumn[],
  lines: readonly string[],
): Restored {
  session.mustOwn(tx)
  const target = targetOf(session.connection, into, given)
  const late = expiredBefore(cutoff, timeZone)
  const restored = { inserted: 0, present: 0, conflicting: 0, expired: 0 }
  for (const line of lines) {
    const row = readLine(line)
    if (late(row[timeColumn] ?? null)) restored.expired += 1
    else restored[target.put(given.map(({ name }) => row[name] ?? null))] += 1
  }
  return restored
}

type LineValue = StoredValue | Text

interface Target {
  put(values: readonly LineValue[]): 'inserted' | 'present' | 'conflicting'
}

function targetOf(connection: Connection, into: string, given: readonly StoredColumn[]): Target {
  const columns = storedColumns(connection, into)
  const named = (name: string): StoredColumn | undefined => columns.find((column) => folded(column.name) === folded(name))
  const missing = given.find(({ name }) => named(name) === undefined)
  if (missing !== undefined)
    throw new DatabaseError(
      'failed',
      `${connection.file}: ${into} has no column ${quoted(missing.name)}, which the archive has; nothing of this batch was restored`,
    )
  const names = given.map(({ name }) => quoted(name))
  return {
    put(values) {
      // Text by its bytes is bound as bytes, and is text again here.
      const places = values.map((value, index) => (value instanceof Text ? `CAST($${index + 1} AS TEXT)` : `$${index + 1}`))
      const found = (where: readonly string[]): boolean =>
        connection.exactly(`SELECT 1 FROM ${quoted(into)} WHERE ${where.join(' AND ')} LIMIT 1`, bound) > 0
      const equals = (isKey: (column: StoredColumn) => boolean | undefined): string[] =>
        given.flatMap((column, index) => (isKey(column) === true ? [`${names[index]} = ${places[index]}`] : []))
      const bound = values.map((value) => (value instanceof Text ? value.bytes : value))
      const same = names.map((name, index) => `${name} IS ${places[index]} AND typeof(${name}) = typeof(${places[index]})`)
      const own = equals(({ name }) => named(name)?.key)
      if (found([...equals(({ key }) => key), ...same])) return 'present'
      // Only where the table itself takes a key but once is another row of that key in the way.
      if (own.length > 0 && found(own)) return 'conflicting'
      connection.exactly(`INSERT INTO ${quoted(into)} (${names.join(', ')}) VALUES (${places.join(', ')})`, bound)
      return 'inserted'
    },
  }
}

function expiredBefore(cutoff: number | undefined, timeZone: string): (value: LineValue) => boolean {
  if (cutoff === undefined) return () => false
  const wallCutoff = wallClockThreshold(cutoff, timeZone)
  return (value) => !(value instanceof Text) && standing(value, cutoff, wallCutoff) === 'expired'
}

/** Text by its bytes. */
class Text {
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
}

/** Whole numbers as bigints, others as numbers: the driver stores them as INTEGER and REAL. */
function readLine(line: string): Record<string, LineValue> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- that is what `RowReader` writes
  return JSON.parse(line, revive) as Record<string, LineValue>
}

function revive(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value === 'number') return /[.eE]/.test(context?.source ?? '') ? value : BigInt(context?.source ?? value)
  // What stands for true and false in SQLite.
  if (typeof value === 'boolean') return value ? 1n : 0n
  if (typeof value !== 'object' || value === null) return value
  const [tag, ...more] = Object.entries(value)
  if (tag === undefined || more.length > 0 || typeof tag[1] !== 'string') return value
  if (tag[0] === TAGS.bytes) return Buffer.from(tag[1], 'hex')
  if (tag[0] === TAGS.text) return new Text(Buffer.from(tag[1], 'hex'))
  return tag[0] === TAGS.real ? Number(tag[1]) : value
}
