import { patternOf, type Match } from '../../../policy/match.ts'
import type { Spared, SparedRows } from '../../../policy/spared.ts'
import { DatabaseError } from '../../database-error.ts'
import { BUILT_IN, folded, quoted } from '../names.ts'
import type { StoredTime } from '../times.ts'
import { certainRanges, within } from './index-ranges.ts'
import type { Layout } from './layout.ts'
import type { TimeRange } from './time-ranges.ts'

/** Spared rows of one time range. */
interface Group {
  readonly matches: readonly Match[]
  readonly range: TimeRange | undefined
}

/** As many as an operation on bits of a number can tell apart. */
const GROUPS_A_MASK = 30

export interface Condition {
  readonly sql: string
  readonly values: readonly Bound[]
}

/**
 * Spared rows as the statements of one table see them. SQL says which groups match a row by its columns, in numbers with a bit for each group, so that no other
 * value of a row leaves the database; whether the row's time is in the range of such a group is decided here, where all formats of times are known.
 */
export class Sparing {
  readonly #groups: readonly Group[]
  readonly #time: Pick<Layout, 'column' | 'numbers'>
  readonly #columnOf: ColumnOf

  constructor(groups: readonly Group[], time: Pick<Layout, 'column' | 'numbers'>, columnOf: ColumnOf) {
    this.#groups = groups
    this.#time = time
    this.#columnOf = columnOf
    // Also says whether the columns exist.
    this.masks(1)
  }

  /** How many groups there are: what a row costs grows with them. */
  get size(): number {
    return this.#groups.length
  }

  /** The expressions to select behind a row's other values, one for each mask, and what is bound to `$first` and the following. `row`: the alias of the table, with its point. */
  masks(first: number, row = ''): { readonly columns: readonly string[]; readonly values: readonly Bound[] } {
    const { bind, values } = binding(first)
    const columns: string[] = []
    for (let at = 0; at < this.#groups.length; at += GROUPS_A_MASK) {
      const bits = this.#groups
        .slice(at, at + GROUPS_A_MASK)
        .map(({ matches }, bit) => `${this.#matching(matches, row, bind)} * ${2 ** bit}`)
      columns.push(bits.join(' + '))
    }
    return { columns, values }
  }

  /**
   * Of a row: it is spared whatever its time exactly means, or has none. `undefined`: there are no groups. Rows of which this is true need not be read to be passed
   * over; of the others, only the masks and the time can tell.
   */
  certainly(first: number): Condition | undefined {
    if (this.#groups.length === 0) return undefined
    const { bind, values } = binding(first)
    const groups = this.#groups.map(({ matches, range }) => {
      if (range === undefined) return this.#matching(matches, '', bind)
      const times = within(asStored(this.#time.column), certainRanges(range.from, range.until, this.#time.numbers), bind)
      return times === 'FALSE' ? times : `(${times} AND ${this.#matching(matches, '', bind)})`
    })
    return { sql: anyOf(groups), values }
  }

  /** `cells`: a row that has its masks from the place `at` on. */
  spares(time: StoredTime, cells: readonly unknown[], at: number): boolean {
    return this.#groups.length > 0 && this.sparing(time, cells, at).next().done !== true
  }

  /** The groups that spare a row, by their numbers. */
  sparing(time: StoredTime, cells: readonly unknown[], at: number): Generator<number, undefined> {
    return this.#matched(cells, at, ({ range }) => range === undefined || range.has(time))
  }

  /**
   * The groups that spare all rows with these masks whose times are from `first` to `last`, in the order of time. `undefined`: some of the times are in the range of a group, and others are not.
   */
  sparingAll(first: StoredTime, last: StoredTime, cells: readonly unknown[], at: number): readonly number[] | undefined {
    let differs = false
    const found = [
      ...this.#matched(cells, at, ({ range }) => {
        const side = range?.side(first) ?? 0
        differs ||= range !== undefined && range.side(last) !== side
        return side === 0
      }),
    ]
    return differs ? undefined : found
  }

  /** Those that match a row and are `meant`. */
  *#matched(cells: readonly unknown[], at: number, meant: (group: Group) => boolean): Generator<number, undefined> {
    for (let first = 0, place = at; first < this.#groups.length; first += GROUPS_A_MASK, place += 1) {
      const mask = maskIn(cells[place])
      for (let bit = 0; mask >> bit !== 0; bit += 1) {
        if ((mask & (1 << bit)) === 0) continue
        if (meant(this.#groups[first + bit]!)) yield first + bit
      }
    }
    return undefined
  }

  /** 1 or 0: NULL matches nothing, so a comparison with it must not make the whole NULL. */
  #matching(matches: readonly Match[], row: string, bind: Bind): string {
    return `(${anyOf(together(matches).map((match) => matchSql(match, (name) => row + this.#columnOf(name), bind)))} IS TRUE)`
  }
}

