import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { codeOf, MaintenanceError, messageOf, type ExitCode } from '../errors.ts'
import { FOLDER, readMigrationFiles } from '../migrations/migration-files.ts'
import { newMigration } from '../migrations/new-migration.ts'
import type { Start } from '../program.ts'

/** `migrate new`: writes the two files of a migration, with the next number and a header comment each. Needs no database. */
export async function writeMigration({ host }: Start, name: string): Promise<ExitCode> {
  const { packageRoot } = host
  // The next version replaces an installed package, and everything written into it is lost.
  if (!existsSync(join(packageRoot, 'src')))
    throw new MaintenanceError(
      'USAGE',
      `this is an installed package, whose migrations come with it (${packageRoot}); nothing was written. Write a new one in a checkout of the project`,
    )
  const made = newMigration(name, await readMigrationFiles(packageRoot))
  if (made.kind === 'refused') throw new MaintenanceError('USAGE', `${made.problem}; nothing was written`)
  const written: string[] = []
  for (const { fileName, text } of made.files) {
    const path = join(packageRoot, FOLDER, fileName)
    try {
      writeFileSync(path, text, { flag: 'wx' })
    } catch (error) {
      for (const each of written) rmSync(each, { force: true })
      const why = codeOf(error) === 'EEXIST' ? 'it already exists' : messageOf(error)
      throw new MaintenanceError('USAGE', `${FOLDER}/${fileName} cannot be written: ${why}; nothing was left behind`, { cause: error })
    }
    written.push(path)
  }
  for (const { fileName } of made.files) host.print(`made ${FOLDER}/${fileName}\n`)
  host.print(`Write the statements into both; ${FOLDER}/README.md explains the rules for them\n`)
  return 0
}
