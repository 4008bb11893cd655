import type { Database } from '../../src/database/database.ts'
import type { SchemaObject } from '../../src/database/examining.ts'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { optionsFor, PACKAGE_ROOT } from './support.ts'

/**
 * Migrates an empty database file by file, and says of what is there at the end which migration has made it so: the last before which it was not there, or was
 * another. The record of migrations is the worker's own, version 0.
 */
export async function objectsMade(database: Database): Promise<readonly SchemaObject[]> {
  const files = await readMigrationFiles(PACKAGE_ROOT)
  const examining = await database.examining()
  let versions = new Map<string, number>()
  let objects: readonly SchemaObject[] = []
  for (const { version } of files.filter(({ fileName }) => database.migrationFiles.test(fileName))) {
    const upTo = files.filter((file) => file.version <= version)
    await migrate(optionsFor(database, upTo))
    const facts = await examining.schema([...(await database.relations()).keys()], [])
    versions = new Map(
      facts.objects.map((object) => {
        const key = keyOf(object)
        return [key, versions.get(key) ?? (object.of === 'maintenance_migrations' ? 0 : version)]
      }),
    )
    objects = facts.objects
  }
  return objects.map((object) => ({ ...object, version: versions.get(keyOf(object))! }))
}

function keyOf({ kind, of, name, is }: SchemaObject): string {
  return JSON.stringify([kind, of, name, is])
}
