import { DatabaseError } from '../../database-error.ts'
import { TAGS, type Restored, type Restoring, type StoredColumn } from '../../exporting.ts'
import { mustBeRestorable, mustBeRow, notRestored, notThere, parsedLine, tagged, type NameRules } from '../../exporting/archived-columns.ts'
import { bytesOf, cutLine, isTagged, type LongString } from '../../exporting/json-line.ts'
import type { Transaction } from '../../query.ts'
import type { Connection } from '../connection/connection.ts'
import type { SqliteSession } from '../connection/session.ts'
import { declaredType } from '../declared-types.ts'
import { BUILT_IN, folded, MAIN, named, quoted } from '../names.ts'
import type { StoredValue } from '../stored-value.ts'
import { Cutoff } from '../times.ts'
import { storedColumns } from './stored-columns.ts'

/** The limits of SQLite as the driver is built. Names are limited too, so that no message has megabytes. */
const RULES: NameRules = { nameBytes: 255, columns: 2_000, folded }

/**
 * Creates the table with the columns of the source but without its constraints: row numbers are reused, and what was archived over years
 * may contain one twice.
 */
export async function makeRestoreTable(
  session: SqliteSession,
  restoring: Restoring,
  columns: readonly StoredColumn[],
): Promise<readonly string[]> {
  const { source, into, timeColumn } = restoring
  mustBeRestorable(restoring, columns, RULES)
  await session.transaction(async (tx) => {
    const own = storedColumns(session.connection, source, timeColumn)
    const made = own.length > 0 ? own : columns
    await tx.query(
      `CREATE TABLE IF NOT EXISTS ${named(into)} (${made.map(({ name, type }) => `${quoted(name)} ${declaredType(type)}`).join(', ')})`,
    )
    mustBeTable(session.connection, into)
    const target = storedColumns(session.connection, into, timeColumn)
    const key = made.filter((column) => column.key).map(({ name }) => quoted(name))
    if (key.length > 0 && target.every((column) => !column.key))
      await tx.query(`CREATE INDEX IF NOT EXISTS ${named(`idx_${into}_key`)} ON ${quoted(into)} (${key.join(', ')})`)
  })
  return []
}

/** If the name is that of a view or a virtual table, nothing is created, and rows would go wherever its triggers send them. */
function mustBeTable(connection: Connection, into: string): void {
  const { rows } = connection.run(
    `SELECT 1 FROM ${BUILT_IN.tables} WHERE schema = '${MAIN}' AND name = $1 COLLATE NOCASE AND type = 'table'`,
    [into],
  )
  if (rows.length === 0)
    throw new DatabaseError('failed', `${connection.file}: ${into} is not a table that rows can be restored into; nothing was restored`)
}

export function restore(
  session: SqliteSession,
  tx: Transaction,
  timeZone: string,
  restoring: Restoring,
  given: readonly StoredColumn[],
  lines: readonly Buffer[],
): Restored {
  session.mustOwn(tx)
  mustBeRestorable(restoring, given, RULES)
  const { into, cutoff, timeColumn } = restoring
  const target = targetOf(session.connection, restoring, given)
  const late = expiredBefore(cutoff, timeZone)
  const time = given.find(({ name }) => folded(name) === folded(timeColumn))?.name ?? timeColumn
  const restored = { inserted: 0, present: 0, conflicting: 0, expired: 0 }
  for (const line of lines) {
    const { text, long } = cutLine(line)
    const short = mustBeRow<LineValue>(parsedLine(text, revive), given)
    const row = long.size === 0 ? short : { ...short, ...valuesOf(long) }
    for (const { name } of given) mustBeStorable(row[name], name)
    if (late(row[time] ?? null)) restored.expired += 1
    else restored[target.put(given.map(({ name }) => row[name] ?? null))] += 1
  }
  const missing = target.missing()
  if (missing > 0) throw notThere(into, missing)
  return restored
}

type LineValue = StoredValue | Text

function valuesOf(long: ReadonlyMap<string, LongString>): Record<string, LineValue> {
  return Object.fromEntries(
    [...long].map(([name, value]) => {
      if (value.tag !== undefined && !isTagged(value))
        throw notRestored(`a line of the file has a value in ${quoted(name)} that no row can hold`)
      const bytes = bytesOf(value)
      return [name, value.tag === TAGS.bytes ? bytes : new Text(bytes)]
    }),
  )
}

