import { DatabaseError } from '../../database-error.ts'
import type { SparedCount, SparedExpired } from '../../purging.ts'
import type { Value } from '../../query.ts'
import { EQ, LT, textOf } from '../exact.ts'
import { asText } from '../times.ts'
import { after, isExpired, STEERED, type TimedTable } from './slice-sql.ts'
import { bindingTo, isFree, type SparedTest } from './spared-sql.ts'
import type { Expired } from './edges.ts'

/** A statement of a table of any size counts about so many rows: more only if they have the same time. */
const ROWS_AT_ONCE = 100_000
/** Where a table is too large to be counted as a whole, so many of its rows are looked at. */
const MOST_READ = 1_000_000
/** A command waits for it. */
const WHOLE_MS = 3_000

/** How many expired rows each of `asked` keeps, and how many at least one of them. */
export async function sparedAmong(expired: Expired, asked: readonly SparedTest[]): Promise<SparedExpired> {
  if (asked.length === 0) return { any: 0, each: [] }
  return (await counted(expired, asked, { expiredOnly: true, mostRows: Infinity })).spared
}

/** How many rows of the whole table one of them keeps, and how many of these have expired; both up to `most`. */
export async function sparedInTable(expired: Expired, asked: SparedTest, most: number): Promise<SparedCount> {
  const values: Value[] = [expired.cutoff, most + 1]
  const statement = wholeSql(expired, asked, values)
  try {
    const { rows } = await expired.scan(async (tx) => {
      // Most of the rows, or none, may match: the planner knows best how they are found.
      await tx.query(`SET LOCAL enable_seqscan = on; SET LOCAL statement_timeout = ${WHOLE_MS}`)
      return tx.query<{ rows: number; expired: number }>(statement, values)
    })
    const { rows: found, expired: gone } = rows[0]!
    return { rows: Math.min(found, most), expired: Math.min(gone, most), more: found > most }
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.kind !== 'busy') throw error
  }
  const known = await counted(expired, [asked], { expiredOnly: false, mostRows: MOST_READ })
  return { rows: Math.min(known.spared.any, most), expired: Math.min(known.expired, most), more: true }
}

interface Counting {
  readonly expiredOnly: boolean
  /** After about so many it ends. */
  readonly mostRows: number
}

interface Counts {
  readonly spared: SparedExpired
  /** Of those that are spared by any. */
  readonly expired: number
}

/** Part by part in order of the time, each in a transaction of its own. */
async function counted(walked: Expired, asked: readonly SparedTest[], { expiredOnly, mostRows }: Counting): Promise<Counts> {
  const { scan, type } = walked
  const cutoff = expiredOnly ? walked.cutoff : 'infinity'
  const each = asked.map(() => 0)
  let [any, expired] = [0, 0]
  let from: Part = { from: '-infinity', inclusive: false }
  for (let looked = 0; looked < mostRows; looked += ROWS_AT_ONCE) {
    const here: Part = from
    const next: Part | undefined = await scan(async (tx) => {
      await tx.query(STEERED)
      const { rows } = await tx.query<{ at: string; equal: boolean }>(endSql(walked, here.inclusive), [cutoff, here.from, ROWS_AT_ONCE])
      const end = rows[0]
      const isEqual = here.inclusive && end?.equal === true
      const to =
        end === undefined
          ? ''
          : isEqual
            ? ` AND t.${walked.column} ${EQ} $2::pg_catalog.${type}`
            : ` AND t.${walked.column} ${LT} $4::pg_catalog.${type}`
      const values: Value[] = [cutoff, here.from, walked.cutoff, ...(end === undefined || isEqual ? [] : [end.at])]
      const statement = countsSql(walked, `${after(walked, here.inclusive)}${to}`, asked, expiredOnly ? walked.spared : [], values)
      const row = (await tx.query<{ counts: string; any: number; expired: number }>(statement, values)).rows[0]!
      for (const [index, count] of row.counts.slice(1, -1).split(',').entries()) each[index]! += Number(count)
      any += row.any
      expired += row.expired
      if (end === undefined) return undefined
      return isEqual ? { from: here.from, inclusive: false } : { from: end.at, inclusive: true }
    })
    if (next === undefined) break
    from = next
  }
  return { spared: { any, each }, expired }
}

interface Part {
  readonly from: string
  readonly inclusive: boolean
}

/** The time of the row that lies `$3` rows behind the first one from `$2` on, and whether it is `$2` itself. */
function endSql(timed: TimedTable, inclusive: boolean): string {
  const { table, column, type } = timed
  return `SELECT ${asText('r.at')} AS at, r.at ${EQ} $2::pg_catalog.${type} AS equal FROM (
  SELECT t.${column} AS at FROM ${table} AS t WHERE ${after(timed, inclusive)} ORDER BY t.${column} OFFSET $3::bigint LIMIT 1
) AS r`
}

function countsSql(timed: TimedTable, where: string, asked: readonly SparedTest[], spared: readonly SparedTest[], values: Value[]): string {
  const { table, column, type } = timed
  const bind = bindingTo(values)
  const named = asked.map((test, index) => `(${test(bind)}) IS TRUE AS s${index}`)
  const left = spared.length === 0 ? '' : ` AND ${isFree(spared, bind)}`
  const any = asked.map((_, index) => `r.s${index}`).join(' OR ')
  const counts = asked.map((_, index) => `pg_catalog.count(*) FILTER (WHERE r.s${index})`)
  return `SELECT ${textOf(`ARRAY[${counts.join(', ')}]`)} AS counts, pg_catalog.count(*) FILTER (WHERE ${any}) AS "any",
  pg_catalog.count(*) FILTER (WHERE r.expired AND (${any})) AS expired
FROM (SELECT t.${column} ${LT} $3::pg_catalog.${type} AS expired, ${named.join(', ')} FROM ${table} AS t WHERE ${where}${left} OFFSET 0) AS r`
}

function wholeSql(timed: TimedTable, asked: SparedTest, values: Value[]): string {
  const bind = bindingTo(values)
  return `SELECT pg_catalog.count(*) AS rows, pg_catalog.count(*) FILTER (WHERE r.expired) AS expired FROM (
  SELECT (${isExpired(timed)}) IS TRUE AS expired FROM ${timed.table} AS t WHERE ${asked(bind)} LIMIT $2::bigint
) AS r`
}
