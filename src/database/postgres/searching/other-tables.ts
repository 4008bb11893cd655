import { DETACHED } from '../../partitioning.ts'
import type { Query } from '../../query.ts'
import { EQ, nameIn } from '../exact.ts'
import { qualified } from '../identifiers.ts'
import { mustBeTrusted, OWN_TABLES } from '../owners.ts'
import { arrayOf } from '../purging/spared-sql.ts'

/** By the catalogue alone: nothing is read from them. */
export async function otherTables(query: Query, schema: string, known: readonly string[]): Promise<readonly string[]> {
  const isOnRecord = (await mustBeTrusted(query, schema, [DETACHED])).has(DETACHED)
  const { rows } = await query.query<{ name: string }>(
    isOnRecord
      ? `${TABLES} AND NOT EXISTS (SELECT FROM ${qualified(schema, DETACHED)} AS d WHERE d.relation ${EQ} c.relname::pg_catalog.text)${ORDER}`
      : `${TABLES}${ORDER}`,
    [schema, arrayOf([...known, ...OWN_TABLES])],
  )
  return rows.map(({ name }) => name)
}

const TABLES = `SELECT c.relname::pg_catalog.text AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
WHERE n.nspname ${EQ} $1::pg_catalog.name AND ${nameIn('c.relkind', ['r', 'p', 'f', 'm'], '"char"')}
  AND NOT c.relname::pg_catalog.text ${EQ} ANY ($2::pg_catalog.text[])
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid ${EQ} c.oid)`
const ORDER = ' ORDER BY c.relname'
