import type { Query } from '../../query.ts'
import { EQ } from '../exact.ts'
import { retainersOf } from '../purging/others-retention.ts'
import type { Tree } from './tree.ts'

/** Where TimescaleDB keeps the chunks of its hypertables, whatever their names. */
const CHUNKS = '_timescaledb_internal'

/** Another program that makes or drops partitions of the table: as a name for people; `undefined`: none that is known. Then nothing is made or dropped beside it. */
export async function managerOf(query: Query, schema: string, table: string, tree: Tree): Promise<string | undefined> {
  const [retainer] = await retainersOf(query, schema, table)
  if (retainer !== undefined) return retainer
  if (tree.parts.some((part) => part.schema === CHUNKS)) return 'TimescaleDB'
  return (await isDistributed(query, tree)) ? 'Citus' : undefined
}

/** Citus's catalogue is public, and in pg_catalog, where nobody else can make a table of that name. */
async function isDistributed(query: Query, { id }: Tree): Promise<boolean> {
  const { rows: found } = await query.query(
    `SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
     WHERE n.nspname ${EQ} 'pg_catalog'::pg_catalog.name AND c.relname ${EQ} 'pg_dist_partition'::pg_catalog.name`,
  )
  if (found.length === 0) return false
  const { rows } = await query.query(
    `SELECT FROM pg_catalog.pg_dist_partition AS d WHERE d.logicalrelid::pg_catalog.oid ${EQ} $1::pg_catalog.oid`,
    [id],
  )
  return rows.length > 0
}
