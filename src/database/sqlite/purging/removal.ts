import type { Connection } from '../connection/connection.ts'
import { BUILT_IN } from '../names.ts'
import { within, type Range } from './index-ranges.ts'
import type { Layout } from './layout.ts'
import { asStored, type Sparing } from './spared-sql.ts'
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
 * nor a bug of ours deletes a row that must clearly be kept; for the same reason they leave out rows that are certain to be spared.
 */
export function removalOf(connection: Connection, { table, column, rowid }: Layout, expired: readonly Range[], sparing?: Sparing): Removal {
  const bounds: (string | number | bigint)[] = []
  const bind = (value: string | number | bigint): string => `$${bounds.push(value) + 1}`
  const canHaveExpired = within(asStored(column), expired, bind)
  const from = `DELETE FROM ${table} NOT INDEXED WHERE`
  const certain = sparing?.certainly(bounds.length + 2)
  bounds.push(...(certain?.values ?? []))
  const mayGo = certain === undefined ? canHaveExpired : `${canHaveExpired} AND ${certain.sql} IS NOT TRUE`
  const listed = `${from} ${rowid} IN (SELECT value FROM ${BUILT_IN.each}($1)) AND ${mayGo}`
  const one = `${from} ${rowid} = $1 AND ${mayGo}`
  return { listed, one, bounds, listedIsSearch: isSearch(connection, listed) }
}
