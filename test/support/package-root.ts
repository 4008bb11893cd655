import { existsSync } from 'node:fs'
import { cp, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { PACKAGE_ROOT } from './command.ts'
import { freshSqliteFile } from './databases.ts'

const OURS = fileURLToPath(new URL('../..', import.meta.url))

/** The number after the project's own migrations, in the form of file names. */
export const NEXT_MIGRATION = String(Math.max(...(await readMigrationFiles(OURS)).map(({ version }) => version)) + 1).padStart(3, '0')

const CODE = existsSync(join(PACKAGE_ROOT, 'src')) ? 'src' : 'dist'

/** A copy of the program that is tested, with these files in its `migrations/` too, for the `packageRoot` of a command. */
export async function packageWith(migrations: Readonly<Record<string, string>>): Promise<AsyncDisposable & { readonly root: string }> {
  const fresh = await freshSqliteFile()
  await symlink(join(OURS, 'node_modules'), join(fresh.folder, 'node_modules'))
  for (const copied of ['bin', CODE, 'config', 'migrations', 'package.json'])
    await cp(join(PACKAGE_ROOT, copied), join(fresh.folder, copied), { recursive: true })
  for (const [name, text] of Object.entries(migrations)) await writeFile(join(fresh.folder, 'migrations', name), text)
  return { root: fresh.folder, [Symbol.asyncDispose]: () => fresh[Symbol.asyncDispose]() }
}
