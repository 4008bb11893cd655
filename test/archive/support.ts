import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { DiscardedFiles } from '../../src/archive/discarded-files.ts'
import { restoreFiles, type Restoration } from '../../src/archive/read/restore.ts'
import { verify, type Verification } from '../../src/archive/read/verify.ts'
import { ArchiveRecord } from '../../src/archive/state.ts'
import type { Database } from '../../src/database/database.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { DAY } from '../../src/time/clock.ts'
import { AUDIT_LOGS, run } from '../runs/support.ts'
import type { TestDatabase } from '../support/engines.ts'
import { namesInSpool, placeIn, storeIn } from './where.ts'

export { freshFolder, type Folder } from './where.ts'

/** Runs the purge of audit logs older than 90 days, with the archive. Files of rows that came late go like others, so that old rows can be used, unless `lateKeptMs` says otherwise. */
export function purged(
  database: Database,
  directory: string,
  { keptMs, lateKeptMs = 0, ...request }: Parameters<typeof run>[1] & { readonly keptMs?: number; readonly lateKeptMs?: number } = {},
  options: Parameters<typeof run>[2] = {},
): Promise<RunResult> {
  return run(
    database,
    { job: AUDIT_LOGS, retentionMs: 90 * DAY, accepted: new Set(['empty-table'] as const), ...request },
    { archive: { ...placeIn(directory), keptMs, lateKeptMs }, ...options },
  )
}

export function verified(database: Database, directory: string, since?: number): Promise<Verification> {
  const store = storeIn(directory)
  const discarded = store.publishesLate ? new DiscardedFiles((name) => database.named(name), 'audit_logs') : undefined
  return verify({ database, record: recordOf(database), store, discarded, since })
}

export function restored(
  database: Database,
  directory: string,
  given: Partial<Parameters<typeof restoreFiles>[0]> & { readonly into?: string; readonly cutoff?: number } = {},
): Promise<Restoration> {
  return restoreFiles({
    database,
    record: recordOf(database),
    store: given.store ?? storeIn(directory),
    restoring: { source: 'audit_logs', into: given.into ?? 'audit_logs_restored', timeColumn: 'timestamp', cutoff: given.cutoff },
    files: [],
    from: undefined,
    to: undefined,
    stopping: new AbortController().signal,
    ...given,
  })
}

export function recordOf(database: Database): ArchiveRecord {
  return new ArchiveRecord((name) => database.named(name), 'audit_logs')
}

/** Every value of every row with its type, in a form that makes two tables comparable, whatever the order of their rows. */
export async function contents(outside: TestDatabase, table: string): Promise<string[]> {
  if (outside.url.startsWith('sqlite')) {
    const columns = await outside.sql<{ name: string }>(`SELECT name FROM pragma_table_info('${table}')`)
    const exact = columns.map(({ name }) => {
      const column = `"${name.replaceAll('"', '""')}"`
      return `typeof(${column}) || quote(${column}) || hex(CAST(coalesce(${column}, '') AS BLOB))`
    })
    return (await outside.sql<{ row: string }>(`SELECT ${exact.join(` || '|' || `)} AS row FROM "${table}"`))
      .map(({ row }) => row)
      .toSorted()
  }
  // As bytes: in a database of another encoding, not every text can be sent.
  const text = `encode(convert_to(t::text, 'SQL_ASCII'), 'escape')`
  return (await outside.sql<{ row: string }>(`SELECT ${text} AS row FROM "${table}" AS t`)).map(({ row }) => row).toSorted()
}

/** The names of published files, and of those that are still being written. */
export async function filesIn(directory: string, suffix = '.ndjson.zst'): Promise<string[]> {
  const names = await readdir(directory, { recursive: true })
  return names.filter((name) => name.endsWith(suffix)).toSorted()
}

/** The rows of every published file, as a JSON parser returns them. */
export async function archivedRows(directory: string): Promise<(Record<string, unknown> & { readonly path: string })[]> {
  const rows: (Record<string, unknown> & { readonly path: string })[] = []
  for (const path of await filesIn(directory)) {
    if (path.includes('.writing') || path.startsWith('reconciled/')) continue
    const text = zstdDecompressSync(await readFile(join(directory, path))).toString()
    for (const line of text.split('\n').slice(0, -1)) rows.push({ ...(JSON.parse(line) as Record<string, unknown>), path })
  }
  return rows
}

/** Each of these ids, and no other, is in exactly one file; none is in the table; the chain is intact. */
export async function archivedOnce(database: Database, outside: TestDatabase, directory: string, ids: readonly number[]): Promise<void> {
  const rows = await archivedRows(directory)
  assert.deepEqual(
    rows.map((row) => Number(row['id'])).toSorted((a, b) => a - b),
    ids.toSorted((a, b) => a - b),
  )
  const left = (await outside.sql<{ id: number }>('SELECT id FROM audit_logs')).map(({ id }) => id)
  assert.deepEqual(
    left.filter((id) => ids.includes(id)),
    [],
  )
  const { problems, pending } = await verified(database, directory)
  assert.deepEqual([problems, pending], [[], 0])
  assert.deepEqual(await namesInSpool(directory), [])
}

export async function idsOf(outside: TestDatabase): Promise<number[]> {
  return (await outside.sql<{ id: number }>('SELECT id FROM audit_logs ORDER BY id')).map(({ id }) => id)
}
