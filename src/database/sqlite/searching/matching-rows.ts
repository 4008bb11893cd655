import { setImmediate as turn } from 'node:timers/promises'
import { LONGEST_ID, type Found, type FoundGroup, type NamedRow, type Sought } from '../../searching.ts'
import type { EpochMs } from '../../../time/clock.ts'
import { lastCutoffIn } from '../../../time/zones.ts'
import type { Connection } from '../connection/connection.ts'
import type { SqliteSession } from '../connection/session.ts'
import { affinityOf } from '../declared-types.ts'
import { BUILT_IN, folded, MAIN, named, quoted } from '../names.ts'
import { columnNamed, groupEach, Sparing } from '../purging/spared-sql.ts'
import { TimeRanges } from '../purging/time-ranges.ts'
import { Cutoff, readTime, type StoredTime } from '../times.ts'

export interface SearchingOptions {
  readonly session: SqliteSession
  readonly timeZone: string
}

/** Rows that are looked at before the event loop, and another process that wants to write, get a turn: some milliseconds. */
const STEP_ROWS = 5_000

/** Goes through the table by its row numbers: a time can have any of several formats, so that rows are dated here, and only those that were found. */
export async function matchingRows({ session, timeZone }: SearchingOptions, sought: Sought): Promise<Found> {
  const table = await session.read((connection) => tableOf(connection, sought, timeZone))
  if (table === undefined) return { kind: 'absent' }
  if ('reason' in table) return { kind: 'unsearchable', reason: table.reason }
  const groups = new Map<string, Group>()
  const rows: NamedRow[] = []
  const lastCutoff = lastCutoffOf(timeZone)
  for (let from: Place = -Infinity; from !== undefined;) {
    sought.stopping.throwIfAborted()
    const after: number | bigint = from
    const isNamed = rows.length < sought.mostNamed
    const step: Step = await session.read((connection) => table.step(connection, after, isNamed))
    for (const [time, , id, ...masks] of step.rows) {
      const spared = [...table.sparing.sparing(time, masks, 0)]
      const at = lastCutoff(time)
      const key = spared.join()
      let group = groups.get(key)
      if (group === undefined) groups.set(key, (group = new Group(spared)))
      group.add(time, at)
      if (rows.length < sought.mostNamed) rows.push({ id: typeof id === 'string' ? id : undefined, at, spared })
    }
    from = step.end
    await turn()
  }
  return { kind: 'found', columns: table.columns, groups: [...groups.values()], named: rows, undatable: table.undatable }
}

/** Counts row by row. */
class Group implements FoundGroup {
  readonly spared: readonly number[]
  rows = 0
  undated = 0
  unreadable = 0
  #first = Infinity
  #last = -Infinity

  constructor(spared: readonly number[]) {
    this.spared = spared
  }

  get times(): FoundGroup['times'] {
    return this.#first === Infinity ? undefined : { first: this.#first, last: this.#last }
  }

  add(time: StoredTime, at: EpochMs | undefined): void {
    this.rows += 1
    if (time === null) this.undated += 1
    else if (at === undefined) this.unreadable += 1
    if (at === undefined) return
    this.#first = Math.min(this.#first, at)
    this.#last = Math.max(this.#last, at)
  }
}

/** A row number. `undefined`: behind the last row. */
type Place = number | bigint | undefined

/** As `timeRows` returns it, with the row's `id` before its masks. */
type Row = readonly [time: StoredTime, rowid: number | bigint, id: unknown, ...masks: readonly unknown[]]

interface Table {
  readonly columns: readonly string[]
  readonly undatable: string | undefined
  readonly sparing: Sparing
  /** `isNamed`: with their ids. */
  step(connection: Connection, after: number | bigint, isNamed: boolean): Step
}

interface Step {
  /** Those that were found. */
  readonly rows: readonly Row[]
  readonly end: Place
}

interface ColumnRow {
  readonly name: string
  readonly type: string
}

