import { fileURLToPath } from 'node:url'
import type { Database, OpenOptions } from '../../src/database/database.ts'
import { openDatabase } from '../../src/database/open.ts'
import { parseDatabaseUrl } from '../../src/database/url/database-url.ts'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { parseFileName } from '../../src/migrations/file-names.ts'
import type { AppliedMigration, MigrateOptions, MigrationListener } from '../../src/migrations/migrate-options.ts'
import { canonicalText, migrationFile, readMigrationFiles, type MigrationFile } from '../../src/migrations/migration-files.ts'
import { hostClock, SECOND } from '../../src/time/clock.ts'
import type { TestDatabase } from '../support/engines.ts'

export const PACKAGE_ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** 001 alone, whatever migrations follow it. */
export async function initialSchema(): Promise<readonly MigrationFile[]> {
  return (await readMigrationFiles(PACKAGE_ROOT)).filter(({ version }) => version === 1)
}

/** A migration that is not on disk; both engines get the same text. */
export function made(stem: string, sql: string): MigrationFile[] {
  return [`${stem}.sql`, `${stem}_sqlite.sql`].map((fileName) => {
    const parsed = parseFileName(fileName)
    const text = canonicalText(new TextEncoder().encode(sql))
    if (parsed === undefined || text === undefined) throw new Error(`${fileName} is no migration`)
    return migrationFile(parsed, text)
  })
}

export function opened(url: string, overrides: Partial<OpenOptions> = {}): Promise<Database> {
  return openDatabase({
    url: parseDatabaseUrl(url),
    schema: 'public',
    timeZone: 'UTC',
    connectTimeoutMs: 10 * SECOND,
    access: 'write',
    readUrlAgain: () => undefined,
    random: Math.random,
    applicationName: 'migration tests',
    clock: hostClock(),
    node: process.execPath,
    user: { uid: process.getuid?.() },
    listener: { created: () => {}, warning: () => {}, note: () => {}, lost: () => {}, awaiting: () => undefined, regained: () => {} },
    signal: new AbortController().signal,
    ...overrides,
  })
}

export interface Told {
  readonly listener: MigrationListener
  /** What was told, in order: `applied 1`, `current 1/1`, `waiting`, `blocked`, `slow audit_logs`. */
  readonly events: string[]
  readonly messages: string[]
}

export function listening(): Told {
  const events: string[] = []
  const messages: string[] = []
  return {
    events,
    messages,
    listener: {
      applied: ({ version }) => events.push(`applied ${version}`),
      current: (applied, latest) => events.push(`current ${applied}/${latest}`),
      waiting: (holder) => (events.push('waiting'), messages.push(holder)),
      blocked: (path, reason) => (events.push(`blocked ${path}`), messages.push(reason)),
      healed: (path, index) => events.push(`healed ${path} ${index}`),
      granting: (path, rights, roles) => (events.push(`granting ${path}`), messages.push(...rights, ...roles)),
      slowIndex: (table, _rows, message) => (events.push(`slow ${table}`), messages.push(message)),
    },
  }
}

/** Opens, migrates, closes. */
export async function migrated(
  url: string,
  files: readonly MigrationFile[],
  overrides: Partial<MigrateOptions> = {},
): Promise<readonly AppliedMigration[]> {
  await using database = await opened(url)
  return await migrate(optionsFor(database, files, overrides))
}

export function optionsFor(database: Database, files: readonly MigrationFile[], overrides: Partial<MigrateOptions> = {}): MigrateOptions {
  return {
    database,
    files,
    appVersion: '0.0.0-test',
    lockTimeoutMs: 20 * SECOND,
    signal: new AbortController().signal,
    clock: hostClock(),
    listener: listening().listener,
    ...overrides,
  }
}

/** Every object with its definition, and every row, as text: equal before and after means that nothing was changed. */
export async function pictureOf(database: TestDatabase): Promise<string[]> {
  const objects = await objectsOf(database)
  const rows: string[] = []
  for (const { name } of await database.sql<{ name: string }>(isSqlite(database) ? SQLITE_TABLES : POSTGRES_TABLES)) {
    for (const row of await database.sql(`SELECT * FROM "${name}" ORDER BY 1`)) rows.push(`${name} ${JSON.stringify(row)}`)
  }
  return [...objects, ...rows]
}

export async function objectsOf(database: TestDatabase): Promise<string[]> {
  const objects = await database.sql<{ object: string }>(isSqlite(database) ? SQLITE_OBJECTS : POSTGRES_OBJECTS)
  return objects.map(({ object }) => object)
}

/** Rows of the tables that were there before. */
export async function rowsOf(database: TestDatabase, tables: readonly string[]): Promise<string[]> {
  const picture = await pictureOf(database)
  return picture.filter((line) => tables.some((table) => line.startsWith(`${table} {`)))
}

export function isSqlite({ url }: TestDatabase): boolean {
  return url.startsWith('sqlite')
}

const SQLITE_TABLES = `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`
const SQLITE_OBJECTS = `SELECT type || ' ' || name || ' ' || coalesce(sql, '') AS object FROM sqlite_schema ORDER BY type, name`
const POSTGRES_TABLES = `SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname`
const POSTGRES_OBJECTS = `
  SELECT object FROM (
    SELECT format('column %s %s %s %s %s', attrelid::regclass, attnum, attname, format_type(atttypid, atttypmod), attnotnull || coalesce(pg_get_expr(adbin, adrelid), ''))
      FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
      WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT format('relation %s %s %s %s', relname, relkind, pg_class.oid, relacl) FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace
    UNION ALL SELECT pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT pg_get_constraintdef(oid) || conrelid::regclass FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  ) AS objects (object) ORDER BY object`
