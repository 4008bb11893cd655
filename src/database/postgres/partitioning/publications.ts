import { DatabaseError } from '../../database-error.ts'
import type { Query } from '../../query.ts'
import { EQ } from '../exact.ts'
import { literal, quoted } from '../identifiers.ts'

/** One that sends the changes of the table to subscribers. */
export interface Publication {
  readonly name: string
  /** Why it carries the table: `FOR ALL TABLES`, `FOR TABLES IN SCHEMA`, or because it names it. */
  readonly carries: 'all' | 'schema' | 'table'
  /** Whether changes of partitions are sent as changes of the table: `publish_via_partition_root`. */
  readonly viaRoot: boolean
  /** Whether the connected role may change which tables it carries. */
  readonly isOwner: boolean
  /** Whether it sends updates or deletes, which takes a replica identity. */
  readonly sendsChanges: boolean
  /** Its option `publish`: `insert, update`. */
  readonly publish: string
}

export async function carryingPublications(query: Query, schema: string, table: string): Promise<readonly Publication[]> {
  const { rows } = await query.query<{ bySchema: boolean }>(BY_SCHEMA)
  const found = await query.query<Publication>(publicationsSql(rows[0]?.bySchema === true), [schema, table])
  return found.rows
}

/**
 * For rows that go from one table into another and stay what they are: a subscriber, who has them, would delete them or be sent them once more, which ends its
 * subscription where they have a key. What a publication sends is decided anew for each change of a transaction, so within this one it sends nothing, and what
 * others do meanwhile is sent as before. Rejects, before anything is moved, where the role may not do that.
 */
export async function unpublished<T>(tx: Query, schema: string, table: string, move: () => Promise<T>): Promise<T> {
  const carrying = await carryingPublications(tx, schema, table)
  const foreign = carrying.filter(({ isOwner }) => !isOwner)
  if (foreign.length > 0)
    throw new DatabaseError(
      'refused',
      foreign.map(({ name }) => foreignPublication(name, `${schema}.${table}`)),
    )
  const send = (of: (publication: Publication) => string): string =>
    carrying.map((each) => `ALTER PUBLICATION ${quoted(each.name)} SET (publish = ${literal(of(each))})`).join('; ')
  if (carrying.length > 0) await tx.query(send(() => ''))
  const moved = await move()
  if (carrying.length > 0) await tx.query(send(({ publish }) => publish))
  return moved
}

export function foreignPublication(name: string, title: string): string {
  return (
    `The publication ${quoted(name)} carries ${title} and belongs to another role: it would send rows that are only moved to subscribers, which have them already. ` +
    'Nothing was moved. Run this command as the owner of the publication, or give that role to this one.'
  )
}

/** From PostgreSQL 15 on a publication may be for a schema. */
const BY_SCHEMA = `SELECT pg_catalog.to_regclass('pg_catalog.pg_publication_namespace'::pg_catalog.text) IS NOT NULL AS "bySchema"`

/** Not from the view pg_publication_tables: for a partitioned table without publish_via_partition_root it has the partitions of this moment only. */
function publicationsSql(bySchema: boolean): string {
  const ofSchema = bySchema
    ? `EXISTS (SELECT FROM pg_catalog.pg_publication_namespace AS s WHERE s.pnpubid ${EQ} p.oid AND s.pnnspid ${EQ} n.oid)`
    : 'false'
  return `SELECT found.name, found.carries, found."viaRoot", found."isOwner", found."sendsChanges", found.publish FROM (
  SELECT p.pubname::pg_catalog.text AS name, p.pubviaroot AS "viaRoot", p.pubupdate OR p.pubdelete AS "sendsChanges",
    pg_catalog.pg_has_role(p.pubowner, 'USAGE'::pg_catalog.text) AS "isOwner",
    pg_catalog.concat_ws(', '::pg_catalog.text, CASE WHEN p.pubinsert THEN 'insert'::pg_catalog.text END, CASE WHEN p.pubupdate THEN 'update'::pg_catalog.text END,
      CASE WHEN p.pubdelete THEN 'delete'::pg_catalog.text END, CASE WHEN p.pubtruncate THEN 'truncate'::pg_catalog.text END) AS publish,
    CASE WHEN p.puballtables THEN 'all'::pg_catalog.text WHEN ${ofSchema} THEN 'schema'::pg_catalog.text
      WHEN EXISTS (SELECT FROM pg_catalog.pg_publication_rel AS r WHERE r.prpubid ${EQ} p.oid AND r.prrelid ${EQ} c.oid) THEN 'table'::pg_catalog.text END AS carries
  FROM pg_catalog.pg_publication AS p CROSS JOIN pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
  WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname ${EQ} $2::pg_catalog.name
) AS found WHERE found.carries IS NOT NULL ORDER BY found.name`
}
