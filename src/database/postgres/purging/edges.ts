import type { SparedRows } from '../../../policy/spared.ts'
import type { Query, Session, Value } from '../../query.ts'
import type { Taken } from './cascaded.ts'
import type { RemovalTable } from './removal.ts'
import { edgesSql, STEERED } from './slice-sql.ts'
import { edgesNearSql, firstFreeSql } from './spared-scan-sql.ts'
import { arrayOf, type SparedTest } from './spared-sql.ts'
import type { Stretch } from './stretches.ts'
import { stretchAheadSql } from './survey-sql.ts'

/** The table, column and cutoff that are walked. */
export interface Expired extends RemovalTable {
  readonly query: Query
  /** Whether each transaction has to tell the planner to search the index. */
  readonly isSteered: boolean
  readonly taken: Taken
  readonly cutoff: string
  readonly timeZone: string
  /** A read-only transaction, for reading many rows in order. */
  readonly scan: Session['transaction']
  /** What the walk leaves out. The slices' own conditions do not have it: to delete, more may have to be left out. */
  readonly spared: readonly SparedTest[]
  /** What a survey lets the walk pass over. */
  readonly stretches: readonly Stretch[]
  readonly testsOf: (query: Query, spared: SparedRows, inTransaction: boolean) => Promise<readonly SparedTest[]>
}

export interface Edges {
  readonly first: string | null
  readonly bound: string | null
  /** With an end: whether `first` is the last time that may be read, so that some of its rows may lie beyond the end. */
  readonly last?: boolean | null | undefined
}

/** The last time that may be read (`with`), or the first that may not (`before`). */
export interface TimeBound {
  readonly time: string
  readonly end: 'before' | 'with'
}

/** A time after which, or from which on, rows are looked at. */
interface From {
  readonly from: string
  readonly inclusive: boolean
}

export function edgesOf(expired: Expired, size: number, from: From, until: TimeBound | undefined): Promise<Edges> {
  return (expired.spared.length === 0 ? plainEdges : freeEdges)(expired, size, from, until)
}

async function plainEdges({ query, cutoff, ...timed }: Expired, size: number, from: From, until: TimeBound | undefined): Promise<Edges> {
  const values = [cutoff, from.from, size, ...(until === undefined ? [] : [until.time])]
  const { rows } = await query.query<Edges>(edgesSql(timed, from.inclusive, until?.end), values)
  return rows[0] ?? { first: null, bound: null }
}

/** Spared rows may lie among those of a slice, for each of its rows so many: the DELETE passes over them while it holds locks. */
const SPAN = 4
/** Of a stretch of spared rows, one statement reads so many: the first one few, the others more and more. */
const FEWEST_READ = 20_000
const MOST_READ = 100_000

/** Between the stretches that are passed over. None of the edges goes beyond the beginning of the next one. */
async function freeEdges(expired: Expired, size: number, start: From, until: TimeBound | undefined): Promise<Edges> {
  const { stretches } = expired
  if (stretches.length === 0) return edgesAmongFree(expired, size, start, until)
  const [whole] = stretches
  if (whole?.from === '-infinity' && whole.to === null) return NONE
  const ahead = await stretchAhead(expired, start, until)
  let { isInside } = ahead
  let from = start
  for (let index = ahead.index; ; index += 1) {
    const next = index < ahead.within ? stretches[index] : undefined
    if (next === undefined) return edgesAmongFree(expired, size, from, until)
    if (!isInside) {
      const edges = await edgesAmongFree(expired, size, from, { time: next.from, end: 'before' })
      if (edges.first !== null) return { first: edges.first, bound: edges.bound ?? next.from }
    }
    if (next.to === null) return NONE
    from = { from: next.to, inclusive: true }
    isInside = false
  }
}

interface Ahead {
  /** Of the first stretch that ends behind a place. */
  readonly index: number
  readonly isInside: boolean
  /** How many of the stretches begin by the end of the walk. */
  readonly within: number
}

