import type { EpochMs } from '../../../time/clock.ts'
import { wallClockThreshold } from '../../../time/zones.ts'
import { DETACHED, PARTITIONED } from '../../partitioning.ts'
import type { TimeColumn } from '../../purging.ts'
import type { Query, Session } from '../../query.ts'
import { builtIn, EQ, GT, nameIn, textOf } from '../exact.ts'
import { qualified } from '../identifiers.ts'
import { mustBeTrusted } from '../owners.ts'
import { readingOf, timeTypeOf, type TimeType } from '../times.ts'

/** What every part of partitioning is handed. */
export interface PartitioningOptions {
  readonly query: Query
  /** A short read-only transaction. */
  readonly look: Session['transaction']
  /** A read-only transaction that may read many rows. */
  readonly scan: Session['transaction']
  readonly schema: string
  /** The zone of times that are stored without one. */
  readonly timeZone: string
  readonly column: TimeColumn
}

/** A table as the catalogue and our record have it. */
export interface Tree {
  readonly id: string
  /** `pg_class.relkind`: `r` is a plain table, `p` a partitioned one. */
  readonly kind: string
  readonly owner: string
  /** Whether the connected role is the owner, or a member of it: only then it may attach, detach and drop. */
  readonly isOwner: boolean
  /** Of the time column; `undefined`: it has none of these types. */
  readonly type: TimeType | undefined
  readonly mayBeNull: boolean
  /** Whether it is partitioned by ranges of the time column alone. */
  readonly isByTime: boolean
  readonly parts: readonly Part[]
  readonly record: PartitionRecord | undefined
  /** There is a record, and not one that the worker writes: nothing is concluded from it. */
  readonly isRecordUnreadable: boolean
  readonly detached: readonly DetachedRecord[]
  /** The names, as they can be shown, in rows of the record of tables that were taken out which the worker never writes. */
  readonly unreadable: readonly string[]
}

/** A partition, or a child by inheritance. */
export interface Part {
  readonly id: string
  readonly schema: string
  readonly name: string
  readonly kind: string
  readonly owner: string
  /** Somebody's DETACH … CONCURRENTLY was interrupted. */
  readonly isPending: boolean
  readonly bound: Bound
}

export type Bound =
  | { readonly kind: 'range'; readonly from: Edge; readonly to: Edge }
  | { readonly kind: 'default' }
  /** Of several columns, a list, a hash, or a child by inheritance. */
  | { readonly kind: 'other' }

/** `undefined`: MINVALUE or MAXVALUE. */
export type Edge = BoundTime | undefined

export interface BoundTime {
  /** In ISO 8601, as the column reads it. */
  readonly text: string
  /** The same in milliseconds since 1970, without a zone as if it were UTC; never earlier than the text. */
  readonly reading: EpochMs
}

export interface PartitionRecord {
  /** The table as it was. */
  readonly first: string
  readonly bound: BoundTime
  readonly beganAt: EpochMs
  readonly convertedAt: EpochMs | undefined
  readonly undoingSince: EpochMs | undefined
}

export interface DetachedRecord {
  readonly name: string
  readonly from: Edge
  readonly to: BoundTime
  readonly since: EpochMs
}

/** `undefined`: there is no such table. One look at the catalogue, which every role may read, and at our record where it exists. */
export function readTree(options: PartitioningOptions): Promise<Tree | undefined> {
  const { look, schema, column } = options
  return look(async (tx) => {
    await tx.query(CANONICAL_BOUNDS)
    const trusted = await mustBeTrusted(tx, schema, [column.table, PARTITIONED, DETACHED])
    if (!trusted.has(column.table)) return undefined
    const { rows } = await tx.query<TreeRow>(TREE, [schema, column.table, column.column])
    const [row] = rows
    if (row === undefined) return undefined
    const { type, ...found } = row
    const parts = (await tx.query<PartRow>(PARTS, [row.id])).rows
    return {
      ...found,
      type: type === null ? undefined : timeTypeOf(type),
      parts: parts.map(({ bound, ...part }) => ({ ...part, bound: boundOf(bound) })),
      ...(trusted.has(PARTITIONED) ? await recordOf(tx, schema, column.table) : NO_RECORD),
      ...(trusted.has(DETACHED) ? await detachedOf(tx, schema, column.table) : NONE_DETACHED),
    }
  })
}

