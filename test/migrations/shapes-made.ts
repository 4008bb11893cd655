import type { Database } from '../../src/database/database.ts'
import type { Relation } from '../../src/database/migrating.ts'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { LEDGER } from '../../src/migrations/ledger.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { optionsFor, PACKAGE_ROOT } from './support.ts'

/** Migrates an empty database file by file: what each makes that was not there before, by its stem. */
export async function shapesMade(database: Database): Promise<ReadonlyMap<string, ReadonlyMap<string, Relation>>> {
  const files = await readMigrationFiles(PACKAGE_ROOT)
  const made = new Map<string, ReadonlyMap<string, Relation>>()
  const known = new Set([LEDGER])
  for (const { stem, version } of files.filter(({ fileName }) => database.migrationFiles.test(fileName))) {
    await migrate(
      optionsFor(
        database,
        files.filter((file) => file.version <= version),
      ),
    )
    const fresh = [...(await database.relations())].filter(([name]) => !known.has(name))
    for (const [name] of fresh) known.add(name)
    made.set(stem, new Map(fresh))
  }
  return made
}
