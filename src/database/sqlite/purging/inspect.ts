import { messageOf } from '../../../errors.ts'
import { countText } from '../../../number-text.ts'
import { BUSY_ROWS, zoneSuspicion, type NewestRows } from '../../../time/zone-suspicion.ts'
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
    column.keep?.from === 'written' ? zoneSuspicion(newestRows(connection, column, layout), connection.clock.now(), timeZone) : undefined
  return { kind: 'ready', warnings: warning === undefined ? [] : [warning] }
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
    `${connection.file}: ${table} has more than ${countText(MOST_ROWS_WITHOUT_INDEX)} rows and no index that begins with ${column}; ` +
      `nothing was deleted from it. In a quiet hour: CREATE INDEX idx_${table}_${column} ON ${quoted(table)} (${layout.column});`,
  )
}

/** As far as they name no zone. */
function newestRows(connection: Connection, { table, column }: TimeColumn, layout: Layout): NewestRows {
  const readings = connection
    .timeRows(statementsFor(layout).newest, ['2000-', '2101-', BUSY_ROWS])
    .flatMap(([value]) => {
      const time = typeof value === 'string' ? readText(value) : undefined
      return time === undefined || time.zoned ? [] : [time.instant]
    })
    .toSorted((a, b) => b - a)
  const newest = readings[0] ?? NaN
  return { table, column, newest, spanMs: newest - (readings[BUSY_ROWS - 1] ?? NaN) }
}
