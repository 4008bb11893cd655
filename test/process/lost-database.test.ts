import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { expiredSessions, count } from '../jobs/support.ts'
import { command, events, start } from '../support/command.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'

const TERMINATE = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'mcp-gateway-maintenance%'`

async function deleted(database: TestDatabase): Promise<number> {
  return (await database.sql<{ n: number }>('SELECT coalesce(sum(rows_deleted), 0)::bigint AS n FROM maintenance_runs'))[0]!.n
}

for (const engine of ENGINES.filter(({ name }) => name !== 'sqlite')) {
  test(`${engine.name}: a connection lost in mid-run and again while idle is one line each to lose and to regain, and the work is done`, async () => {
    await using database = await engine.fresh()
    const env = { DATABASE_URL: database.url, PURGE_SESSIONS_SCHEDULE: '* * * * * *' }
    assert.equal((await command(['migrate'], { env })).code, 0)
    await expiredSessions(database, engine, 60_000)
    const worker = start([], { env })
    while ((await deleted(database)) === 0) await sleep(2)
    await database.sql(TERMINATE)
    const finished = await worker.line((line) => line['event'] === 'job.finished' && Number(line['deleted']) > 0)
    assert.deepEqual([finished['outcome'], finished['deleted']], ['succeeded', 60_000])
    assert.equal(await count(database, 'sessions'), 0)

    await sleep(300)
    await database.sql(TERMINATE)
    await expiredSessions(database, engine, 5)
    await worker.line((line) => line['event'] === 'job.finished' && line['deleted'] === 5)
    worker.kill('SIGTERM')
    const ended = await worker.ended
    assert.equal(ended.code, 0)
    assert.equal(events(ended, 'database.lost').length, 2)
    assert.equal(events(ended, 'database.regained').length, 2)
    assert.deepEqual(
      events(ended, 'job.finished').filter((line) => line['outcome'] === 'failed'),
      [],
    )
    assert.equal(await deleted(database), 60_005)
  })
}
