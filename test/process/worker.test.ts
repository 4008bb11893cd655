import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { command, start } from '../support/command.ts'
import { ENGINES, sqliteDatabase } from '../support/engines.ts'

for (const engine of ENGINES) {
  test(`${engine.name}: the worker removes an expired session within two seconds, keeps a live one, and ends on SIGTERM`, async () => {
    await using database = await engine.fresh()
    const worker = start([], { env: { DATABASE_URL: database.url, PURGE_SESSIONS_SCHEDULE: '* * * * * *' } })
    await worker.line((line) => line['event'] === 'migrations.current')
    for (const [token, seconds] of [
      ['old', -5],
      ['live', 3_600],
    ] as const) {
      await database.sql(`INSERT INTO sessions (session_token, user_identifier, expires_at) VALUES ($1, 'u', ${engine.moment(seconds)})`, [
        token,
      ])
    }
    const inserted = Date.now()
    await worker.line((line) => line['event'] === 'job.finished' && line['job'] === 'purge-sessions' && line['deleted'] === 1)
    assert.ok(Date.now() - inserted < 2_500)
    assert.deepEqual(await database.sql('SELECT session_token FROM sessions'), [{ session_token: 'live' }])

    worker.kill('SIGTERM')
    const ended = await worker.ended
    assert.equal(ended.code, 0, ended.stdout + ended.stderr)
    assert.equal(ended.lines.at(-1)!['event'], 'worker.stopped')
    assert.equal(ended.lines.at(-1)!['reason'], 'SIGTERM')
    assert.equal(ended.lines[0]!['event'], engine.name === 'sqlite' ? 'database.created' : 'worker.started')
  })
}

test('the health file is touched while the worker runs', async () => {
  await using database = await sqliteDatabase()
  const file = join(database.folder, 'alive')
  const worker = start([], { env: { DATABASE_URL: database.url, HEALTH_FILE: file } })
  await worker.line((line) => line['event'] === 'migrations.current')
  assert.ok((await stat(file)).isFile())
  worker.kill('SIGINT')
  assert.equal((await worker.ended).code, 0)
})

test('a health file that cannot be written is one warning, and the worker goes on', async () => {
  await using database = await sqliteDatabase()
  const worker = start([], { env: { DATABASE_URL: database.url, HEALTH_FILE: join(database.folder, 'missing', 'alive') } })
  await worker.line((line) => line['event'] === 'warning' && String(line['msg']).includes('health file'))
  await worker.line((line) => line['event'] === 'migrations.current')
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0)
})

test('a worker that waits for its database ends at once when asked to', async () => {
  const worker = start([], { env: { DATABASE_URL: 'postgresql://u:secret-word@127.0.0.1:1/db', DATABASE_CONNECT_TIMEOUT: '50s' } })
  await worker.line((line) => line['event'] === 'database.awaiting')
  worker.kill('SIGTERM')
  const ended = await worker.ended
  assert.equal(ended.code, 0, ended.stdout + ended.stderr)
  assert.doesNotMatch(ended.stdout + ended.stderr, /secret-word/)
})

test('the log is one JSON object a line, each with level, time, event and msg', async () => {
  await using database = await sqliteDatabase()
  const { stdout } = await command(['--run-now'], { env: { DATABASE_URL: database.url } })
  for (const text of stdout.trim().split('\n')) {
    const line = JSON.parse(text) as Record<string, unknown>
    for (const field of ['level', 'time', 'event', 'msg']) assert.equal(typeof line[field], 'string', text)
    assert.equal(new Date(String(line['time'])).toISOString(), line['time'])
  }
})
