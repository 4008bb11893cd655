import type { Connection } from '../connection/connection.ts'
import { BUILT_IN } from '../names.ts'
import type { Range } from './index-ranges.ts'
import type { Layout } from './layout.ts'
import { isSearch } from './walk-statements.ts'

/** Deletes rows by their numbers. */
export interface Removal {
  /** The rows numbered in the JSON list `$1`. */
  readonly listed: string
  /** The row `$1`. */
  readonly one: string
  /** Bound behind that. */
  readonly bounds: readonly (string | number | bigint)[]
  /** Whether `listed` looks each row up. */
  readonly listedIsSearch: boolean
}

/**
 * Each row was judged by its own time; the statement carries the bounds of the ranges where one can have expired besides, so that neither a damaged index
 * nor a mistake of ours takes a row that is clearly to be kept. A column behind a plus sign is compared as it is stored, and by no index.
 */
export function removalOf(connection: Connection, { table, column, rowid }: Layout, expired: readonly Range[]): Removal {
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
  const listed = `${from} ${rowid} IN (SELECT value FROM ${BUILT_IN.each}($1)) AND ${canHaveExpired}`
  const one = `${from} ${rowid} = $1 AND ${canHaveExpired}`
  return { listed, one, bounds, listedIsSearch: isSearch(connection, listed) }
}

/** The least value of the kind that sorts next. */
const FOLLOWING = { number: "''", text: "x''" } as const
