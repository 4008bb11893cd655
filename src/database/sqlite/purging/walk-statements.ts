import type { Value } from '../../query.ts'
import type { Connection } from '../connection/connection.ts'
import { BUILT_IN } from '../names.ts'
import type { Range } from './index-ranges.ts'
import type { Layout } from './layout.ts'
import type { Sparing } from './spared-sql.ts'

/** Every statement on a time column. With an index each is a search of it; without one, rows are walked by number. */
export interface Statements {
  /** What is to be bound to a statement that reads rows for the judge: its own values, and what the masks need. */
  bound(own: readonly (Value | Uint8Array)[]): readonly (Value | Uint8Array)[]
  /** Time and row number of the first rows of a range: from `$1`, below `$2`, at most `$3`. */
  first(range: Range): string
  /** The same for rows after the time `$1`, below `$2`, at most `$3`. */
  after(range: Range): string
  /** The same for rows with the time `$1`, after the row `$2`, at most `$3`. */
  sameTime(range: Range): string
  /** As `first`, and below the time `$4`. */
  firstUntil(range: Range): string
  /** As `after`, and below the time `$4`. */
  afterUntil(range: Range): string
  /** As `sameTime`, up to and including the row `$4`. */
  sameTimeUntil(range: Range): string
  /** As `$2` of `sameTimeUntil`: every row of the time. */
  readonly beforeAll: number
  /** Whether the time `$1` comes before the time `$2` (-1), is the same (0) or comes after it (1). */
  order(range: Range): string
  /** The same without an index: the rows after the row `$1`, at most `$2`. */
  readonly walk: string
  /** As `walk`, up to and including the row `$3`. */
  readonly walkUntil: string
  /** The current time and row number of the rows numbered in the JSON list `$1`. */
  readonly reread: string
  /** `undefined`: the column takes no NULL. */
  readonly undated: string | undefined
  /** The last row of a range: from `$1`, below `$2`. */
  last(range: Range): string
  /** How many rows a range has, counted up to `$3`. */
  bounded(range: Range): string
  /** How many rows the table has, counted up to `$1`. */
  readonly size: string
  /** The newest `$3` rows with a text from `$1` to below `$2`. */
  readonly newest: string
  /** The bytes of the text in row `$1`. */
  readonly bytes: string
}

/**
 * Outdated statistics cannot turn any of these into a scan: `INDEXED BY` fails if the index no longer exists, and `CROSS JOIN` fixes the order. (The DELETE
 * in `removal.ts` can become a scan, and is then replaced.)
 *
 * Rows come in index order, forwards in time. Rows with the same time are ordered by number, descending in a descending index, which is walked backwards.
 * Text is bound through a CAST, so that bytes that are not UTF-8 can be bound too.
 *
 * With `sparing`, the statements that return rows for the judge also select its masks, from the same row.
 */
