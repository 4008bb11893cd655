import { messageOf } from '../../../errors.ts'
import { countText } from '../../../number-text.ts'
import { BUSY_ROWS, zoneSuspicion, type NewestRows } from '../../../time/zone-suspicion.ts'
import { reachOf } from '../../cascades.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Inspection, Terms, TimeColumn } from '../../purging.ts'
import type { Connection } from '../connection/connection.ts'
import { folded, quoted } from '../names.ts'
import { readText } from '../times.ts'
import { foreignKeysOf, type SqliteForeignKey } from './foreign-keys.ts'
import { layoutOf, unfit, type Layout } from './layout.ts'
import { removalOf } from './removal.ts'
import { columnNamed } from './spared-sql.ts'
import { mismatchAmong, mustTakeNothing } from './taken-along.ts'
import { unindexedReferences } from './unindexed-references.ts'
import { statementsFor } from './walk-statements.ts'

/** A table without an index on its time is scanned as a whole, up to this size. */
const MOST_ROWS_WITHOUT_INDEX = 50_000

/** Only reads. Throws if the table cannot be purged. */
export function inspect(connection: Connection, column: TimeColumn, terms: Terms, timeZone: string): Inspection {
  const layout = layoutOf(connection, column)
  if (layout === undefined) return { kind: 'absent', reason: `table ${column.table} does not exist` }
  const reach = reachOf([folded(column.table)], foreignKeysOf(connection))
  for (const name of terms.matched) columnNamed(connection.file, column.table, layout.columns)(name)
  mustBeRemovable(connection, column, layout, reach.searched)
  const lasting = [
    ...mustTakeNothing(connection, column.table, reach, terms),
    ...unindexedReferences(connection, column.table, reach.searched),
  ]
  if (layout.index === undefined) {
    mustBeSmall(connection, column, layout)
    return { kind: 'ready', warnings: [], lasting }
  }
  const warning =
    column.keep?.from === 'written' ? zoneSuspicion(newestRows(connection, column, layout), connection.clock.now(), timeZone) : undefined
  return { kind: 'ready', warnings: warning === undefined ? [] : [warning], lasting }
}

/** SQLite compiles a DELETE together with everything that it triggers, so compiling one now reveals what would fail at the first row. */
function mustBeRemovable(connection: Connection, { table }: TimeColumn, layout: Layout, searched: readonly SqliteForeignKey[]): void {
  try {
    removalOf(connection, layout, [])
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.kind !== 'failed') throw error
    const mismatch = mismatchAmong(connection, searched)
    if (mismatch !== undefined) throw new DatabaseError('failed', mismatch, { cause: error })
    throw unfit(
      connection,
      table,
      `has a trigger, index or foreign key that needs a function of another program, or one that SQLite does not allow in a schema (${messageOf(error.cause)})`,
    )
  }
}

function mustBeSmall(connection: Connection, { table, column }: TimeColumn, layout: Layout): void {
  const rows = connection.figure(statementsFor(layout).size, [MOST_ROWS_WITHOUT_INDEX + 1])
  if (rows <= MOST_ROWS_WITHOUT_INDEX) return
  throw new DatabaseError(
    'failed',
    `${connection.file}: table ${table} has more than ${countText(MOST_ROWS_WITHOUT_INDEX)} rows and no index that begins with ${column}. ` +
      `Nothing was deleted from it. When the database is quiet, run: CREATE INDEX idx_${table}_${column} ON ${quoted(table)} (${layout.column});`,
  )
}

/** Only times without a zone count. */
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
