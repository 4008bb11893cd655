import { isDeepStrictEqual } from 'node:util'
import { DatabaseError } from '../../database-error.ts'
import { LONGEST_ID, type Found, type FoundGroup, type FoundRows, type NamedRow, type Sought } from '../../searching.ts'
import { DETACHED } from '../../partitioning.ts'
import type { Query, Session, Value } from '../../query.ts'
import type { EpochMs } from '../../../time/clock.ts'
import { lastCutoffIn } from '../../../time/zones.ts'
import { recordColumns, valueText, type RecordColumn } from '../exporting/stored-rows.ts'
import { EQ, millisecondsOf } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import { mustBeTrusted } from '../owners.ts'
import { bindingTo, Sparing, type Bind } from '../purging/spared-sql.ts'
import { timeTypeOf, type TimeType } from '../times.ts'

export interface SearchingOptions {
  /** A read-only transaction that may read many rows. */
  readonly scan: Session['transaction']
  readonly schema: string
  readonly timeZone: string
  /** The text as the database can keep it: in place of a character that its encoding lacks is another one. */
  readonly storable: (text: string) => Promise<string>
}

/**
 * The server counts the rows, so that none of them but those that are named comes here. A partitioned table and what was taken out of it are read by one statement, in
 * one snapshot: a row that is moved from one to the other is seen once.
 */
export async function matchingRows(options: SearchingOptions, sought: Sought): Promise<Found> {
  const { schema, storable } = options
  // A text that the encoding cannot express stands in no row.
  const canStand = (await storable(sought.text)) === sought.text
  for (let tries = 1; ; tries += 1) {
    sought.stopping.throwIfAborted()
    const found = await options.scan((tx) => searched(tx, options, sought, canStand))
    if (found !== undefined) return found
    if (tries === MOST_TRIES)
      throw new DatabaseError(
        'busy',
        `Partitions of ${schema}.${sought.table} were taken out, put back or dropped each time that it was read. Nothing was found out about it. Ask again in a minute.`,
      )
  }
}

const MOST_TRIES = 5

/** `undefined`: a table was taken out, put back or dropped meanwhile, so that its rows may have been missed. */
async function searched(tx: Query, options: SearchingOptions, sought: Sought, canStand: boolean): Promise<Found | undefined> {
  const { schema } = options
  const kind = (await mustBeTrusted(tx, schema, [sought.table])).get(sought.table)
  if (kind === undefined) return { kind: 'absent' }
  if (kind !== 'r' && kind !== 'p')
    return { kind: 'unsearchable', reason: `it is ${KINDS[kind] ?? 'no table'}, and what is behind it is not known` }
  const before = await takenOut(tx, schema, sought.table)
  const present = await mustBeTrusted(tx, schema, before)
  const tables = [sought.table, ...before.filter((name) => present.has(name))]
  const parts: Part[] = []
  for (const table of tables) {
    const part = await partOf(tx, options, sought, table)
    if ('reason' in part) return { kind: 'unsearchable', reason: part.reason }
    parts.push(part)
  }
  const { columns, time } = parts[0]!
  const found: FoundRows = {
    kind: 'found',
    columns,
    undatable:
      time === undefined ? `its column ${JSON.stringify(sought.time)} is missing, or is neither timestamp nor timestamptz` : undefined,
    groups: [],
    named: [],
  }
  if (!canStand) return found
  const groups = await groupsOf(tx, options, parts)
  const named = groups.length === 0 || sought.mostNamed === 0 ? [] : await namedRows(tx, options, parts, sought.mostNamed)
  return isDeepStrictEqual(before, await takenOut(tx, schema, sought.table)) ? { ...found, groups, named } : undefined
}

const KINDS: Readonly<Record<string, string>> = { v: 'a view', m: 'a materialized view', f: 'a foreign table', S: 'a sequence' }

/** The tables that were partitions of this one, on record until they are dropped. */
async function takenOut(query: Query, schema: string, table: string): Promise<readonly string[]> {
  if (!(await mustBeTrusted(query, schema, [DETACHED])).has(DETACHED)) return []
  const { rows } = await query.query<{ relation: string }>(
    `SELECT relation FROM ${qualified(schema, DETACHED)} WHERE table_name ${EQ} $1::pg_catalog.text ORDER BY relation`,
    [table],
  )
  return rows.map(({ relation }) => relation)
}

/** A table as the statements read it. */
interface Part {
  readonly columns: readonly string[]
  readonly time: TimeType | undefined
  /** Its rows as `at`, `mask` and `id`. */
  readonly select: (bind: Bind) => string
}

