import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { JOBS } from '../../src/catalogue.ts'
import { command, events, start } from '../support/command.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'

interface RunRow {
  readonly job: string
  readonly outcome: string | null
  readonly worker: string
  readonly started_at: number
  readonly finished_at: number | null
  readonly rows_deleted: number
}

/** Long enough for several runs; `MANY_WORKERS_SECONDS=60` makes it the minute that counts, with all engines at once. */
const SECONDS = Number(process.env['MANY_WORKERS_SECONDS'] ?? 6)
const WORKERS = 3
/** On a busy machine a slot may come while the run before it is not over: that run does its work. */
const LEAST_RUNS = Math.min(SECONDS - 4, Math.floor(SECONDS * 0.75))

describe('workers side by side', { concurrency: SECONDS > 6 }, () => {
  for (const engine of ENGINES) {
    it(`${engine.name}: of three workers on an every-second schedule at most one runs at any moment, and all of the work is done`, async () => {
      await using database = await engine.fresh()
      const env = {
        DATABASE_URL: database.url,
        ...Object.fromEntries(JOBS.map((job) => [`${job.environment}_ENABLED`, String(job.table === 'sessions')])),
        PURGE_SESSIONS_SCHEDULE: '* * * * * *',
      }
      assert.equal((await command(['migrate'], { env })).code, 0)
      const workers = Array.from({ length: WORKERS }, () => start([], { env, timeoutMs: (SECONDS + 54) * 1_000 }))
      await Promise.all(workers.map((worker) => worker.line((line) => line['event'] === 'migrations.current')))

      let inserted = 0
      for (const until = Date.now() + SECONDS * 1_000; Date.now() < until; await sleep(100)) {
        for (let n = 0; n < 20; n += 1) await insertExpired(engine.moment(-5), database, `${(inserted += 1)}`)
      }
      await sleep(2_500)
      for (const worker of workers) worker.kill('SIGTERM')
      const all = await Promise.all(workers.map((worker) => worker.ended))
      for (const each of all) assert.equal(each.code, 0, each.stdout + each.stderr)

      const runs = await database.sql<RunRow>('SELECT * FROM maintenance_runs ORDER BY started_at, id')
      for (const [at, run] of runs.entries()) {
        // The last may be the one that was told to stop.
        assert.ok(run.outcome === 'succeeded' || (run.outcome === 'interrupted' && at === runs.length - 1), JSON.stringify(run))
        const before = runs[at - 1]
        if (before !== undefined)
          assert.ok(before.finished_at! <= run.started_at, `${JSON.stringify(before)} overlaps ${JSON.stringify(run)}`)
      }
      assert.ok(runs.length >= LEAST_RUNS && runs.length <= SECONDS + 8, `${runs.length} runs in about ${SECONDS + 4} seconds`)
      assert.deepEqual(await database.sql('SELECT count(*) AS n FROM sessions'), [{ n: 0 }])
      assert.equal(sum(runs.map((run) => run.rows_deleted)), inserted)
      const logged = all.flatMap((each) => events(each, 'job.finished'))
      assert.equal(sum(logged.map((line) => Number(line['deleted']))), inserted)
      assert.equal(
        logged.filter((line) => line['outcome'] === 'succeeded').length,
        runs.filter((run) => run.outcome === 'succeeded').length,
      )
      for (const line of logged) {
        if (line['outcome'] === 'skipped')
          assert.match(String(line['reason']), /^already running on .*:\d+$|^this slot was already done by the run that began at /)
        else assert.match(String(line['outcome']), /^(succeeded|interrupted)$/)
      }
    })
  }
})

function insertExpired(moment: string, database: TestDatabase, token: string): Promise<unknown> {
  return database.sql(`INSERT INTO sessions (session_token, user_identifier, expires_at) VALUES ($1, 'u', ${moment})`, [token])
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}
