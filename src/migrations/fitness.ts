import type { Database } from '../database/database.ts'
import type { Relation } from '../database/migrating.ts'
import { MaintenanceError } from '../errors.ts'
import { refuseForeignLedger } from './ledger.ts'
import { refuseBadFiles, type MigrationFile } from './migration-files.ts'
import { refuseForPartitioned } from './partitioned-tables.ts'
import { refuseOtherShapes } from './shapes/shapes.ts'

/** Rejects unless all of these files can be applied to what is there. Returns what is there. */
export async function refuseUnfit(
  database: Pick<Database, 'relations' | 'pooled'>,
  pending: readonly MigrationFile[],
): Promise<ReadonlyMap<string, Relation>> {
  refuseBadFiles(pending)
  const existing = await database.relations()
  refuseForeignLedger(existing)
  refuseOtherShapes(existing, pending)
  refuseForPartitioned(existing, pending)
  const outside = pending.filter(({ script }) => script.outside !== undefined)
  if (outside.length > 0 && (await database.pooled())) {
    throw new MaintenanceError('MIGRATION_REFUSED', [
      `${outside.map(({ path }) => path).join(', ')} runs outside a transaction, but DATABASE_URL goes through a pooler, which may give each statement a different session.`,
      'Nothing was changed. Run `mcp-gateway-maintenance migrate` once with a DATABASE_URL that leads directly to the server.',
    ])
  }
  return existing
}