/** The server compares the times: their texts may be in any zone. */
async function stretchAhead({ query, cutoff, stretches, ...timed }: Expired, { from }: From, until: TimeBound | undefined): Promise<Ahead> {
  const ends = stretches.map(({ to }) => to ?? cutoff)
  const values = [from, arrayOf(stretches.map((each) => each.from)), arrayOf(ends), ...(until === undefined ? [] : [until.time])]
  const statement = stretchAheadSql(timed, until !== undefined)
  const { rows } = await query.query<{ number: number; inside: boolean; within: number | null }>(statement, values)
  const row = rows[0]
  if (row === undefined) return { index: stretches.length, isInside: false, within: stretches.length }
  return { index: row.number - 1, isInside: row.inside, within: row.within ?? stretches.length }
}

/**
 * As `edgesSql` finds them, among the rows that are not spared. However many are spared in front, each statement reads a limited number of rows, in a
 * transaction of its own. Where all that one of them reads have the same time, that is `first` and `bound`, even if all of these rows are spared.
 */
async function edgesAmongFree(expired: Expired, size: number, start: From, until: TimeBound | undefined): Promise<Edges> {
  let found: FirstFree | undefined
  for (;;) {
    const near = await edgesNear(expired, size, found === undefined ? start : { from: found.first, inclusive: true }, until)
    if (near.first !== null) return { first: near.first, bound: near.bound ?? near.ended, last: near.last }
    if (near.ended === null) return NONE
    // The free row lies behind too many others with its time.
    if (found !== undefined && near.ended === found.first) return equalTimes(found)
    found = await firstFree(expired, near.ended, until)
    if (found === undefined) return NONE
    if (found.isEqual) return equalTimes(found)
  }
}

function equalTimes({ first, last }: FirstFree): Edges {
  return { first, bound: first, last }
}

const NONE: Edges = { first: null, bound: null }

interface Near extends Edges {
  /** The time up to which rows were looked at, if fewer than a slice are free before it; `null`: all were. */
  readonly ended: string | null
}

async function edgesNear(
  { scan, cutoff, spared, ...timed }: Expired,
  size: number,
  { from, inclusive }: From,
  until: TimeBound | undefined,
): Promise<Near> {
  const values: Value[] = [cutoff, from, size + 1, SPAN * (size + 1), ...(until === undefined ? [] : [until.time])]
  const statement = edgesNearSql(timed, inclusive, until?.end, spared, values)
  return (await steered<Near>(scan, statement, values))[0] ?? { ...NONE, ended: null }
}

interface FirstFree {
  readonly first: string
  readonly last: boolean | null | undefined
  /** Whether it is the time of all rows that were read, none of which is free. */
  readonly isEqual: boolean
}

async function firstFree(
  { scan, cutoff, spared, ...timed }: Expired,
  start: string,
  until: TimeBound | undefined,
): Promise<FirstFree | undefined> {
  let from = start
  for (let most = FEWEST_READ; ; most = Math.min(2 * most, MOST_READ)) {
    const values: Value[] = [cutoff, from, most, ...(until === undefined ? [] : [until.time])]
    const statement = firstFreeSql(timed, until?.end, spared, values)
    const row = (await steered<Passed>(scan, statement, values))[0]
    if (row === undefined) return undefined
    const { first, ended, passed, equal, last } = row
    if (first !== null) return { first, last, isEqual: false }
    if (ended === null || passed < most) return undefined
    if (equal === true) return { first: ended, last, isEqual: true }
    from = ended
  }
}

interface Passed {
  readonly first: string | null
  readonly ended: string | null
  readonly passed: number
  readonly equal: boolean | null
  readonly last?: boolean | null
}

/** In the order of the time whatever the planner thinks: sorting would read all rows each time. */
function steered<Row>(scan: Session['transaction'], statement: string, values: readonly Value[]): Promise<readonly Row[]> {
  return scan(async (tx) => {
    await tx.query(STEERED)
    return (await tx.query<Row>(statement, values)).rows
  })
}
