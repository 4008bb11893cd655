import { padded, parseFileName, SQLITE, type FileName } from './file-names.ts'

/** The two files of a migration that is to be written, or why there can be none of that name. */
export type NewMigration =
  | { readonly kind: 'ready'; readonly files: readonly { readonly fileName: string; readonly text: string }[] }
  | { readonly kind: 'refused'; readonly problem: string }

/** With the number that comes after those that are there. */
export function newMigration(name: string, existing: readonly FileName[]): NewMigration {
  const version = Math.max(0, ...existing.map((file) => file.version)) + 1
  const fileName = `${padded(version)}_${name}.sql`
  const parsed = parseFileName(fileName)
  if (parsed === undefined || parsed.name !== name || parsed.suffix !== '' || name.length > LONGEST_NAME)
    return {
      kind: 'refused',
      problem: `${JSON.stringify(name)} is no name of a migration: write up to ${LONGEST_NAME} lower-case letters, digits and _, such as add_things, without a number and without ${SQLITE}`,
    }
  const taken = existing.find((file) => file.name === name)
  if (taken !== undefined)
    return { kind: 'refused', problem: `there is a migration of that name already, ${taken.stem}; once released it never changes` }
  const twin = `${parsed.stem}${SQLITE}.sql`
  return {
    kind: 'ready',
    files: [
      { fileName, text: postgresText(fileName, name) },
      { fileName: twin, text: sqliteText(twin, name) },
    ],
  }
}

/** File systems take 255 bytes of a name. */
const LONGEST_NAME = 100

function postgresText(fileName: string, name: string): string {
  return `-- ${titleOf(name)}, on PostgreSQL.
--
-- Safe to run again, by the worker or by hand:
--   psql -v ON_ERROR_STOP=1 -f ${fileName}
-- No table is qualified by a schema: everything goes where search_path points. Whatever else lies there changes nothing: types are those of pg_catalog.

`
}

function sqliteText(fileName: string, name: string): string {
  return `-- ${titleOf(name)}, on SQLite.
--
-- Safe to run again, by the worker or by hand:
--   sqlite3 -bail gateway.db < ${fileName}

`
}

/** `add_things` is `Add things`. */
function titleOf(name: string): string {
  const words = name.replaceAll('_', ' ').trim()
  return words.charAt(0).toUpperCase() + words.slice(1)
}
