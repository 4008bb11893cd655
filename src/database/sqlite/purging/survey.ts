import { setImmediate as turn } from 'node:timers/promises'
import type { SparedExpired } from '../../purging.ts'
import type { Connection, TimeRow } from '../connection/connection.ts'
import type { SqliteSession } from '../connection/session.ts'
import type { StoredTime } from '../times.ts'
import { alikeFrom, type Alike, type Shape } from './alike.ts'
import { rangesFor, type Range } from './index-ranges.ts'
import type { Surveying } from './judged-walks.ts'
import { END, isInexact, Stretches } from './stretches.ts'
import { UnreadableRows } from './unreadable-rows.ts'
import { boundsOf, edgeOf, pathThrough, START, type Path, type Position, type Walk } from './walk.ts'
import { EDGE, statementsFor, type Statements } from './walk-statements.ts'

/** Rows that one statement counts: some milliseconds, in which nothing else is done here. */
const MOST_COUNTED = 10_000
/** Rows that are read to be judged here, which takes longer. */
const MOST_READ = 5_000
/** With many groups. */
const LEAST = 100

export interface Surveyed {
  readonly kept: SparedExpired
  /** In which the walk finds no row. */
  readonly stretches: Stretches
  /** Of the whole path. */
  readonly unreadable: UnreadableRows
}

/** Goes through every range once. `asked`: how many of the groups are to be counted. */
export async function survey(session: SqliteSession, surveying: Surveying, asked: number): Promise<Surveyed> {
  const run = new Survey(surveying, asked)
  for (let from: Position | undefined = START; from !== undefined;) {
    const at: Position = from
    from = await session.read((connection) => run.step(connection, at))
    await turn()
  }
  return { kept: { each: run.each, together: run.together }, stretches: run.stretches, unreadable: run.unreadable }
}

/** What was found in rows that were looked at together. */
interface Found {
  /** The groups that keep some of them, and how many. */
  readonly kept: readonly (readonly [groups: readonly number[], rows: number])[]
  readonly end: Position
}

class Survey {
  readonly each: number[]
  together = 0
  readonly stretches: Stretches
  readonly unreadable = new UnreadableRows()
  readonly #walk: Walk
  readonly #leftOut: readonly boolean[]
  readonly #ranges: readonly Range[]
  /** Reads no more than times, to see where a step begins. */
  readonly #times: Path
  readonly #edges: Statements
  readonly #masked: Statements
  readonly #most: number
  readonly #countings = new Map<string, string>()

