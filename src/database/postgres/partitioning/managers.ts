import type { Query } from '../../query.ts'
import { nameIn } from '../exact.ts'

const MANAGERS: Readonly<Record<string, string>> = { citus: 'Citus', pg_partman: 'pg_partman', timescaledb: 'TimescaleDB' }

/** The extensions of this database that have partitions of their own, by the names that people know. */
export async function managersHere(query: Query): Promise<readonly string[]> {
  const { rows } = await query.query<{ name: string }>(INSTALLED)
  return rows.map(({ name }) => MANAGERS[name] ?? name)
}

const INSTALLED = `SELECT e.extname::pg_catalog.text AS name FROM pg_catalog.pg_extension AS e WHERE ${nameIn('e.extname', Object.keys(MANAGERS), 'name')} ORDER BY e.extname`
