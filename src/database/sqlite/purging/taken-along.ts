import { allowance, clauseOf, judgedBy, type Cascade, type Reach } from '../../cascades.ts'
import { DatabaseError } from '../../database-error.ts'
import { GATEWAY_TABLES } from '../../gateway-tables.ts'
import type { Terms } from '../../purging.ts'
import type { Connection } from '../connection/connection.ts'
import { folded, quoted } from '../names.ts'
import { parentKeyOf, type SqliteForeignKey } from './foreign-keys.ts'

/** Returns a warning for each cascade that is no matter of the gateway's. Throws if a purge would take along rows that no setting allows. */
export function mustTakeNothing(
  { file }: Connection,
  table: string,
  { cascades }: Reach<SqliteForeignKey>,
  terms: Terms,
): readonly string[] {
  const { keeping, refused, unarchived, told } = judgedBy(terms, folded(table), cascades, (child) =>
    GATEWAY_TABLES.find((name) => name === child),
  )
  const problems = [
    ...keeping.map(
      (cascade) =>
        `${file}: deleting from ${sentence(table, cascade)}, and a legal hold or a retention rule keeps rows of ${cascade.table}, which the foreign key does not ask. ` +
        `Nothing was deleted. To have them kept, ${madeAnew(cascade)}`,
    ),
    ...unarchived.map(
      (cascade) =>
        `${file}: deleting from ${sentence(table, cascade)}, and rows of ${cascade.table} are archived before they go. Nothing was deleted. ` +
        `Set ARCHIVE_ENABLED=false, or ${madeAnew(cascade)}`,
    ),
    ...refused.map(
      (cascade) =>
        `${file}: deleting from ${sentence(table, cascade)}. Nothing was deleted. If that is intended, set ${allowance(terms, cascade.table)}. ` +
        `If not, ${madeAnew(cascade)}`,
    ),
  ]
  if (problems.length > 0) throw new DatabaseError('failed', problems)
  const outside = terms.archived.includes(folded(table)) ? '; they are in no file of the archive' : ''
  return told.map((cascade) => `deleting from ${sentence(table, cascade)}${outside}`)
}

function sentence(table: string, cascade: Cascade<SqliteForeignKey>): string {
  const { key, effect } = cascade
  const { child, childColumns, parent } = key.declared
  const way = folded(table) === key.parent ? '' : ` of ${parent}`
  return `${table} also ${effect} rows of ${child}, which refer to those${way} (${clauseOf(cascade)} of ${child}.${childColumns.join(', ')}; the worker enforces foreign keys)`
}

function madeAnew(cascade: Cascade<SqliteForeignKey>): string {
  return (
    `make ${cascade.key.declared.child} anew without ${clauseOf(cascade)}: SQLite cannot change a foreign key of a table that is there, ` +
    'and https://sqlite.org/lang_altertable.html#otheralter says how.'
  )
}

/** Why SQLite compiles no DELETE of rows that one of these keys refers to, and what to do; `undefined`: that is not the reason. */
export function mismatchAmong(connection: Connection, keys: readonly SqliteForeignKey[]): string | undefined {
  const key = keys.find((each) => parentKeyOf(connection, each) === undefined)
  if (key === undefined) return undefined
  const { child, childColumns, parent, parentColumns } = key.declared
  const refers = `table ${child} refers to ${parent} (${parentColumns.join(', ')})`
  const matching = parentColumns.length === childColumns.length
  return (
    `${connection.file}: ${refers}, ${matching ? 'which no index says are unique' : 'by another number of columns'}, ` +
    `so SQLite deletes nothing from ${parent} while foreign keys are enforced (foreign key mismatch), and the worker enforces them. Nothing was deleted. ` +
    `Make ${child} anew without that foreign key` +
    (matching
      ? `, or run: CREATE UNIQUE INDEX ${quoted(`idx_${parent}_${parentColumns.join('_')}_unique`)} ON ${quoted(parent)} (${parentColumns.map(quoted).join(', ')});`
      : '.')
  )
}
