import { sizeText } from '../../../number-text.ts'
import type { Query } from '../../query.ts'
import { quoted } from '../identifiers.ts'
import type { Look } from './estimate.ts'
import { withDescendants, type Neighbourhood, type PostgresForeignKey } from './foreign-keys.ts'
import { heapsOf, indexesOf, indexStatements, sizesOf, type Index } from './indexes.ts'

/** Reading this much for each deleted row makes a batch several times slower. */
const LEAST_BYTES = 2 ** 20

/**
 * For each row that goes, PostgreSQL looks for rows that refer to it. Returns a warning, with the indexes to create, if that means reading a large table
 * every time.
 */
export async function unindexedReferences(
  look: Look,
  neighbourhood: Neighbourhood,
  searched: readonly PostgresForeignKey[],
): Promise<readonly string[]> {
  return searched.length === 0 ? [] : look((tx) => slowKeys(tx, neighbourhood, searched))
}

async function slowKeys(query: Query, neighbourhood: Neighbourhood, searched: readonly PostgresForeignKey[]): Promise<readonly string[]> {
  const { relations, own } = neighbourhood
  const tables = [...new Set(searched.flatMap(({ child }) => treeOf(neighbourhood, child)))]
  const indexes = await indexesOf(query, tables)
  const slow = searched.map((key) => ({
    key,
    lacking: heapsOf(neighbourhood, treeOf(neighbourhood, key.child)).filter(({ id }) => !indexes.some((index) => serves(index, id, key))),
  }))
  const sizes = await sizesOf(
    query,
    slow.flatMap(({ lacking }) => lacking.map(({ id }) => id)),
  )
  const large = slow
    .map(({ key, lacking }) => ({ key, lacking, bytes: lacking.reduce((sum, { id }) => sum + (sizes.get(id) ?? 0), 0) }))
    .filter(({ bytes }) => bytes >= LEAST_BYTES)
  if (large.length === 0) return []
  const named = large.map(({ key, bytes }) => `${titleOf(neighbourhood, key.child)} (${quoted(key.name)}, ${sizeText(bytes)})`)
  const statements = large.flatMap(({ key, lacking }) =>
    indexStatements(neighbourhood, relations.get(key.child)!, key.childColumns, indexes, new Set(lacking.map(({ id }) => id))),
  )
  return [
    `each row that is deleted from ${own.schema}.${own.name} is looked for in all of ${named.join(' and ')}, because no index there begins with a column of the ` +
      `foreign key, and that makes the purge slow. Run: ${[...new Set(statements)].join('; ')}`,
  ]
}

/** A foreign key of a partitioned table is one of its partitions; children by inheritance have none of it. */
function treeOf(neighbourhood: Neighbourhood, id: string): readonly string[] {
  return neighbourhood.relations.get(id)?.kind === 'p' ? withDescendants(neighbourhood, id) : [id]
}

function serves({ table, columns, method, isValid, rows }: Index, id: string, { childColumns }: PostgresForeignKey): boolean {
  return table === id && isValid && rows !== 'some' && EQUALITY.has(method) && childColumns.includes(columns[0]!)
}

/** These find a row by the equality of its first column. */
const EQUALITY: ReadonlySet<string> = new Set(['btree', 'hash'])

function titleOf({ relations }: Neighbourhood, id: string): string {
  const { schema, name } = relations.get(id)!
  return `${schema}.${name}`
}