/** Whether the table is ours to make partitions of and to drop them. */
export function isConverted({ kind, isByTime, record }: Tree): boolean {
  return kind === 'p' && isByTime && record?.convertedAt !== undefined
}

/** The same, and nobody is turning it back. */
export function isOurs(tree: Tree): boolean {
  return isConverted(tree) && tree.record?.undoingSince === undefined
}

/** The instant as the column reads it; what lies before it in the column lies before the instant. */
export function readingAt(instant: EpochMs, type: TimeType, timeZone: string): EpochMs {
  return type === 'timestamptz' ? instant : wallClockThreshold(instant, timeZone)
}

/** `pg_get_expr` writes bounds as the session's settings ask. */
export const CANONICAL_BOUNDS = "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL timezone = 'UTC'"

/** Reads a bound as the server writes it under `CANONICAL_BOUNDS`. */
export function boundOf(text: string | null): Bound {
  if (text === 'DEFAULT') return { kind: 'default' }
  const [, from, to] = /^FOR VALUES FROM \((MINVALUE|'[^',]+')\) TO \((MAXVALUE|'[^',]+')\)$/.exec(text ?? '') ?? []
  if (from === undefined || to === undefined) return { kind: 'other' }
  const [lower, upper] = [from, to].map((edge) => (edge.startsWith("'") ? boundTime(edge.slice(1, -1)) : 'open'))
  if (lower === undefined || upper === undefined) return { kind: 'other' }
  return { kind: 'range', from: lower === 'open' ? undefined : lower, to: upper === 'open' ? undefined : upper }
}

/** `undefined`: it is no time, such as infinity. */
export function boundTime(text: string): BoundTime | undefined {
  const time = readingOf(text)
  if (time === undefined) return undefined
  // Below a millisecond.
  const isMore = /\.\d{3}\d*[1-9]/.test(text)
  return { text, reading: time.reading + (isMore ? 1 : 0) }
}

interface TreeRow {
  readonly id: string
  readonly kind: string
  readonly owner: string
  readonly isOwner: boolean
  readonly type: string | null
  readonly mayBeNull: boolean
  readonly isByTime: boolean
}

interface PartRow {
  readonly id: string
  readonly schema: string
  readonly name: string
  readonly kind: string
  readonly owner: string
  readonly isPending: boolean
  readonly bound: string | null
}

const TREE = `SELECT ${textOf('c.oid')} AS id, c.relkind::pg_catalog.text AS kind, o.rolname::pg_catalog.text AS owner,
  pg_catalog.pg_has_role(c.relowner, 'USAGE'::pg_catalog.text) AS "isOwner",
  pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, coalesce(NOT a.attnotnull, true) AS "mayBeNull",
  coalesce(p.partstrat ${EQ} 'r'::pg_catalog."char" AND p.partnatts ${EQ} '1'::pg_catalog.int2 AND p.partattrs[0] ${EQ} a.attnum, false) AS "isByTime"
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
JOIN pg_catalog.pg_roles AS o ON o.oid ${EQ} c.relowner
LEFT JOIN pg_catalog.pg_attribute AS a
  ON a.attrelid ${EQ} c.oid AND a.attname ${EQ} $3::pg_catalog.name AND a.attnum ${GT} 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_partitioned_table AS p ON p.partrelid ${EQ} c.oid
WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname ${EQ} $2::pg_catalog.name AND ${nameIn('c.relkind', ['r', 'p', 'v', 'm', 'f'], '"char"')}`

