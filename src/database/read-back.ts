import { DatabaseError } from './database-error.ts'
import type { Query, Value } from './query.ts'

/** Columns by name. */
export type Columns = Readonly<Record<string, Value>>

/**
 * Called after every write that is relied on, in its transaction: a trigger or a rule may swallow or change a write without an error. Rejects if the row is
 * not there as it was written, so that the transaction is rolled back.
 */
export async function readBack(query: Query, table: string, key: Columns, written: Columns): Promise<void> {
  const row = await rowOf(query, table, key, Object.keys(written))
  const wrong = Object.keys(written).filter((name) => row === undefined || row[name] !== written[name])
  if (wrong.length > 0) throw notKept(table, wrong)
}

/** `undefined`: there is no such row. Numeric keys are 64 bits wide. */
export async function rowOf<Row extends Columns>(
  query: Query,
  table: string,
  key: Columns,
  columns: readonly string[],
): Promise<Row | undefined> {
  const where = Object.entries(key).map(
    ([name, value], index) => `"${name}" = ${typeof value === 'number' ? `CAST($${index + 1} AS bigint)` : `$${index + 1}`}`,
  )
  const { rows } = await query.query<Row>(
    `SELECT ${columns.map((name) => `"${name}"`).join(', ')} FROM ${table} WHERE ${where.join(' AND ')}`,
    Object.values(key),
  )
  return rows[0]
}

export function notKept(table: string, columns: readonly string[]): DatabaseError {
  return new DatabaseError(
    'failed',
    `${table} does not hold what was just written to it (${columns.join(', ')}): a trigger or a rule on that table dropped or changed it. The ` +
      'transaction was rolled back. Drop that trigger or rule, then run again.',
  )
}