interface Target {
  put(values: readonly LineValue[]): 'inserted' | 'present' | 'conflicting'
  /** How many of the rows that were inserted are not there as they were given. */
  missing(): number
}

function targetOf(connection: Connection, { into, timeColumn }: Restoring, archived: readonly StoredColumn[]): Target {
  const columns = storedColumns(connection, into, timeColumn)
  const columnOf = (name: string): StoredColumn | undefined => columns.find((column) => folded(column.name) === folded(name))
  const missing = archived.find(({ name }) => columnOf(name) === undefined)
  if (missing !== undefined)
    throw new DatabaseError(
      'failed',
      `${connection.file}: ${into} has no column ${quoted(missing.name)}, which the archive has; nothing of this batch was restored`,
    )
  const isStored = archived.map(({ name }) => columnOf(name)!.computed !== true)
  const given = archived.filter((_, index) => isStored[index])
  const names = given.map(({ name }) => quoted(name))
  interface Given {
    readonly places: readonly string[]
    readonly bound: readonly StoredValue[]
  }
  const found = (where: readonly string[], { bound }: Given): boolean =>
    connection.exactly(`SELECT 1 FROM ${named(into)} WHERE ${where.join(' AND ')} LIMIT 1`, bound) > 0
  const equals = ({ places }: Given, isKey: (column: StoredColumn) => boolean | undefined): string[] =>
    given.flatMap((column, index) => (isKey(column) === true ? [`${names[index]} = ${places[index]}`] : []))
  const isThere = (row: Given): boolean => {
    const same = names.map((name, index) => `${name} IS ${row.places[index]} AND typeof(${name}) = typeof(${row.places[index]})`)
    return found([...equals(row, ({ key }) => key), ...same], row)
  }
  const inserted: Given[] = []
  let swallowed = 0
  return {
    put(all) {
      const values = all.filter((_, index) => isStored[index])
      const row: Given = {
        // Text that was given as bytes is bound as bytes and cast back.
        places: values.map((value, index) => (value instanceof Text ? `CAST($${index + 1} AS TEXT)` : `$${index + 1}`)),
        bound: values.map((value) => (value instanceof Text ? value.bytes : value)),
      }
      if (isThere(row)) return 'present'
      // Another row with the same key is a conflict only if the table itself has that primary key.
      const own = equals(row, ({ name }) => columnOf(name)?.key)
      if (own.length > 0 && found(own, row)) return 'conflicting'
      // OR ABORT overrides the table's own ON CONFLICT clauses, so that no other row is replaced.
      const sql = `INSERT OR ABORT INTO ${named(into)} (${names.join(', ')}) VALUES (${row.places.join(', ')})`
      if (connection.exactly(sql, row.bound) === 1) inserted.push(row)
      else swallowed += 1
      return 'inserted'
    },
    missing: () => swallowed + inserted.filter((row) => !isThere(row)).length,
  }
}

function expiredBefore(cutoff: number | undefined, timeZone: string): (value: LineValue) => boolean {
  if (cutoff === undefined) return () => false
  const judging = Cutoff.at(cutoff, timeZone)
  return (value) => !(value instanceof Text) && judging.judge(value) === 'expired'
}

/** Text, given as its bytes. */
class Text {
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
}

/** Integers become bigint, other numbers stay number: the driver stores them as INTEGER and REAL. */
function revive(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value === 'number') return /[.eE]/.test(context?.source ?? '') ? value : BigInt(context?.source ?? value)
  // SQLite stores true and false as 1 and 0.
  if (typeof value === 'boolean') return value ? 1n : 0n
  if (typeof value !== 'object' || value === null) return value
  const { tag, text } = tagged(value) ?? {}
  if (tag === undefined || text === undefined) return value
  if (tag === TAGS.real) return REALS.has(text) ? Number(text) : value
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) return value
  return tag === TAGS.bytes ? Buffer.from(text, 'hex') : new Text(Buffer.from(text, 'hex'))
}

const REALS: ReadonlySet<string> = new Set(['Infinity', '-Infinity'])

/** Rejects values that no archive writes, and values that would be stored as something else. */
function mustBeStorable(value: unknown, name: string): void {
  const fits =
    value === null ||
    typeof value === 'string' ||
    typeof value === 'number' ||
    value instanceof Uint8Array ||
    value instanceof Text ||
    (typeof value === 'bigint' && BigInt.asIntN(64, value) === value)
  if (!fits) throw notRestored(`a line of the file has a value in ${quoted(name)} that no row of this database can hold`)
}