async function partOf(tx: Query, options: SearchingOptions, sought: Sought, table: string): Promise<Part | { readonly reason: string }> {
  const { schema, timeZone } = options
  const all = await recordColumns(tx, schema, table, sought.time)
  const own = all.filter(({ name }) => sought.columns.includes(name))
  if (own.length === 0) return { reason: `it has no column ${sought.columns.map((name) => JSON.stringify(name)).join(' or ')}` }
  const dated = all.find(({ name }) => name === sought.time)
  const time = timeTypeOf(dated?.type ?? '')
  const id = all.find(({ name }) => name === 'id')
  const title = `${schema}.${table}`
  const sparing =
    time === undefined ? undefined : new Sparing({ schema, name: table, title, column: quoted(sought.time), type: time, timeZone })
  const tests = (await sparing?.tests(tx, sought.spared, true)) ?? []
  return {
    columns: own.map(({ name }) => name),
    time,
    select: (bind) => {
      const text = bind(sought.text)
      const masks = tests.map((test) => `(${test(bind)}) IS TRUE`)
      return `SELECT ${time === undefined ? 'NULL::pg_catalog.timestamp' : `t.${quoted(sought.time)}`} AS at, ARRAY[${masks.join(', ')}]::pg_catalog.bool[] AS mask,
  ${id === undefined ? 'NULL::pg_catalog.text' : `pg_catalog.left(${valueText(id.base, `t.${quoted('id')}`)}, ${LONGEST_ID})`} AS id
  FROM ${qualified(schema, table)} AS t WHERE ${own.map((column) => `(${isExactly(column, text)})`).join(' OR ')}`
    },
  }
}

/** The first comparison can use an index. The second one is by bytes, whatever the collation of the column. */
function isExactly({ name, base }: RecordColumn, text: string): string {
  const value = valueText(base, `t.${quoted(name)}`)
  const exact = `((${value}) COLLATE pg_catalog."C") ${EQ} ${text}::pg_catalog.text`
  return base === 'text' || base === 'varchar' ? `${value} ${EQ} ${text}::pg_catalog.text AND ${exact}` : exact
}

function readingFrom(parts: readonly Part[], bind: Bind): string {
  return parts.map(({ select }) => select(bind)).join('\nUNION ALL\n')
}

interface GroupRow {
  readonly mask: string
  readonly rows: number
  readonly undated: number
  readonly dated: number
  readonly first: number | null
  readonly last: number | null
}

async function groupsOf(tx: Query, options: SearchingOptions, parts: readonly Part[]): Promise<readonly FoundGroup[]> {
  const values: Value[] = []
  const isDated = 'FILTER (WHERE pg_catalog.isfinite(r.at))'
  const statement = `SELECT pg_catalog.array_to_string(g.mask, ','::pg_catalog.text) AS mask, g.rows, g.undated, g.dated,
  ${millisecondsOf('g.first')}::pg_catalog.float8 AS first, ${millisecondsOf('g.last')}::pg_catalog.float8 AS last
FROM (
  SELECT r.mask, pg_catalog.count(*) AS rows, pg_catalog.count(*) FILTER (WHERE r.at IS NULL) AS undated, pg_catalog.count(*) ${isDated} AS dated,
    pg_catalog.min(r.at) ${isDated} AS first, pg_catalog.max(r.at) ${isDated} AS last
  FROM (
  ${readingFrom(parts, bindingTo(values))}
  ) AS r GROUP BY r.mask
) AS g`
  const { rows } = await tx.query<GroupRow>(statement, values)
  const instantOf = instantIn(options, parts)
  return rows.map(({ mask, rows: count, undated, dated, first, last }) => ({
    spared: placesIn(mask),
    rows: count,
    undated,
    unreadable: count - undated - dated,
    times: first === null || last === null ? undefined : { first: instantOf(first), last: instantOf(last) },
  }))
}

async function namedRows(tx: Query, options: SearchingOptions, parts: readonly Part[], most: number): Promise<readonly NamedRow[]> {
  const values: Value[] = []
  const bind = bindingTo(values)
  const reading = readingFrom(parts, bind)
  const { rows } = await tx.query<{ id: string | null; mask: string; at: number | null }>(
    `SELECT r.id, pg_catalog.array_to_string(r.mask, ','::pg_catalog.text) AS mask,
  CASE WHEN pg_catalog.isfinite(r.at) THEN ${millisecondsOf('r.at')}::pg_catalog.float8 END AS at
FROM (
  ${reading}
) AS r ORDER BY r.at LIMIT ${bind(most)}::bigint`,
    values,
  )
  const instantOf = instantIn(options, parts)
  return rows.map(({ id, mask, at }) => ({
    id: id ?? undefined,
    at: at === null ? undefined : instantOf(at),
    spared: placesIn(mask),
  }))
}

function instantIn({ timeZone }: SearchingOptions, [part]: readonly Part[]): (reading: EpochMs) => EpochMs {
  return part?.time === 'timestamptz' ? (reading) => reading : lastCutoffIn(timeZone)
}

/** `t,f,t` */
function placesIn(mask: string): readonly number[] {
  return mask.split(',').flatMap((each, place) => (each === 't' ? [place] : []))
}
