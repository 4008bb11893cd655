import { DAY, MINUTE, SECOND } from '../../src/time/clock.ts'
import type { TestDatabase } from './engines.ts'

/** How times are shifted in SQL; the gateway's own form is kept. */
export const SHIFTED = {
  sqlite: (column: string) => `strftime('%Y-%m-%d %H:%M:%S', substr(${column}, 1, 19), $1 || ' seconds') || substr(${column}, 20)`,
  postgres: (column: string) => `${column} + make_interval(secs => $1::float8)`,
} as const

/** The same times as epoch milliseconds. */
const EPOCH = {
  sqlite: (column: string) => `CAST(ROUND((julianday(${column}) - 2440587.5) * 86400000) AS INTEGER)`,
  postgres: (column: string) => `(extract(epoch FROM ${column}) * 1000)::bigint`,
} as const

export interface Column {
  readonly table: string
  readonly column: string
  /** Rows older than this many days have expired. */
  readonly days: number
}

/**
 * Moves the times of a copy forward so that rows lie on both sides of the cutoff whenever the test runs, and none within minutes of it.
 * Answers with how many rows have expired.
 */
export async function bringUpToDate(
  database: TestDatabase,
  dialect: 'sqlite' | 'postgres',
  { table, column, days }: Column,
): Promise<number> {
  const quoted = `"${column}"`
  const rows = await database.sql<{ at: number }>(`SELECT ${EPOCH[dialect](quoted)} AS at FROM ${table} ORDER BY 1`)
  const times = rows.map((row) => row.at)
  const cutoff = Date.now() - days * DAY
  const newest = days === 0 ? times[Math.floor(times.length / 2)]! : times.at(-1)!
  const target = days === 0 ? newest : newest - days * DAY
  const at = times.findIndex((time, index) => index > 0 && time > target && time - times[index - 1]! > 10 * MINUTE)
  const middle = (times[at - 1]! + times[at]!) / 2
  const seconds = Math.round((cutoff - middle) / SECOND)
  await database.sql(`UPDATE ${table} SET ${quoted} = ${SHIFTED[dialect](quoted)}`, [seconds])
  return at
}
