import { messageOf } from '../../../errors.ts'
import { MINUTE, SECOND, type EpochMs } from '../../../time/clock.ts'
import { wallClock } from '../../../time/zones.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Inspection, TimeColumn } from '../../purging.ts'
import type { Connection } from '../connection/connection.ts'
import { quoted } from '../names.ts'
import { readText } from '../times.ts'
import { layoutOf, unfit, type Layout } from './layout.ts'
import { removalOf } from './removal.ts'
import { statementsFor } from './walk-statements.ts'

/** A table without an index on its time is walked whole up to this size. */
const MOST_ROWS_WITHOUT_INDEX = 50_000

/** Reads only. What makes a purge of the table impossible is thrown. */
export function inspect(connection: Connection, column: TimeColumn, timeZone: string): Inspection {
  const layout = layoutOf(connection, column)
  if (layout === undefined) return { kind: 'absent', reason: `there is no table ${column.table}` }
  mustBeRemovable(connection, column, layout)
  if (layout.index === undefined) {
    mustBeSmall(connection, column, layout)
    return { kind: 'ready', warnings: [] }
  }
  const warning =
    column.retention === undefined ? undefined : localTimeWarning(newest(connection, layout), connection.clock.now(), timeZone)
  return { kind: 'ready', warnings: warning === undefined ? [] : [`${column.table}.${column.column}: ${warning}`] }
}

/** What a delete sets in motion is compiled with it: SQLite says now what it would say of the first row. */
function mustBeRemovable(connection: Connection, { table }: TimeColumn, layout: Layout): void {
  try {
    removalOf(connection, layout, [])
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.kind !== 'failed') throw error
    throw unfit(
      connection,
      table,
      `has a trigger, an index or a reference that runs what only another program has, or what SQLite does not trust a file with (${messageOf(error.cause)})`,
    )
  }
}

function mustBeSmall(connection: Connection, { table, column }: TimeColumn, layout: Layout): void {
  const rows = connection.figure(statementsFor(layout).size, [MOST_ROWS_WITHOUT_INDEX + 1])
  if (rows <= MOST_ROWS_WITHOUT_INDEX) return
  throw new DatabaseError(
    'failed',
    `${connection.file}: ${table} has more than ${MOST_ROWS_WITHOUT_INDEX.toLocaleString('en-US')} rows and no index that begins with ${column}; ` +
      `nothing was deleted from it. In a quiet hour: CREATE INDEX idx_${table}_${column} ON ${quoted(table)} (${layout.column});`,
  )
}

const NEWEST_ROWS = 20
/** So far ahead of the clock, or behind it by a multiple of it: zones lie that far apart. */
const ZONE_STEP_MS = 15 * MINUTE
const LARGEST_OFFSET_MS = 14 * 60 * MINUTE
/** Newest rows within so short a time say that more are written all the time. */
const BUSY_SPAN_MS = 5 * MINUTE

/** How the newest rows read that name no zone, newest first. */
function newest(connection: Connection, layout: Layout): EpochMs[] {
  return connection
    .timeRows(statementsFor(layout).newest, ['2000-', '2101-', NEWEST_ROWS])
    .flatMap(([value]) => {
      const time = typeof value === 'string' ? readText(value) : undefined
      return time === undefined || time.zoned ? [] : [time.instant]
    })
    .toSorted((a, b) => b - a)
}

/**
 * Times that are written now and do not read as now in the zone that they are taken to be in are those of another zone. Ahead of the clock that
 * is certain; behind it, only where rows come so often that the newest should be of this minute.
 */
export function localTimeWarning(readings: readonly EpochMs[], now: EpochMs, timeZone: string): string | undefined {
  const [first] = readings
  if (first === undefined) return undefined
  const behindMs = wallClock(timeZone)(now) - first
  const span = first - (readings.at(-1) ?? first)
  const busy = readings.length === NEWEST_ROWS && span <= BUSY_SPAN_MS
  const steps = Math.round(behindMs / ZONE_STEP_MS)
  const offStepMs = Math.abs(behindMs - steps * ZONE_STEP_MS)
  const ahead = behindMs < -ZONE_STEP_MS
  const behind = busy && steps >= 1 && behindMs <= LARGEST_OFFSET_MS && offStepMs <= Math.max(span / 4, 10 * SECOND)
  if (!ahead && !behind) return undefined
  return (
    `the newest time is about ${Math.round(Math.abs(behindMs) / MINUTE)} minutes ${ahead ? 'ahead of' : 'behind'} the clock, so times without a zone ` +
    `seem not to be in ${timeZone}: rows go too early or too late by as much; set DATABASE_TIME_ZONE to the zone they are written in`
  )
}
