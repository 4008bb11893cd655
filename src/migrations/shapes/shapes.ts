import type { Relation } from '../../database/migrating.ts'
import { MaintenanceError } from '../../errors.ts'
import type { MigrationFile } from '../migration-files.ts'
import { otherHistories, shapeDifferences } from './adoption.ts'
import { SHAPES } from './migration-shapes.ts'

/**
 * Before the first statement: refuses a database whose tables or views are another program's idea of the same names, and says all of it at once.
 */
export function refuseOtherShapes(existing: ReadonlyMap<string, Relation>, pending: readonly MigrationFile[]): void {
  const differences = pending.flatMap(({ stem }) => shapeDifferences(existing, SHAPES[stem] ?? {}))
  if (differences.length === 0) return
  const others = otherHistories(existing)
  const lines = [
    'the database has tables of another shape than the migrations make; nothing was changed:',
    ...differences.map((difference) => `- ${difference}`),
    ...(others.length === 0 ? [] : [`another tool keeps this schema's history: ${others.join(', ')}`]),
    'set MIGRATIONS_ENABLED=false to run the jobs on the tables as they are, or point DATABASE_URL at the right database',
  ]
  throw new MaintenanceError('MIGRATION_REFUSED', lines)
}