/** The name of a column as SQL has it. Throws if the table has none of that name. */
type ColumnOf = (name: string) => string
type Bind = (value: Bound) => string
type Bound = string | number | bigint

/** The plus sign makes SQLite compare the stored value and use no index. */
export function asStored(column: string): string {
  return `+${column} COLLATE BINARY`
}

/** As few groups as there are time ranges. */
export function groupsOf(spared: SparedRows, rangeOf: (spared: Spared) => TimeRange | undefined): readonly Group[] {
  const byRange = Map.groupBy(spared, ({ from, until }) => `${from} ${until}`)
  const groups = [...byRange.values()].map((some) => ({ matches: some.map(({ match }) => match), range: rangeOf(some[0]!) }))
  // Those without a range are the quickest to tell.
  return groups.toSorted((a, b) => Number(a.range !== undefined) - Number(b.range !== undefined))
}

/** A group for each, in their order. */
export function groupEach(spared: SparedRows, rangeOf: (spared: Spared) => TimeRange | undefined): readonly Group[] {
  return spared.map((each) => ({ matches: [each.match], range: rangeOf(each) }))
}

/** `columns`: those of the table, as they are declared. */
export function columnNamed(file: string, table: string, columns: readonly string[]): ColumnOf {
  return (name) => {
    const found = columns.find((column) => folded(column) === folded(name))
    if (found !== undefined) return quoted(found)
    throw new DatabaseError(
      'failed',
      `${file}: table ${table} has no column "${name}", by which a hold or a rule keeps rows of it; it has ${columns.join(', ')}. Nothing was deleted from it. ` +
        'Give the table that column, or release the hold or take the rule away.',
    )
  }
}

function binding(first: number): { readonly bind: Bind; readonly values: readonly Bound[] } {
  const values: Bound[] = []
  return { values, bind: (value) => `$${first + values.push(value) - 1}` }
}

/** Many holds differ in one user only: all of these are a single look-up. */
function together(matches: readonly Match[]): readonly Match[] {
  const columns = new Set(matches.flatMap((match) => Object.keys(match)))
  return [...columns].reduce(joinedBy, matches)
}

function joinedBy(matches: readonly Match[], column: string): readonly Match[] {
  const byRest = Map.groupBy(matches, ({ [column]: own, ...rest }) =>
    own === undefined ? undefined : JSON.stringify(Object.entries(rest)),
  )
  return [...byRest].flatMap(([rest, some]) =>
    rest === undefined ? some : [{ ...some[0], [column]: [...new Set(some.flatMap((match) => match[column] ?? []))] }],
  )
}

function matchSql(match: Match, column: ColumnOf, bind: Bind): string {
  const conditions = Object.entries(match).map(([name, patterns]) => patternsSql(column(name), patterns, bind))
  return conditions.length === 0 ? 'TRUE' : `(${conditions.join(' AND ')})`
}

/** A function's result has no collation of a column, so that it is compared byte by byte. */
function patternsSql(column: string, patterns: readonly string[], bind: Bind): string {
  const text = `lower(CAST(${column} AS TEXT))`
  const among = (value: string, texts: readonly string[]): string =>
    `${value} IN (SELECT value FROM ${BUILT_IN.each}(${bind(JSON.stringify(texts))}))`
  const all = patterns.map(patternOf)
  const whole = all.filter(({ isPrefix }) => !isPrefix).map((pattern) => pattern.text)
  const prefixes = all.filter(({ isPrefix }) => isPrefix).map((pattern) => pattern.text)
  const byLength = Map.groupBy(prefixes, (prefix) => Array.from(prefix).length)
  return anyOf([
    ...(whole.length === 0 ? [] : [among(text, whole)]),
    ...[...byLength].flatMap(([length, some]) => {
      const beginning = `substr(${text}, 1, ${length})`
      // To SQLite, bytes of text that is not UTF-8 can belong to the character before them.
      const { plain = [], wide = [] } = Object.groupBy(some, (prefix) => (ENDS_IN_ASCII.test(prefix) ? 'plain' : 'wide'))
      return [...(plain.length === 0 ? [] : [among(beginning, plain)]), ...wide.map((prefix) => `instr(${beginning}, ${bind(prefix)}) = 1`)]
    }),
  ])
}

const ENDS_IN_ASCII = /^$|[\0-\x7f]$/

/** Halved again and again: SQLite takes no expression that is deeper than 1,000. */
function anyOf(conditions: readonly string[]): string {
  if (conditions.length === 0) return 'FALSE'
  if (conditions.length === 1) return conditions[0]!
  const half = Math.ceil(conditions.length / 2)
  return `(${anyOf(conditions.slice(0, half))} OR ${anyOf(conditions.slice(half))})`
}

/** A statement that left the masks out must not look like one whose rows nothing matches. */
function maskIn(cell: unknown): number {
  if (typeof cell !== 'number' && typeof cell !== 'bigint') throw new TypeError('a row was read without what spares it')
  return Number(cell)
}
