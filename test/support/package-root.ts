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

interface Copy extends AsyncDisposable {
  readonly root: string
}

/** A copy of the program that is tested, with these files in its `migrations/` too, for the `packageRoot` of a command. */
export function packageWith(migrations: Readonly<Record<string, string>>): Promise<Copy> {
  return copyOf(PACKAGE_ROOT, migrations)
}

/** A copy of the checkout, for what an installed package does not do. */
export function checkoutCopy(): Promise<Copy> {
  return copyOf(OURS, {})
}

async function copyOf(root: string, migrations: Readonly<Record<string, string>>): Promise<Copy> {
  const fresh = await freshSqliteFile()
  await symlink(join(OURS, 'node_modules'), join(fresh.folder, 'node_modules'))
  const code = existsSync(join(root, 'src')) ? 'src' : 'dist'
  for (const copied of ['bin', code, 'config', 'migrations', 'package.json'])
    await cp(join(root, copied), join(fresh.folder, copied), { recursive: true })
  for (const [name, text] of Object.entries(migrations)) await writeFile(join(fresh.folder, 'migrations', name), text)
  return { root: fresh.folder, [Symbol.asyncDispose]: () => fresh[Symbol.asyncDispose]() }
}
