import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { METRICS } from '../../src/observe/metric-definitions.ts'
import { auditLogs } from '../runs/support.ts'
import { command, events, start } from '../support/command.ts'
import { BOTH_ENGINES, sqliteDatabase, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { samplesOf, total } from '../support/exposition.ts'

async function expire(database: TestDatabase, engine: TestEngine, token: string): Promise<void> {
  await database.sql(`INSERT INTO sessions (session_token, user_identifier, expires_at) VALUES ($1, 'u', ${engine.moment(-60)})`, [token])
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: one run after the other leaves its metrics in the textfile, and counters go on`, async () => {
    await using folder = await sqliteDatabase()
    await using database = await engine.fresh()
    const textfile = join(folder.folder, 'maintenance.prom')
    const env = { DATABASE_URL: database.url, METRICS_TEXTFILE: textfile }
    await command(['migrate'], { env })
    await expire(database, engine, 'a')
    await command(['--run-now', '--dry-run'], { env })
    assert.deepEqual(await readdir(folder.folder), [], 'migrating and a dry run leave nothing')

    const begun = Date.now() / 1_000
    assert.equal((await command(['--run-now'], { env })).code, 0)
    await expire(database, engine, 'b')
    await expire(database, engine, 'c')
    assert.equal((await command(['--run-now', '--job', 'purge-sessions'], { env })).code, 0)
    await expire(database, engine, 'd')
    assert.equal((await command(['--run-now', '--job', 'purge-audit-logs'], { env })).code, 0)

    const samples = samplesOf(await readFile(textfile, 'utf8'))
    assert.equal((await stat(textfile)).mode & 0o777, 0o644)
    assert.deepEqual(await readdir(folder.folder), ['maintenance.prom'])
    const sessions = 'job="purge-sessions"'
    assert.equal(total(samples, METRICS.rowsDeleted.name, sessions), 3)
    assert.equal(samples.get(`${METRICS.runs.name}{${sessions},outcome="succeeded"}`), 2)
    assert.equal(samples.get(`${METRICS.runDuration.name}_count{${sessions}}`), 2)
    assert.equal(samples.get(`${METRICS.runDuration.name}_count{job="purge-audit-logs"}`), 2)
    // Levels are those of the end, also of jobs that this run had nothing to do with.
    assert.equal(samples.get(`${METRICS.expiredRows.name}{${sessions}}`), 1)
    assert.ok(samples.get(`${METRICS.lastSuccess.name}{${sessions}}`)! >= begun)
    assert.equal(samples.get(`${METRICS.running.name}{${sessions}}`), 0)
  })
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: what runs archived goes on in the textfile, and the archive's levels are of the end`, async () => {
    await using folder = await sqliteDatabase()
    await using database = await engine.fresh()
    const textfile = join(folder.folder, 'maintenance.prom')
    const env = {
      DATABASE_URL: database.url,
      METRICS_TEXTFILE: textfile,
      ARCHIVE_ENABLED: 'true',
      ARCHIVE_DIRECTORY: join(folder.folder, 'archive'),
    }
    await command(['migrate'], { env })
    for (const rows of [3, 4]) {
      await auditLogs(database, engine, rows, 100)
      assert.equal((await command(['--run-now', '--job', 'purge-audit-logs'], { env })).code, 0)
    }
    const samples = samplesOf(await readFile(textfile, 'utf8'))
    const label = '{job="purge-audit-logs"}'
    assert.equal(samples.get(`${METRICS.archivedRows.name}${label}`), 7)
    assert.equal(samples.get(`${METRICS.archiveRows.name}${label}`), 7)
    assert.equal(samples.get(`${METRICS.archivedFiles.name}${label}`), samples.get(`${METRICS.archiveFiles.name}${label}`))
    assert.equal(samples.get(`${METRICS.archiveLag.name}${label}`), 0)
    assert.equal(total(samples, METRICS.archiveVerifiedAt.name), 0)
    const { status, stderr, stdout } = spawnSync('promtool', ['check', 'metrics'], {
      input: await readFile(textfile, 'utf8'),
      encoding: 'utf8',
    })
    if (status !== null) assert.deepEqual([status, stderr, stdout], [0, '', ''])
  })
}

test('a textfile that cannot be written causes one warning, and the run still succeeds', async () => {
  await using database = await sqliteDatabase()
  await writeFile(database.file, '')
  const textfile = join(database.folder, 'missing', 'x.prom')
  const ended = await command(['--run-now'], { env: { DATABASE_URL: database.url, METRICS_TEXTFILE: textfile } })
  assert.equal(ended.code, 0)
  const [warning, ...more] = events(ended, 'warning')
  assert.match(String(warning!['msg']), /the metrics of this run could not be written to .*missing.*ENOENT/)
  assert.deepEqual(more, [])
})

test('a worker says that it leaves no textfile', async () => {
  await using database = await sqliteDatabase()

  const worker = start([], { env: { DATABASE_URL: database.url, METRICS_TEXTFILE: join(database.folder, 'x.prom') } })
  const note = await worker.line((line) => line['event'] === 'note')
  assert.match(String(note['msg']), /metrics\.textfile is for --run-now/)
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0)
})
