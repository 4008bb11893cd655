import type { Relation } from '../../database/migrating.ts'
import { MaintenanceError } from '../../errors.ts'
import type { MigrationFile } from '../migration-files.ts'
import { otherHistories, shapeDifferences, type Shape } from './adoption.ts'
import { tableShapes } from './table-shapes.ts'
import { VIEW_SHAPES } from './view-shapes.ts'

/** What a migration makes, where tables and views of these names may already stand when it first runs. */
export function shapeOf({ version, script }: Pick<MigrationFile, 'version' | 'script'>): Shape {
  return { ...tableShapes(script.statements), ...VIEW_SHAPES.get(version) }
}

/**
 * Before the first statement: refuses a database whose tables or views are another program's idea of the same names, and says all of it at once.
 */
export function refuseOtherShapes(existing: ReadonlyMap<string, Relation>, pending: readonly MigrationFile[]): void {
  const differences = pending.flatMap((file) => shapeDifferences(existing, shapeOf(file)))
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