/** \`inhdetachpending\` exists from PostgreSQL 14 on. */
const PARTS = `SELECT ${textOf('c.oid')} AS id, n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name, c.relkind::pg_catalog.text AS kind,
  o.rolname::pg_catalog.text AS owner,
  coalesce(pg_catalog.to_jsonb(i) ${builtIn('->>')} 'inhdetachpending'::pg_catalog.text, 'false'::pg_catalog.text) ${EQ} 'true'::pg_catalog.text AS "isPending",
  pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} i.inhrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
JOIN pg_catalog.pg_roles AS o ON o.oid ${EQ} c.relowner
WHERE i.inhparent ${EQ} $1::pg_catalog.oid ORDER BY c.relname`

type Recorded = Pick<Tree, 'record' | 'isRecordUnreadable'>
type Detached = Pick<Tree, 'detached' | 'unreadable'>

const NO_RECORD: Recorded = { record: undefined, isRecordUnreadable: false }
const NONE_DETACHED: Detached = { detached: [], unreadable: [] }

async function recordOf(query: Query, schema: string, table: string): Promise<Recorded> {
  const { rows } = await query.query<Record<'first' | 'bound' | 'began' | 'converted' | 'undoing', unknown>>(
    `SELECT ${ofSize('first_partition')} AS first, ${ofSize('bound')} AS bound, began_at AS began, converted_at AS converted, undoing_since AS undoing
     FROM ${qualified(schema, PARTITIONED)} WHERE table_name ${EQ} $1::pg_catalog.text`,
    [table],
  )
  const [row] = rows
  if (row === undefined) return NO_RECORD
  const { first, began, converted, undoing } = row
  const bound = typeof row.bound === 'string' ? boundTime(row.bound) : undefined
  if (typeof first !== 'string' || bound === undefined || !isTime(began) || !isTimeOrNull(converted) || !isTimeOrNull(undoing))
    return { record: undefined, isRecordUnreadable: true }
  return {
    record: { first, bound, beganAt: began, convertedAt: converted ?? undefined, undoingSince: undoing ?? undefined },
    isRecordUnreadable: false,
  }
}

async function detachedOf(query: Query, schema: string, table: string): Promise<Detached> {
  const { rows } = await query.query<Record<'name' | 'lower' | 'upper' | 'isOpen' | 'since', unknown>>(
    `SELECT ${ofSize('relation')} AS name, ${ofSize('lower_bound')} AS lower, lower_bound IS NULL AS "isOpen", ${ofSize('upper_bound')} AS upper, detached_at AS since
     FROM ${qualified(schema, DETACHED)} WHERE table_name ${EQ} $1::pg_catalog.text ORDER BY upper_bound, relation`,
    [table],
  )
  const read = rows.map(({ name, lower, upper, isOpen, since }): DetachedRecord | string => {
    const to = typeof upper === 'string' ? boundTime(upper) : undefined
    const from = typeof lower === 'string' ? boundTime(lower) : undefined
    if (typeof name !== 'string') return 'one that is too long'
    return to === undefined || !isTime(since) || (isOpen !== true && from === undefined) ? JSON.stringify(name) : { name, from, to, since }
  })
  return {
    detached: read.filter((each) => typeof each !== 'string'),
    unreadable: read.filter((each) => typeof each === 'string'),
  }
}

/** Of a name or a bound. Those of PostgreSQL have 63 and some 30. */
const MOST_BYTES = 255

/** Anybody who may write to our tables may have written a text of any length: a longer one is read as NULL. */
function ofSize(column: string): string {
  return `CASE WHEN pg_catalog.octet_length(${column}) ${GT} '${MOST_BYTES}'::pg_catalog.int4 THEN NULL ELSE ${column} END`
}

/** In milliseconds since 1970, as a date can hold it. */
function isTime(value: unknown): value is EpochMs {
  return typeof value === 'number' && Number.isSafeInteger(value) && Math.abs(value) <= LATEST_MS
}

function isTimeOrNull(value: unknown): value is EpochMs | null {
  return value === null || isTime(value)
}

const LATEST_MS = 8.64e15
