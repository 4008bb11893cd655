import { MaintenanceError } from '../errors.ts'
import type { Relation } from '../database/database.ts'
import { otherHistories, shapeDifferences, type Shape } from './adoption.ts'
import type { MigrationFile } from './files.ts'
import { INITIAL_SHAPE } from './initial-shape.ts'
import { METRICS_SHAPE } from './metrics-shape.ts'

/** What each migration makes, where tables of these names may already stand when it first runs. */
const SHAPES: ReadonlyMap<number, Shape> = new Map([
  [1, INITIAL_SHAPE],
  [2, METRICS_SHAPE],
])

/**
 * Before the first statement: refuses a database whose tables or views are another program's idea of the same names, and says all of it at once.
 */
export function refuseOtherShapes(existing: ReadonlyMap<string, Relation>, pending: readonly MigrationFile[]): void {
  const differences = pending.flatMap(({ version }) => shapeDifferences(existing, SHAPES.get(version) ?? {}))
  if (differences.length === 0) return
  const others = otherHistories(existing)
  const lines = [
    'the database has tables of another shape than the migrations make; nothing was changed:',
    ...differences.map((difference) => `- ${difference}`),
    ...(others.length === 0 ? [] : [`another tool keeps this schema's history: ${others.join(', ')}`]),
    'set MIGRATIONS_ENABLED=false to run the jobs on the tables as they are, or point DATABASE_URL at the right database',
  ]
  throw new MaintenanceError('MIGRATION_REFUSED', lines.join('\n'))
}
