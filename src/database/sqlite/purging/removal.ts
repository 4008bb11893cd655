import type { Connection } from '../connection/connection.ts'
import { BUILT_IN } from '../names.ts'
import type { Range } from './index-ranges.ts'
import type { Layout } from './layout.ts'
import type { Sparing } from './spared-sql.ts'
import { isSearch } from './walk-statements.ts'

/** Statements that delete rows by number. */
export interface Removal {
  /** Deletes the rows numbered in the JSON list `$1`. */
  readonly listed: string
  /** Deletes the row `$1`. */
  readonly one: string
  /** Further values to bind, from `$2` on. */
  readonly bounds: readonly (string | number | bigint)[]
  /** Whether SQLite plans `listed` as a look-up of each row. */
  readonly listedIsSearch: boolean
}

/**
 * Each row was judged by its own time. The statements also carry the bounds of the ranges in which a row can have expired, so that neither a damaged index
 * nor a bug of ours deletes a row that must clearly be kept; for the same reason they leave out rows that are spared whatever their time is. The plus sign makes
 * SQLite compare the stored value and use no index.
 */
export function removalOf(connection: Connection, { table, column, rowid }: Layout, expired: readonly Range[], sparing?: Sparing): Removal {
  const bounds: (string | number | bigint)[] = []
  const bind = (value: string | number | bigint): string => `$${bounds.push(value) + 1}`
  const value = `+${column} COLLATE BINARY`
  const within = expired.flatMap((range) =>
    range.kind === 'blob'
      ? []
      : [`(${value} >= ${bind(range.from)} AND ${value} < ${range.below === undefined ? FOLLOWING[range.kind] : bind(range.below)})`],
  )
  const from = `DELETE FROM ${table} NOT INDEXED WHERE`
  const canHaveExpired = within.length === 0 ? 'FALSE' : `(${within.join(' OR ')})`
  const always = sparing?.always(bounds.length + 2)
  bounds.push(...(always?.values ?? []))
  const mayGo = always === undefined ? canHaveExpired : `${canHaveExpired} AND NOT ${always.sql}`
  const listed = `${from} ${rowid} IN (SELECT value FROM ${BUILT_IN.each}($1)) AND ${mayGo}`
  const one = `${from} ${rowid} = $1 AND ${mayGo}`
  return { listed, one, bounds, listedIsSearch: isSearch(connection, listed) }
}

/** The lowest value of the next kind in SQLite's sort order. */
const FOLLOWING = { number: "''", text: "x''" } as const
