import { DatabaseError } from '../database-error.ts'
import type { Query } from '../query.ts'
import { literal, qualified } from './identifiers.ts'

interface Sequence {
  readonly sequence: string | null
  readonly role: string
  readonly may_set: boolean | null
}

const SEQUENCE = `SELECT s.name AS sequence, current_user::pg_catalog.text AS role,
  pg_catalog.has_sequence_privilege(pg_catalog.to_regclass(s.name)::pg_catalog.oid, 'UPDATE'::pg_catalog.text)
    AND pg_catalog.has_sequence_privilege(pg_catalog.to_regclass(s.name)::pg_catalog.oid, 'SELECT'::pg_catalog.text) AS may_set
FROM pg_catalog.pg_get_serial_sequence($1, 'id'::pg_catalog.text) AS s(name)`

/** Sequences know no transactions, so another session's next number may have been taken meanwhile: it is never set back. */
const RAISE = `SELECT pg_catalog.setval(s.oid, GREATEST($2::bigint, pg_catalog.pg_sequence_last_value(s.oid)))
FROM (SELECT pg_catalog.to_regclass($1)) AS s(oid)`

export async function raiseNumbers(query: Query, schema: string, table: string, above: number): Promise<void> {
  const { rows } = await query.query<Sequence>(SEQUENCE, [qualified(schema, table)])
  const { sequence, role, may_set: maySet } = rows[0] ?? { sequence: null, role: '', may_set: null }
  if (sequence === null)
    throw new DatabaseError(
      'failed',
      `Column "id" of ${schema}.${table} has no sequence that gives its rows their numbers. Nothing was deleted. Compare the table with its migration.`,
    )
  if (maySet !== true)
    throw new DatabaseError(
      'forbidden',
      `The next number for a row of ${schema}.${table} is already in use, as after a restore from a backup, and role ${role} may not set the sequence. ` +
        `Nothing was deleted. Run as the owner of the table: SELECT setval(${literal(sequence)}, ${above})`,
    )
  await query.query(RAISE, [sequence, above])
}
