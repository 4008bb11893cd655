import { DETACHED } from '../../partitioning.ts'
import type { Query } from '../../query.ts'
import { EQ, GT, textOf } from '../exact.ts'
import { arrayOf } from '../purging/spared-sql.ts'
import { markedBound } from './hands.ts'
import type { DetachedRecord, Edge, PartitioningOptions, Tree } from './tree.ts'

/** What the catalogue says of a table that our record has as taken out. */
export type TakenOut =
  /** Nobody's any more: the record is out of date. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'attached' }
  | { readonly kind: 'ours'; readonly id: string }
  /** It bears the name, and is not certainly what was taken out. A clause. */
  | { readonly kind: 'other'; readonly reason: string }

/** In the order of the records. Reads the catalogue alone: neither the record nor the name is believed. */
export async function takenOut(
  query: Query,
  options: PartitioningOptions,
  tree: Tree,
  records: readonly DetachedRecord[],
): Promise<readonly TakenOut[]> {
  const { rows } = await query.query<FoundRow>(FOUND, [options.schema, arrayOf(records.map(({ name }) => name)), tree.id])
  return records.map((each) =>
    judged(
      each,
      rows.find(({ name }) => name === each.name),
      options,
      tree,
    ),
  )
}

interface FoundRow {
  readonly name: string
  readonly id: string
  readonly kind: string
  readonly owner: string
  readonly isPartition: boolean
  readonly isPart: boolean
  readonly hasRelatives: boolean
  readonly hasSameColumns: boolean
  readonly comment: string | null
}

function judged({ from, to }: DetachedRecord, found: FoundRow | undefined, { schema, column }: PartitioningOptions, tree: Tree): TakenOut {
  if (found === undefined) return { kind: 'gone' }
  if (found.isPart) return { kind: 'attached' }
  if (found.kind !== 'r' || found.isPartition || found.hasRelatives) return other('it is no plain table by itself')
  if (found.owner !== tree.owner) return other(`it belongs to the role ${found.owner}, and ${column.table} to ${tree.owner}`)
  const mark = markedBound(found.comment, schema, column.table)
  if (mark === undefined) return other('it has not the comment that the worker gives such a table')
  if (!isSame(mark.from, from) || !isSame(mark.to, to)) return other('its comment and the record of it do not agree')
  return found.hasSameColumns ? { kind: 'ours', id: found.id } : other(`its columns are not those of ${column.table}`)
}

/** Of one of the kind `other`: a clause with what to do. */
export function leftAlone({ schema, column: { table } }: PartitioningOptions, { name }: DetachedRecord, reason: string): string {
  return (
    `${schema}.${name}, which is on record as a partition taken out of ${schema}.${table}, was left as it is: ${reason}; ` +
    `find out what it is, attach or drop it by hand only if it was a partition, and delete its row of ${DETACHED}`
  )
}

/** Of a row of the record that is none of ours: a clause with what to do. */
export function unreadableRecord({ schema, column: { table } }: PartitioningOptions, shown: string): string {
  return (
    `${schema}.${DETACHED} has a row of ${table} that the worker never writes, with the name ${shown}, so no table is dropped or put back because of it; ` +
    'find out what wrote it and whether a partition was taken out, attach or drop that by hand, and delete the row'
  )
}

function other(reason: string): TakenOut {
  return { kind: 'other', reason }
}

export function isSame(a: Edge, b: Edge): boolean {
  return a?.text === b?.text
}

/** The columns of a relation by name, as text. */
function columnsOf(relation: string): string {
  return `(SELECT ${textOf('pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attgenerated) ORDER BY a.attname)')}
  FROM pg_catalog.pg_attribute AS a WHERE a.attrelid ${EQ} ${relation} AND a.attnum ${GT} '0'::pg_catalog.int2 AND NOT a.attisdropped)`
}

/** A comment is read no further than it needs. */
const FOUND = `SELECT c.relname::pg_catalog.text AS name, ${textOf('c.oid')} AS id, c.relkind::pg_catalog.text AS kind, o.rolname::pg_catalog.text AS owner,
  c.relispartition AS "isPartition",
  EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid ${EQ} c.oid AND i.inhparent ${EQ} $3::pg_catalog.oid) AS "isPart",
  EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid ${EQ} c.oid OR i.inhparent ${EQ} c.oid) AS "hasRelatives",
  coalesce(${columnsOf('c.oid')} ${EQ} ${columnsOf('$3::pg_catalog.oid')}, false) AS "hasSameColumns",
  pg_catalog.left(pg_catalog.obj_description(c.oid, 'pg_class'::pg_catalog.name), 1000) AS comment
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
JOIN pg_catalog.pg_roles AS o ON o.oid ${EQ} c.relowner
WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname::pg_catalog.text ${EQ} ANY ($2::pg_catalog.text[])`
