import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { ADD_FUNCTION, REMOVE_FUNCTION } from '../../../src/database/postgres/partitioning/functions.ts'
import { applyMigrations } from '../../runs/support.ts'
import { converted } from '../../support/converting.ts'
import { POSTGRES_MAJORS } from '../../support/databases.ts'
import { postgresDatabase } from '../../support/engines.ts'
import { quoted, urlOf } from './partition-roles.ts'

for (const major of POSTGRES_MAJORS) {
  describe(`whose rights partition start needs, on PostgreSQL ${major}`, () => {
    test('those of the gateway’s role; a role that runs jobs gets the two functions, and nothing else', async () => {
      await using outside = await postgresDatabase(major)
      const mark = randomBytes(4).toString('hex')
      const [gateway, purger] = [`Gateway "${mark}"`, `purge-${mark}`]
      const [{ name }] = (await outside.sql<{ name: string }>('SELECT current_database() AS name')) as [{ name: string }]
      await outside.sql(
        `CREATE ROLE ${quoted(gateway)} LOGIN; CREATE ROLE ${quoted(purger)} LOGIN; ALTER DATABASE ${name} OWNER TO ${quoted(gateway)}; GRANT ALL ON SCHEMA public TO ${quoted(gateway)}`,
      )
      try {
        await applyMigrations(urlOf(outside.url, gateway))
        await outside.sql(
          `GRANT SELECT, DELETE ON audit_logs TO ${quoted(purger)}; GRANT SELECT, UPDATE ON maintenance_leases TO ${quoted(purger)}`,
        )
        await outside.sql(
          `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") VALUES ('t', 'u', 'a', 's', '2026-01-01'), ('t', 'u', 'a', 's', 'infinity')`,
        )
        await converted(urlOf(outside.url, gateway))
        const rights = await outside.sql(
          `SELECT DISTINCT relowner::regrole::text AS owner, has_table_privilege($1, c.oid, 'DELETE') AS deletes, has_table_privilege($1, c.oid, 'INSERT') AS inserts
           FROM pg_class AS c WHERE relname LIKE 'audit\\_logs%' AND relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace`,
          [purger],
        )
        assert.deepEqual(rights, [{ owner: quoted(gateway), deletes: true, inserts: false }])
        const functions = await outside.sql(
          `SELECT proname AS name, proowner::regrole::text AS owner, has_function_privilege($1, oid, 'EXECUTE') AS may, prosecdef AS definer
           FROM pg_proc WHERE proname = ANY ($2) ORDER BY 1`,
          [purger, `{${ADD_FUNCTION},${REMOVE_FUNCTION}}`],
        )
        assert.deepEqual(
          functions,
          [ADD_FUNCTION, REMOVE_FUNCTION].map((each) => ({ name: each, owner: quoted(gateway), may: true, definer: true })),
        )
      } finally {
        await outside.sql(`ALTER DATABASE ${name} OWNER TO CURRENT_USER`)
        for (const role of [purger, gateway]) await outside.sql(`DROP OWNED BY ${quoted(role)} CASCADE; DROP ROLE ${quoted(role)}`)
      }
    })
  })
}
