import { randomBytes } from 'node:crypto'
import type { Database } from '../../../src/database/database.ts'
import { functionStatements } from '../../../src/database/postgres/partitioning/functions.ts'
import { applyMigrations, opened } from '../../runs/support.ts'
import type { PostgresMajor } from '../../support/databases.ts'
import { postgresDatabase, type TestDatabase } from '../../support/engines.ts'
import { partitioned, type Partitioned } from '../../support/partitioned.ts'

/** A converted database of a gateway's role, and a role that may only purge. Roles belong to the server, so each test has its own. */
export interface PurgedByAnother extends AsyncDisposable {
  /** As the gateway's role, which owns the tables; `RESET ROLE` makes it the superuser. */
  readonly outside: TestDatabase
  readonly gateway: string
  readonly purger: string
  /** The worker's connection, as the purging role. */
  readonly database: Database
}

export async function purgedByAnother(
  major: PostgresMajor,
  { functions, ...shape }: Partitioned & { readonly functions: boolean },
): Promise<PurgedByAnother> {
  const outside = await postgresDatabase(major)
  const mark = randomBytes(4).toString('hex')
  const [gateway, purger] = [`Gateway "${mark}"`, `purge-${mark}`] as const
  const [{ name }] = (await outside.sql<{ name: string }>('SELECT current_database() AS name')) as [{ name: string }]
  await outside.sql(`CREATE ROLE ${quoted(gateway)} LOGIN; CREATE ROLE ${quoted(purger)} LOGIN; ALTER DATABASE ${name} OWNER TO ${quoted(gateway)};
    GRANT ALL ON SCHEMA public TO ${quoted(gateway)}`)
  await applyMigrations(urlOf(outside.url, gateway))
  await outside.sql(`SET ROLE ${quoted(gateway)}`)
  await outside.sql(`GRANT SELECT, DELETE ON audit_logs TO ${quoted(purger)}; GRANT SELECT ON maintenance_partitioned, maintenance_migrations, maintenance_holds TO ${quoted(purger)};
    GRANT SELECT, INSERT, UPDATE, DELETE ON maintenance_leases, maintenance_runs TO ${quoted(purger)}; GRANT SELECT, INSERT, DELETE ON maintenance_detached TO ${quoted(purger)};
    GRANT SELECT, INSERT ON maintenance_receipts TO ${quoted(purger)}`)
  await partitioned(outside, shape)
  await outside.sql(
    `GRANT SELECT, DELETE ON audit_logs TO ${quoted(purger)}; GRANT SELECT, DELETE ON audit_logs_default TO ${quoted(purger)}`,
  )
  if (functions) for (const statement of ensured(gateway, purger)) await outside.sql(statement)
  const database = await opened(urlOf(outside.url, purger))
  return {
    outside,
    gateway,
    purger,
    database,
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]()
      await outside.sql(`RESET ROLE; ALTER DATABASE ${name} OWNER TO CURRENT_USER`)
      for (const role of [purger, gateway]) await outside.sql(`DROP OWNED BY ${quoted(role)} CASCADE; DROP ROLE ${quoted(role)}`)
      await outside[Symbol.asyncDispose]()
    },
  }
}

/** As `partition start` makes the functions for this role. */
export function ensured(owner: string, role: string): readonly string[] {
  return functionStatements({ schema: 'public', table: 'audit_logs', column: 'timestamp', owner, roles: [role, 'PUBLIC'] }).ensure
}

export function quoted(role: string): string {
  return `"${role.replaceAll('"', '""')}"`
}

export function urlOf(url: string, role: string): string {
  const made = new URL(url)
  made.username = encodeURIComponent(role)
  return made.href
}
