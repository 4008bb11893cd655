import { countText } from '../../../number-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Connection } from '../connection/connection.ts'
import { BUILT_IN, folded, MAIN, named, quoted } from '../names.ts'
import { parentKeyOf, rowNumberOf, type SqliteForeignKey } from './foreign-keys.ts'

/** The longest that a batch may hold the lock: one of a single row is no shorter than what is done for that row, and nothing can interrupt it. */
export const LONGEST_HOLD_MS = 150
/** On two busy cores: 100,000 rows took 16 ms with 10 bytes each, and 63 ms with 200. */
const [ROWS_A_MS, BYTES_A_MS] = [6_000, 400_000]
/** Of how many rows the width is taken, and what of it counts: the rest of a longer row is not read. */
const [SAMPLE_ROWS, MOST_WIDTH] = [200, 4_096]
/** Reading this many for each deleted row makes a batch several times slower. */
const LEAST_ROWS = 1_000

/**
 * For each row that goes, SQLite looks for rows that refer to it. Returns a warning, with the indexes to create, if that means reading a large table every
 * time. Throws if that would hold the lock for longer than is promised.
 */
export function unindexedReferences(connection: Connection, table: string, searched: readonly SqliteForeignKey[]): readonly string[] {
  const slow = searched
    .filter((key) => !isIndexed(connection, key))
    .map((key) => ({ key, ...boundedRows(connection, key.declared.child) }))
    .filter(({ rows }) => rows >= LEAST_ROWS)
  const tooSlow = slow.filter(({ rows, most }) => rows > most)
  if (tooSlow.length > 0)
    throw new DatabaseError(
      'failed',
      `${connection.file}: ${tooSlow.map(({ key, most }) => `${key.declared.child} (more than ${countText(most)} rows)`).join(' and ')} ${tooSlow.length === 1 ? 'has' : 'have'} ` +
        `no index that begins with a column of the foreign key, and all of them would be read for each row that is deleted from ${table}, while nobody can write. ` +
        `Nothing was deleted. When the database is quiet, run: ${statementsFor(connection, tooSlow)}`,
    )
  if (slow.length === 0) return []
  return [
    `each row that is deleted from ${table} is looked for in all of ${slow.map(({ key, rows }) => `${key.declared.child} (${countText(rows)} rows)`).join(' and ')}, ` +
      `because no index there begins with a column of the foreign key, and that makes the purge slow. Run: ${statementsFor(connection, slow)}`,
  ]
}

/** SQLite compares by the collation of the parent key, and an index of another one is of no use for that. */
function isIndexed(connection: Connection, key: SqliteForeignKey): boolean {
  const number = rowNumberOf(connection, key.declared.child)
  if (number !== undefined && key.childColumns.includes(number)) return true
  const collations = parentKeyOf(connection, key) ?? []
  const { rows } = connection.run<{ name: string | null; collation: string }>(
    `SELECT first.name, first.coll AS collation
       FROM ${BUILT_IN.indexes}($1, '${MAIN}') AS list CROSS JOIN ${BUILT_IN.indexColumns}(list.name, '${MAIN}') AS first
      WHERE list.partial = 0 AND first.seqno = 0`,
    [key.declared.child],
  )
  return rows.some(({ name, collation }) => {
    const at = key.childColumns.indexOf(folded(name ?? ''))
    return at !== -1 && collation === collations[at]
  })
}

/** How many rows can be looked through within a hold, and how many there are, counted up to that. */
function boundedRows(connection: Connection, table: string): { readonly rows: number; readonly most: number } {
  const { rows: columns } = connection.run<{ name: string }>(`SELECT name FROM ${BUILT_IN.columns}($1, '${MAIN}') WHERE hidden = 0`, [
    table,
  ])
  const width = columns.map(({ name }) => `coalesce(length(CAST(${quoted(name)} AS BLOB)), 0)`).join(' + ')
  const bytes = connection.figure(
    `SELECT avg(min(width, ${MOST_WIDTH})) FROM (SELECT ${width} AS width FROM ${named(table)} LIMIT ${SAMPLE_ROWS})`,
  )
  const most = Math.floor(LONGEST_HOLD_MS / (1 / ROWS_A_MS + bytes / BYTES_A_MS))
  return { rows: connection.figure(`SELECT count(*) FROM (SELECT 1 FROM ${named(table)} LIMIT $1)`, [most + 1]), most }
}

function statementsFor(connection: Connection, slow: readonly { readonly key: SqliteForeignKey }[]): string {
  return slow
    .map(({ key }) => {
      const { child, childColumns } = key.declared
      const collations = parentKeyOf(connection, key) ?? []
      const columns = childColumns.map(
        (name, at) => `${quoted(name)}${(collations[at] ?? 'BINARY') === 'BINARY' ? '' : ` COLLATE ${quoted(collations[at]!)}`}`,
      )
      return `CREATE INDEX ${quoted(`idx_${child}_${childColumns.join('_')}`)} ON ${quoted(child)} (${columns.join(', ')});`
    })
    .join(' ')
}
