import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { JOBS } from '../../src/catalogue.ts'
import { runWorker } from '../../src/commands/worker.ts'
import { loadSettings } from '../../src/config/load.ts'
import { withProgram, type Host } from '../../src/program.ts'
import { hostClock, MINUTE, type EpochMs } from '../../src/time/clock.ts'
import { command } from '../support/command.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'

/** Of all jobs the one of audit logs alone. */
const OTHERS_OFF = Object.fromEntries(
  JOBS.filter((job) => job.table !== 'audit_logs').map((job) => [`${job.environment}_ENABLED`, 'false']),
)

const PACKAGE_ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The worker as the command runs it, but in a process whose clock says what the test wants. */
function workerAt(t: TestContext, now: EpochMs, database: TestDatabase, env: Record<string, string> = {}): { stop(): Promise<number> } {
  const real = hostClock()
  const shift = now - real.now()
  const host: Host = {
    arguments: [],
    env: {
      DATABASE_URL: database.url,
      LOG_LEVEL: 'silent',
      PURGE_AUDIT_LOGS_SCHEDULE: '0 3 * * *',
      ...OTHERS_OFF,
      ...env,
    },
    workingDirectory: PACKAGE_ROOT,
    node: process.execPath,
    packageRoot: PACKAGE_ROOT,
    version: '1.2.3',
    uid: process.getuid?.(),
    terminal: { output: false, error: false, columns: () => undefined },
    clock: { ...real, now: () => real.now() + shift },
    worker: 'host-a:1',
    operator: 'tester@host-a',
    random: () => 0,
    print: () => {},
    printError: () => {},
    write: () => {},
  }
  const stopping = new AbortController()
  const shutdown = { stopping: stopping.signal, abandon: new AbortController().signal, exitCode: undefined, [Symbol.dispose]: () => {} }
  const ended = loadSettings({ ...host, configFile: undefined }).then((settings) =>
    withProgram({ host, settings, shutdown }, { access: 'write', patience: 'worker', log: 'output', metrics: 'none' }, runWorker),
  )
  const stop = (): Promise<number> => {
    stopping.abort('SIGTERM')
    return ended
  }
  t.after(stop)
  return { stop }
}

const triggers = (database: TestDatabase): Promise<{ trigger: string; outcome: string | null }[]> =>
  database.sql('SELECT "trigger", outcome FROM maintenance_runs ORDER BY id')

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; !(await holds()); await sleep(20)) assert.ok(Date.now() < end, 'it did not come to pass')
}

const sqlite = ENGINES[0]!

function at(time: string): EpochMs {
  return Date.parse(`2036-05-05T${time}Z`)
}

test('a worker that was away at 03:00 and starts at 03:20 runs the job once, as catch-up; started again at 03:30 it does not', async (t) => {
  await using database = await sqlite.fresh()
  assert.equal((await command(['migrate'], { env: { DATABASE_URL: database.url } })).code, 0)
  // Killed at 02:59, after a run the day before.
  await database.sql(
    `INSERT INTO maintenance_runs (job, "trigger", worker, version, started_at, outcome) VALUES ('purge-audit-logs', 'schedule', 'gone:1', '1', $1, 'succeeded')`,
    [at('03:00') - 24 * 60 * MINUTE],
  )
  const first = workerAt(t, at('03:20'), database)
  await until(async () => (await triggers(database))[1]?.outcome === 'succeeded')
  assert.equal(await first.stop(), 0)
  const second = workerAt(t, at('03:30'), database)
  const third = workerAt(t, at('03:40'), database, { PURGE_AUDIT_LOGS_SCHEDULE: '35 3 * * *' })
  // The third has something to make up for: what the second had to do is done when it has.
  await until(async () => (await triggers(database))[2]?.outcome === 'succeeded')
  assert.equal(await second.stop(), 0)
  assert.equal(await third.stop(), 0)
  assert.deepEqual(await triggers(database), [
    { trigger: 'schedule', outcome: 'succeeded' },
    { trigger: 'catch-up', outcome: 'succeeded' },
    { trigger: 'catch-up', outcome: 'succeeded' },
  ])
})

test('a database that was migrated before the slot and never purged is caught up with, unless schedule.catchUp is off', async (t) => {
  await using database = await sqlite.fresh()
  assert.equal((await command(['migrate'], { env: { DATABASE_URL: database.url } })).code, 0)
  const tomorrow = Date.now() + 25 * 60 * MINUTE
  const without = workerAt(t, tomorrow, database, { SCHEDULE_CATCH_UP: 'false' })
  const replicas = [workerAt(t, tomorrow, database), workerAt(t, tomorrow + 50, database)]
  await until(async () => (await triggers(database))[0]?.outcome === 'succeeded')
  for (const worker of [without, ...replicas]) assert.equal(await worker.stop(), 0)
  assert.deepEqual(await triggers(database), [{ trigger: 'catch-up', outcome: 'succeeded' }])
})
