import { JOBS } from '../catalogue.ts'
import type { Query } from '../database/query.ts'
import { boundedText, orNothing, storedNumber, storedText, storedTime, textUpTo } from '../database/stored-values.ts'
import { MOST_MATCHES_BYTES, parseMatches } from '../policy/holds.ts'
import type { Spared } from '../policy/spared.ts'
import type { EpochMs } from '../time/clock.ts'
import { HOLDS } from './hold-tables.ts'

/** A hold as it is on record, in force or not. */
export interface StoredHold {
  readonly id: number
  readonly name: string
  readonly job: string
  /** What it keeps, or why that cannot be understood. */
  readonly keeps: Spared | { readonly problems: readonly string[] }
  readonly reason: string
  readonly placedAt: EpochMs
  readonly placedBy: string
  readonly reviewAt: EpochMs | undefined
  /** `undefined`: it is in force. */
  readonly released: { readonly at: EpochMs; readonly by: string; readonly reason: string } | undefined
}

const TEXTS = ['name', 'job', 'reason', 'placed_by', 'released_by', 'release_reason']
  .map((column) => `${boundedText(column)} AS ${column}`)
  .join(', ')

/** All of them, or those of a name, in the order in which they were placed. */
export async function storedHolds(query: Query, table: string, name?: string): Promise<readonly StoredHold[]> {
  const { rows } = await query.query(
    `SELECT id, placed_at, review_at, released_at, ${TEXTS}, ${textUpTo('matches', MOST_MATCHES_BYTES)} AS matches FROM ${table} ${name === undefined ? '' : 'WHERE name = $1'} ORDER BY id`,
    name === undefined ? [] : [name],
  )
  return rows.map(storedHold)
}

function storedHold(row: Readonly<Record<string, unknown>>): StoredHold {
  const text = (column: string): string => storedText(row[column], `${HOLDS}.${column}`)
  const time = (column: string): EpochMs | undefined => orNothing(storedTime, row[column], `${HOLDS}.${column}`)
  const releasedAt = time('released_at')
  return {
    id: storedNumber(row['id'], `${HOLDS}.id`),
    name: text('name'),
    job: text('job'),
    keeps: keptBy(text('job'), row['matches']),
    reason: text('reason'),
    placedAt: storedTime(row['placed_at'], `${HOLDS}.placed_at`),
    placedBy: text('placed_by'),
    reviewAt: time('review_at'),
    released: releasedAt === undefined ? undefined : { at: releasedAt, by: text('released_by'), reason: text('release_reason') },
  }
}

function keptBy(name: string, matches: unknown): StoredHold['keeps'] {
  const columns = JOBS.find((job) => job.name === name)?.holdable.by ?? []
  if (columns.length === 0) return { problems: ['no row of this job can be held'] }
  return typeof matches === 'string' ? parseMatches(matches, columns) : { problems: [`is no text of at most ${MOST_MATCHES_BYTES} bytes`] }
}

export interface KeptInRun {
  readonly run: number
  readonly startedAt: EpochMs
  readonly rows: number
}

/** How many rows a hold kept in the last runs, newest first. `tables`: the names of the two tables, for use in SQL. */
export async function keptInRuns(
  query: Query,
  tables: { readonly runs: string; readonly runHolds: string },
  hold: number,
  most: number,
): Promise<readonly KeptInRun[]> {
  const { rows } = await query.query(
    `SELECT h.run AS run, r.started_at AS started_at, h."rows" AS "rows" FROM ${tables.runHolds} AS h JOIN ${tables.runs} AS r ON r.id = h.run
     WHERE h.hold = $1 ORDER BY h.run DESC LIMIT ${most}`,
    [hold],
  )
  return rows.map((row) => ({
    run: storedNumber(row['run'], 'maintenance_run_holds.run'),
    startedAt: storedTime(row['started_at'], 'maintenance_runs.started_at'),
    rows: storedNumber(row['rows'], 'maintenance_run_holds.rows'),
  }))
}

export interface HeldFile {
  readonly path: string
  readonly rows: number
}

/** The files of the archive that are known to have rows of a hold: those that were read because their time had come. */
export async function heldFiles(query: Query, table: string, hold: number, most: number): Promise<readonly HeldFile[]> {
  const { rows } = await query.query(
    `SELECT ${boundedText('path')} AS path, "rows" FROM ${table} WHERE hold = $1 AND "rows" > 0 ORDER BY path LIMIT ${most}`,
    [hold],
  )
  return rows.map((row) => ({
    path: storedText(row['path'], 'maintenance_held_files.path'),
    rows: storedNumber(row['rows'], 'maintenance_held_files.rows'),
  }))
}
