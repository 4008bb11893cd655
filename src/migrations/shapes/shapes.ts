import type { Relation } from '../../database/migrating.ts'
import { MaintenanceError } from '../../errors.ts'
import type { MigrationFile } from '../migration-files.ts'
import { otherHistories, shapeDifferences } from './adoption.ts'
import { SHAPES } from './migration-shapes.ts'

/** The migration that makes a table, if it is among these. */
export function makerOf<File extends Pick<MigrationFile, 'stem'>>(table: string, files: readonly File[]): File | undefined {
  return files.find(({ stem }) => SHAPES[stem]?.[table]?.kind === 'table')
}

/**
 * Call before the first statement. Refuses a database with tables or views of the same names but different shapes, and reports all differences at once.
 */
export function refuseOtherShapes(existing: ReadonlyMap<string, Relation>, pending: readonly MigrationFile[]): void {
  const differences = pending.flatMap(({ stem }) => shapeDifferences(existing, SHAPES[stem] ?? {}))
  if (differences.length === 0) return
  const others = otherHistories(existing)
  const lines = [
    'The database has tables that differ from those that the migrations create. Nothing was changed. The differences:',
    ...differences.map((difference) => `- ${difference}`),
    ...(others.length === 0 ? [] : [`Another tool manages this schema: ${others.join(', ')}.`]),
    'Set MIGRATIONS_ENABLED=false to run the jobs on the tables as they are, or point DATABASE_URL at the right database.',
  ]
  throw new MaintenanceError('MIGRATION_REFUSED', lines)
}
