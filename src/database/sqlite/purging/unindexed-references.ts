import { countText } from '../../../number-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Connection } from '../connection/connection.ts'
import { BUILT_IN, folded, MAIN, named, quoted } from '../names.ts'
import { parentKeyOf, rowNumberOf, type SqliteForeignKey } from './foreign-keys.ts'

/**
 * On two cores, looking through 100,000 rows took 16 ms with 10 bytes each and 63 ms with 200. More rows than this could take longer than the lock may be held
 * (`pacing.ts`), for one deleted row alone, and nothing can interrupt it. With fewer, a purge goes row by row.
 */
const MOST_ROWS = 100_000
/** Reading this many for each deleted row makes a batch several times slower. */
const LEAST_ROWS = 1_000

/**
 * For each row that goes, SQLite looks for rows that refer to it. Returns a warning, with the indexes to create, if that means reading a large table every
 * time. Throws if that would hold the lock for longer than is promised.
 */
export function unindexedReferences(connection: Connection, table: string, searched: readonly SqliteForeignKey[]): readonly string[] {
  const slow = searched
    .filter((key) => !isIndexed(connection, key))
    .map((key) => ({ key, rows: boundedRows(connection, key.declared.child) }))
    .filter(({ rows }) => rows >= LEAST_ROWS)
  const tooSlow = slow.filter(({ rows }) => rows > MOST_ROWS)
  if (tooSlow.length > 0)
    throw new DatabaseError(
      'failed',
      `${connection.file}: ${tooSlow.map(({ key }) => key.declared.child).join(' and ')} ${tooSlow.length === 1 ? 'has' : 'have'} more than ${countText(MOST_ROWS)} rows and ` +
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

function boundedRows(connection: Connection, table: string): number {
  return connection.figure(`SELECT count(*) FROM (SELECT 1 FROM ${named(table)} LIMIT $1)`, [MOST_ROWS + 1])
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