  constructor({ walk, layout, leftOut }: Surveying, asked: number) {
    const { cutoff, sparing } = walk.judge
    this.each = Array.from({ length: asked }, () => 0)
    this.#walk = walk
    this.#leftOut = leftOut
    this.#ranges = walk.indexed ? rangesFor(cutoff.instant, layout.numbers).expired : []
    this.#times = pathThrough(walk.statements, this.#ranges)
    this.#edges = statementsFor(layout, undefined, EDGE)
    this.#masked = statementsFor(layout, sparing)
    this.#most = Math.max(LEAST, Math.floor(MOST_COUNTED / sparing.size))
    this.stretches = new Stretches(this.#ranges, walk.statements)
  }

  /** Returns where the next one begins; `undefined`: the path has ended. May be repeated if it throws: nothing is counted before all is read. */
  step(connection: Connection, from: Position): Position | undefined {
    const found = this.#counted(connection, from) ?? this.#read(connection, from)
    const { kept, end } = found ?? { kept: [], end: END }
    let free = 0
    for (const [groups, rows] of kept) {
      // In ascending order: what was asked for comes first.
      if (groups[0] !== undefined && groups[0] < this.each.length) this.together += rows
      for (const group of groups) if (group < this.each.length) this.each[group]! += rows
      if (!groups.some((group) => this.#leftOut[group])) free += rows
    }
    if (free === 0 && !isInexact(from) && !isInexact(end)) this.stretches.add(from, end)
    return found?.end
  }

  /** `undefined`: SQL alone cannot tell which of the rows have expired, or are kept. */
  #counted(connection: Connection, from: Position): Found | undefined {
    const range = this.#ranges[from.range]
    if (range === undefined || isInexact(from)) return undefined
    const first = this.#times.read(connection, from, 1)?.rows[0]
    const alike = first === undefined ? undefined : alikeFrom(first[0], range)
    if (first === undefined || alike === undefined) return undefined
    const row = this.#edge(connection, from.row, alike)
    const { cutoff, sparing } = this.#walk.judge
    if (row === undefined || cutoff.judge(first[0]) !== 'expired' || cutoff.judge(row[0]) !== 'expired') return undefined

    const kept: [readonly number[], number][] = []
    for (const [sql, own] of this.#pieces(connection, alike.range, from.row, row)) {
      for (const [rows, like, ...masks] of connection.timeRows(...this.#counting(sql, own, alike.shape))) {
        const groups = like === rows ? sparing.sparingAll(first[0], row[0], masks, 0) : undefined
        if (groups === undefined) return undefined
        kept.push([groups, Number(rows)])
      }
    }
    return { kept, end: { range: from.range, row } }
  }

  /** The last row of a step; behind the last one of the range, and all others with its time. */
  #edge(connection: Connection, last: TimeRow | undefined, { range }: Alike): TimeRow | undefined {
    const row = edgeOf(connection, this.#edges, range, last, undefined, this.#most)
    if (row !== undefined) return row
    const [end] = connection.timeRows(this.#edges.last(range), boundsOf(range))
    return end === undefined ? undefined : [end[0], -this.#edges.beforeAll]
  }

  /** The statements that together return the rows after `last`, or from the beginning of the range, up to and including `until`. */
  #pieces(
    connection: Connection,
    range: Range,
    last: TimeRow | undefined,
    [time, rowid]: TimeRow,
  ): readonly (readonly [sql: string, own: readonly StoredTime[]])[] {
    const [begin, below] = boundsOf(range)
    const sql = this.#masked
    const kind = range.kind === 'text' ? SOME_TEXT : range
    const ending = [sql.sameTimeUntil(kind), [time, sql.beforeAll, ALL, rowid]] as const
    if (last === undefined) return [[sql.firstUntil(kind), [begin, below, ALL, time]], ending]
    if (connection.figure(sql.order(kind), [last[0], time]) === 0) return [[sql.sameTimeUntil(kind), [time, last[1], ALL, rowid]]]
    return [[sql.sameTime(kind), [last[0], last[1], ALL]], [sql.afterUntil(kind), [last[0], below, ALL, time]], ending]
  }

  /** How many rows have the same masks, how many of these look alike, and the masks. */
  #counting(sql: string, own: readonly StoredTime[], shape: Shape | undefined): [sql: string, values: readonly StoredTime[]] {
    const values = this.#masked.bound(own) as readonly StoredTime[]
    const known = this.#countings.get(sql)
    const masks = this.#walk.judge.sparing
      .masks(1)
      .columns.map((_, at) => `mask${at}`)
      .join(', ')
    const [like, unlike, example] = [1, 2, 3].map((behind) => `$${values.length + behind}`)
    const alike =
      shape === undefined
        ? 'count(*)'
        : `sum(time GLOB ${like} AND time NOT GLOB ${unlike} AND octet_length(time) = octet_length(${example}))`
    const made = known ?? `WITH step (time, number, ${masks}) AS (${sql}) SELECT count(*), ${alike}, ${masks} FROM step GROUP BY ${masks}`
    this.#countings.set(sql, made)
    return [made, shape === undefined ? values : [...values, shape.like, shape.unlike, shape.example]]
  }

  /** Judges row by row. `undefined`: the path has ended. */
  #read(connection: Connection, from: Position): Found | undefined {
    const chunk = this.#walk.spared.read(connection, from, Math.min(this.#most, MOST_READ))
    if (chunk === undefined) return undefined
    const { cutoff, sparing } = this.#walk.judge
    const kept: [readonly number[], number][] = []
    for (const row of chunk.rows) {
      const verdict = cutoff.judge(row[0])
      if (verdict === 'expired') kept.push([[...sparing.sparing(row[0], row, 2)], 1])
      else if (verdict !== 'kept') this.unreadable.add(row[0])
    }
    return { kept, end: chunk.end }
  }
}

/** All texts have the same statements. */
const SOME_TEXT: Range = { kind: 'text', from: '', below: '' }
/** No limit. */
const ALL = -1