/** `undefined`: there is none. */
function tableOf(connection: Connection, sought: Sought, timeZone: string): Table | { readonly reason: string } | undefined {
  const [found] = connection.run<{ name: string; type: string; wr: number }>(
    `SELECT name, type, wr FROM ${BUILT_IN.tables} WHERE schema = '${MAIN}' AND name = $1 COLLATE NOCASE`,
    [sought.table],
  ).rows
  if (found === undefined) return undefined
  if (found.type !== 'table') return { reason: `it is a ${found.type}, and what is behind it is not known` }
  if (found.wr === 1) return { reason: 'it is a WITHOUT ROWID table, which cannot be read in steps' }
  const all = connection.run<ColumnRow>(`SELECT name, type FROM ${BUILT_IN.columns}($1, '${MAIN}')`, [found.name]).rows
  const column = (name: string): ColumnRow | undefined => all.find((each) => folded(each.name) === folded(name))
  const own = sought.columns.flatMap((name) => column(name) ?? [])
  if (own.length === 0) return { reason: `it has no column ${sought.columns.map((name) => JSON.stringify(name)).join(' or ')}` }
  const rowid = ['rowid', '_rowid_', 'oid'].find((name) => column(name) === undefined)
  if (rowid === undefined) return { reason: 'it has columns named rowid, _rowid_ and oid, so that it cannot be read in steps' }

  const time = column(sought.time)
  const layout = { column: quoted(time?.name ?? ''), numbers: affinityOf(time?.type ?? '') !== 'TEXT' }
  const ranges = new TimeRanges(timeZone)
  const spared = time === undefined ? [] : sought.spared
  const names = all.map(({ name }) => name)
  const sparing = new Sparing(
    groupEach(spared, (each) => ranges.of(each)),
    layout,
    columnNamed(connection.file, sought.table, names),
  )
  const masks = sparing.masks(MASKS_FROM, 't.')
  const id = column('id')
  // By the bytes of the text, whatever the collation of the column and the type of the stored value.
  const isFound = own.map(({ name }) => `CAST(t.${quoted(name)} AS TEXT) = $3 COLLATE BINARY`).join(' OR ')
  const idText = id === undefined ? 'NULL' : `substr(CAST(t.${quoted(id.name)} AS TEXT), 1, ${LONGEST_ID})`
  const from = `FROM ${named(found.name)} AS t NOT INDEXED WHERE t.${rowid} > $1`
  const statement = (isNamed: boolean): string =>
    `SELECT ${[time === undefined ? 'NULL' : `t.${quoted(time.name)}`, `t.${rowid}`, isNamed ? idText : 'NULL', ...masks.columns].join(', ')} ${from} AND t.${rowid} <= $2 AND (${isFound}) ORDER BY t.${rowid}`
  return {
    columns: own.map(({ name }) => name),
    undatable: time === undefined ? `it has no column ${JSON.stringify(sought.time)}` : undefined,
    sparing,
    step(at, after, isNamed) {
      const [last] = at.timeRows(`SELECT NULL, t.${rowid} ${from} ORDER BY t.${rowid} LIMIT 1 OFFSET $2`, [after, STEP_ROWS - 1])
      const end = last?.[1]
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the statement selects
      const rows = at.timeRows(statement(isNamed), [after, end ?? Infinity, sought.text, ...masks.values]) as unknown as readonly Row[]
      return { rows, end }
    },
  }
}

/** `$1` to `$3` are the statement's own. */
const MASKS_FROM = 4

/** By the run's own judgement: the latest cutoff that does not judge a time as expired. */
function lastCutoffOf(timeZone: string): (time: StoredTime) => EpochMs | undefined {
  const ofReading = lastCutoffIn(timeZone)
  return (time) => {
    const read = readTime(time)
    if (read === undefined) return undefined
    if (!read.zoned) return ofReading(read.instant)
    let last = read.instant
    // A number of seconds with a fraction is compared as it is, and may lie a millisecond beside what it was rounded to.
    if (typeof time === 'number') {
      while (isKept(time, last + 1)) last += 1
      while (!isKept(time, last)) last -= 1
    }
    return last
  }
}

/** Numbers are instants, and their readings do not count. */
function isKept(time: number, cutoff: EpochMs): boolean {
  return new Cutoff(cutoff, cutoff).judge(time) === 'kept'
}
