import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import { count, opened } from '../runs/support.ts'
import { command, events } from '../support/command.ts'
import { BOTH_ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { archivedOnce, freshFolder } from './support.ts'
import { settingsIn } from './where.ts'

/**
 * Databases and archives that an earlier version left on disk. `whole`: 2,400 rows, all in the archive. `crashed`: the same rows, of which
 * one batch had been deleted when the power failed; the files of all rows are pending.
 */
interface Earlier {
  /** File contents in base64, by path. */
  readonly archive: Readonly<Record<string, string>>
  /** The SQLite file, in base64. */
  readonly file?: string
  /** The rows of PostgreSQL, by table. */
  readonly tables?: Readonly<Record<string, readonly unknown[]>>
}

const ROWS = 2_400
const SHOWN = '2,400'

for (const engine of BOTH_ENGINES) {
  for (const state of ['whole', 'crashed'] as const) {
    test(`${engine.name}: status, a run, verify and restore work with the ${state} database and archive of an earlier version`, async () => {
      await using outside = await engine.fresh()
      await using folder = await freshFolder()
      await unpack(engine, outside, state, folder.path)
      const env = { DATABASE_URL: outside.url, ARCHIVE_ENABLED: 'true', ...settingsIn(folder.path), ARCHIVE_RETENTION: 'forever' }
      const left = await count(outside, 'audit_logs')
      assert.equal(left > 0 && left < ROWS, state === 'crashed')

      const status = await command(['status', '--json'], { env })
      assert.equal(status.code, 0, status.stdout + status.stderr)
      const accepted = ['--accept-clock', '--accept-empty-table']
      const run = await command(['--run-now', '--job', 'purge-audit-logs', ...accepted], { env })
      assert.equal(run.code, 0, run.stdout)
      assert.equal(events(run, 'job.finished')[0]!['deleted'], left)
      const verify = await command(['archive', 'verify'], { env })
      assert.match(verify.stdout, new RegExp(`^sound: \\d+ files?, ${SHOWN} rows`), verify.stdout + verify.stderr)
      const restore = await command(['archive', 'restore', '--into', 'restored_logs'], { env })
      assert.match(restore.stdout, new RegExp(`^${SHOWN} rows of \\d+ files? restored`), restore.stdout + restore.stderr)
      assert.equal(await count(outside, 'restored_logs'), ROWS)
      await using database = await opened(outside.url)
      await archivedOnce(
        database,
        outside,
        folder.path,
        Array.from({ length: ROWS }, (_, index) => index + 1),
      )
    })
  }
}

async function unpack(engine: TestEngine, outside: TestDatabase, state: string, directory: string): Promise<void> {
  const name = `${engine.name.split(' ')[0]}-${state}.json.zst`
  const packed = await readFile(new URL(`earlier/${name}`, import.meta.url))
  const { archive, file, tables } = JSON.parse(zstdDecompressSync(packed).toString()) as Earlier
  for (const [path, bytes] of Object.entries(archive)) {
    await mkdir(dirname(join(directory, path)), { recursive: true })
    await writeFile(join(directory, path), Buffer.from(bytes, 'base64'))
  }
  if (file !== undefined) await writeFile(outside.url.replace('sqlite:///', ''), Buffer.from(file, 'base64'))
  if (tables === undefined) return
  assert.equal((await command(['migrate'], { env: { DATABASE_URL: outside.url } })).code, 0)
  for (const [table, rows] of Object.entries(tables)) {
    await outside.sql(`DELETE FROM ${table}`)
    await outside.sql(`INSERT INTO ${table} OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_recordset(NULL::${table}, $1)`, [
      JSON.stringify(rows),
    ])
  }
  await outside.sql(`SELECT setval(pg_get_serial_sequence('maintenance_runs', 'id'), 1)`)
}
