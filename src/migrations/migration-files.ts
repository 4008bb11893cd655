import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { MaintenanceError, messageOf } from '../errors.ts'
import { readGiven } from '../files.ts'
import { parseFileName, seriesProblems, SQLITE, type FileName } from './file-names.ts'
import { NO_TRANSACTION } from './sql/directives.ts'
import { parseScript, type Script } from './sql/script.ts'

export interface MigrationFile extends FileName {
  /** For messages: `migrations/001_initial_schema.sql`. */
  readonly path: string
  /** In canonical form, without a byte order mark and with line feeds only. This is hashed, and this runs. */
  readonly text: string
  /** SHA-256 of the canonical text, in hexadecimal. */
  readonly checksum: string
  /** The parsed text. Parsed on first use, so never for a file that was applied earlier. */
  readonly script: Script
}

export function migrationFile(name: FileName, text: string): MigrationFile {
  let script: Script | undefined
  return {
    ...name,
    path: `${FOLDER}/${name.fileName}`,
    text,
    checksum: checksumOf(text),
    get script() {
      return (script ??= parseScript(text))
    },
  }
}

/**
 * Every file in the package's `migrations/`, for both engines, by number. Problems of the folder are reported before any connection is made, for both
 * engines and all at once, as `MIGRATION_FILES_INVALID`. Problems within a pending file are left to `refuseBadFiles`.
 */
export async function readMigrationFiles(packageRoot: string): Promise<readonly MigrationFile[]> {
  const folder = join(packageRoot, FOLDER)
  const problems: string[] = []
  const files: MigrationFile[] = []
  for (const fileName of await sqlFilesIn(folder)) {
    const path = `${FOLDER}/${fileName}`
    const parsed = parseFileName(fileName)
    if (parsed === undefined) {
      problems.push(`${path} is not named like a migration (NNN_name.sql or NNN_name_sqlite.sql, in lower-case letters, digits and _)`)
      continue
    }
    const text = canonicalText(bytesOf(join(folder, fileName), path))
    if (text === undefined) {
      problems.push(`${path} is not UTF-8`)
      continue
    }
    files.push(migrationFile(parsed, text))
  }
  problems.push(...seriesProblems(files, FOLDER))
  if (problems.length > 0) throw new MaintenanceError('MIGRATION_FILES_INVALID', problems)
  return files.toSorted((a, b) => a.version - b.version)
}

/** Call before the first statement, with the pending files. Applied files are not checked again: parsing them would take a good part of each start. */
export function refuseBadFiles(files: readonly MigrationFile[]): void {
  const problems = files.flatMap(({ path, suffix, script }) => [
    ...script.problems.map((problem) => `${path}:${problem}`),
    ...(suffix === SQLITE && script.outside !== undefined ? [`${path} ${NOT_FOR_SQLITE}`] : []),
  ])
  if (problems.length > 0) throw new MaintenanceError('MIGRATION_FILES_INVALID', problems)
}

/** In the package. */
export const FOLDER = 'migrations'

const NOT_FOR_SQLITE = `must not have @${NO_TRANSACTION}, which is for PostgreSQL: SQLite builds every index in a transaction. Use CREATE INDEX here`

/** `undefined`: not UTF-8. Line endings of a checkout and an editor's byte order mark make no difference. */
export function canonicalText(bytes: Uint8Array): string | undefined {
  try {
    // The decoder drops one leading byte order mark.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return `${text.replaceAll(/\r\n?/g, '\n').trimEnd()}\n`
  } catch {
    return undefined
  }
}

export function checksumOf(canonical: string): string {
  return createHash('sha256').update(canonical).digest('hex')
}

async function sqlFilesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => /\.sql$/i.test(name)).toSorted()
  } catch (error) {
    throw new MaintenanceError(
      'MIGRATION_FILES_INVALID',
      `The migrations cannot be read: ${messageOf(error)}. Nothing was opened. Reinstall the package, or let this user read its folder.`,
      { cause: error },
    )
  }
}

function bytesOf(file: string, path: string): Uint8Array {
  try {
    return readGiven(file)
  } catch (error) {
    throw new MaintenanceError(
      'MIGRATION_FILES_INVALID',
      `${path} cannot be read: ${messageOf(error)}. Nothing was opened. Let this user read it.`,
      { cause: error },
    )
  }
}
