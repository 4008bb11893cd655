import type { Query } from '../../query.ts'
import { EQ } from '../exact.ts'

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
}

export async function carryingPublications(query: Query, schema: string, table: string): Promise<readonly Publication[]> {
  const { rows } = await query.query<{ bySchema: boolean }>(BY_SCHEMA)
  const found = await query.query<Publication>(publicationsSql(rows[0]?.bySchema === true), [schema, table])
  return found.rows
}

/** From PostgreSQL 15 on a publication may be for a schema. */
const BY_SCHEMA = `SELECT pg_catalog.to_regclass('pg_catalog.pg_publication_namespace'::pg_catalog.text) IS NOT NULL AS "bySchema"`

/** Not from the view pg_publication_tables: for a partitioned table without publish_via_partition_root it has the partitions of this moment only. */
function publicationsSql(bySchema: boolean): string {
  const ofSchema = bySchema
    ? `EXISTS (SELECT FROM pg_catalog.pg_publication_namespace AS s WHERE s.pnpubid ${EQ} p.oid AND s.pnnspid ${EQ} n.oid)`
    : 'false'
  return `SELECT found.name, found.carries, found."viaRoot", found."isOwner", found."sendsChanges" FROM (
  SELECT p.pubname::pg_catalog.text AS name, p.pubviaroot AS "viaRoot", p.pubupdate OR p.pubdelete AS "sendsChanges",
    pg_catalog.pg_has_role(p.pubowner, 'USAGE'::pg_catalog.text) AS "isOwner",
    CASE WHEN p.puballtables THEN 'all'::pg_catalog.text WHEN ${ofSchema} THEN 'schema'::pg_catalog.text
      WHEN EXISTS (SELECT FROM pg_catalog.pg_publication_rel AS r WHERE r.prpubid ${EQ} p.oid AND r.prrelid ${EQ} c.oid) THEN 'table'::pg_catalog.text END AS carries
  FROM pg_catalog.pg_publication AS p CROSS JOIN pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
  WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname ${EQ} $2::pg_catalog.name
) AS found WHERE found.carries IS NOT NULL ORDER BY found.name`
}