export function statementsFor({ table, column, rowid, nullable, index }: Layout, sparing?: Sparing, reading = ALL_ROWS): Statements {
  const indexed = index === undefined ? table : `${table} INDEXED BY ${index.name}`
  const masks = (alias = ''): string => (sparing?.masks(MOST_OWN + 1, alias).columns ?? []).map((mask) => `, ${mask}`).join('')
  const masked = sparing?.masks(MOST_OWN + 1).values ?? []
  const certain = reading.skips ? sparing?.certainly(MOST_OWN + 1 + masked.length) : undefined
  const values = [...masked, ...(certain?.values ?? [])]
  // What is no time, or hardly looks like one, is read nevertheless, so that it is counted.
  const skipped = ({ kind }: Range): string =>
    certain === undefined ? '' : ` AND (${kind === 'text' ? `${column} GLOB ${LIKE_A_TIME} AND ` : ''}${certain.sql}) IS NOT TRUE`
  const { limit: rows } = reading
  const row = `SELECT ${column}, ${rowid}${masks()} FROM ${indexed}`
  const [onwards, upTo, order] = index?.descending === true ? ['<', '>=', 'DESC'] : ['>', '<=', 'ASC']
  const forwards = `ORDER BY ${column}, ${rowid} ${order}`
  const below = (range: Range): string => (range.kind === 'blob' ? 'TRUE' : `${column} < ${limit(range)}`)
  // One bound, not two: SQLite might search by the further of two, and read everything between them.
  const belowBoth = (range: Range): string => `${column} < min(${limit(range)}, ${bound(range, '$4')})`
  const first = (range: Range, upper: string): string =>
    `${row} WHERE ${column} >= ${start(range)} AND ${upper}${skipped(range)} ${forwards} ${rows}`
  const after = (range: Range, upper: string): string =>
    `${row} WHERE ${column} > ${bound(range, '$1')} AND ${upper}${skipped(range)} ${forwards} ${rows}`
  const sameTime = (range: Range, upper: string): string =>
    `${row} WHERE ${column} = ${bound(range, '$1')} AND ${rowid} ${onwards} $2${upper}${skipped(range)} ORDER BY ${rowid} ${order} ${rows}`
  const walk = (upper: string): string =>
    `SELECT ${column}, ${rowid}${masks()} FROM ${table} WHERE ${rowid} > $1${upper} ORDER BY ${rowid} LIMIT $2`
  return {
    bound: (own) => (values.length === 0 ? own : [...own, ...UNUSED.slice(own.length), ...values]),
    first: onceEach((range) => first(range, below(range))),
    after: onceEach((range) => after(range, below(range))),
    sameTime: onceEach((range) => sameTime(range, '')),
    firstUntil: onceEach((range) => first(range, belowBoth(range))),
    afterUntil: onceEach((range) => after(range, belowBoth(range))),
    sameTimeUntil: onceEach((range) => sameTime(range, ` AND ${rowid} ${upTo} $4`)),
    beforeAll: onwards === '>' ? -Infinity : Infinity,
    order: (range) => {
      const [one, other] = [bound(range, '$1'), bound(range, '$2')]
      return `SELECT (${one} > ${other}) - (${one} < ${other})`
    },
    walk: walk(''),
    walkUntil: walk(` AND ${rowid} <= $3`),
    reread: `SELECT row.${column}, row.${rowid}${masks('row.')} FROM ${BUILT_IN.each}($1) AS chosen CROSS JOIN ${table} AS row WHERE row.${rowid} = chosen.value`,
    undated: nullable ? `SELECT count(*) FROM ${indexed} WHERE ${column} IS NULL` : undefined,
    last: (range) =>
      `SELECT ${column}, ${rowid} FROM ${indexed} WHERE ${column} >= ${start(range)} AND ${below(range)} ORDER BY ${column} DESC LIMIT 1`,
    bounded: (range) => `SELECT count(*) FROM (SELECT 1 FROM ${indexed} WHERE ${column} >= ${start(range)} AND ${below(range)} LIMIT $3)`,
    size: `SELECT count(*) FROM (SELECT 1 FROM ${table} NOT INDEXED WHERE ${rowid} > -9e999 LIMIT $1)`,
    newest: `SELECT ${column}, ${rowid} FROM ${indexed} WHERE ${column} >= CAST($1 AS TEXT) AND ${column} < CAST($2 AS TEXT) ORDER BY ${column} DESC LIMIT $3`,
    bytes: `SELECT CAST(${column} AS BLOB) AS bytes FROM ${table} WHERE ${rowid} = $1`,
  }
}

/** With many holds the texts are long. */
function onceEach(make: (range: Range) => string): (range: Range) => string {
  const made = new WeakMap<Range, string>()
  return (range) => {
    const sql = made.get(range) ?? make(range)
    made.set(range, sql)
    return sql
  }
}

/** Which rows of a range a statement returns. */
interface Reading {
  /** Whether rows that are certain to be spared are passed over. */
  readonly skips: boolean
  readonly limit: string
}

const ALL_ROWS: Reading = { skips: false, limit: 'LIMIT $3' }
/** How many of them there are cannot be told before: read them up to a position that `EDGE` finds. */
export const NOT_SPARED: Reading = { skips: true, limit: 'LIMIT $3' }
/** The one behind the first `$3`. */
export const EDGE: Reading = { skips: false, limit: 'LIMIT 1 OFFSET $3' }

const LIKE_A_TIME = `'[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9]*'`

/** No statement has more values of its own. */
const MOST_OWN = 4
const UNUSED: readonly null[] = [null, null, null, null]

/** Whether SQLite currently plans this statement as a look-up of each named row. */
export function isSearch(connection: Connection, sql: string): boolean {
  const parameters = new Set(sql.match(/\$\d+/g)).size
  const [first] = connection.run<{ detail: string }>(
    `EXPLAIN QUERY PLAN ${sql}`,
    Array.from({ length: parameters }, () => null),
  ).rows
  return first?.detail.startsWith('SEARCH') === true
}

/** The first value behind a range. */
function limit(range: Range): string {
  // Blobs are greater than text, text is greater than every number, and '' the least text. Nothing is behind the blobs; none of them is a time.
  if (range.kind === 'blob' || range.below === undefined) return range.kind === 'number' ? `''` : `x''`
  return bound(range, '$2')
}

function start(range: Range): string {
  return range.kind === 'blob' ? "x''" : bound(range, '$1')
}

function bound({ kind }: Range, name: string): string {
  return kind === 'text' ? `CAST(${name} AS TEXT)` : name
}
