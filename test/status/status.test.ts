import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { retentionOf, JOBS } from '../../src/catalogue.ts'
import { DatabaseError } from '../../src/database/database-error.ts'
import type { Database } from '../../src/database/database.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import type { JobStatus } from '../../src/status/job-status.ts'
import { readStatus, type Status, type StatusContext } from '../../src/status/read-status.ts'
import { DAY, HOUR, hostClock, MINUTE, SECOND, type Clock } from '../../src/time/clock.ts'
import { AUDIT_LOGS, auditLogs, expiredSessions, migrated, opened, run, SESSIONS } from '../runs/support.ts'
import { pastRuns } from './past-runs.ts'
import { freshPostgres, freshSqliteFile, POSTGRES_MAJORS } from '../support/databases.ts'
import { BOTH_ENGINES, ENGINES, type TestDatabase } from '../support/engines.ts'

const files = await readMigrationFiles(fileURLToPath(new URL('../..', import.meta.url)))

function context(changes: Partial<StatusContext> = {}): StatusContext {
  return {
    version: '1.2.3',
    migrationsEnabled: true,
    files,
    jobs: JOBS.map((job) => ({ job, enabled: true, schedule: job.schedule, retentionMs: retentionOf(job)?.defaultMs, graceMs: 0 })),
    archive: { enabled: false, directory: '/nowhere', uid: process.getuid?.(), keptMs: 365 * DAY },
    partitionsEnabled: true,
    scheduleTimeZone: 'UTC',
    clock: hostClock(),
    ...changes,
  }
}

function jobIn(status: Status, name: string): JobStatus {
  return status.jobs.find(({ job }) => job.name === name)!
}

for (const engine of BOTH_ENGINES) {
  describe(`the status of a database on ${engine.name}`, () => {
    it('the status ignores runs in the future, which a clock that was set back has left', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await run(database)
      for (const outcome of ['succeeded', 'stopped'])
        await outside.sql(
          `INSERT INTO maintenance_runs (job, "trigger", worker, version, started_at, finished_at, outcome) VALUES ($1, 'schedule', 'gone:1', '1', $2, $2, $3)`,
          [SESSIONS.name, Date.now() + 730 * DAY, outcome],
        )
      const sessions = jobIn(await readStatus(database, context()), SESSIONS.name)
      assert.deepEqual([sessions.lastRun?.worker, sessions.recentRuns.length], ['host-a:1', 1])
      await outside.sql(`DELETE FROM maintenance_runs WHERE worker = 'host-a:1'`)
      const none = jobIn(await readStatus(database, context()), SESSIONS.name)
      assert.deepEqual([none.lastRun, none.lastSuccessAt, none.recentRuns], [undefined, undefined, []])
    })

    it('the status shows past runs, the backlog and pending migrations', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await expiredSessions(outside, engine, 30)
      const result = await run(database)
      assert.equal(result.deleted, 30)
      await auditLogs(outside, engine, 12, 100)

      const status = await readStatus(database, context())
      assert.equal(status.database.reachable, true)
      assert.ok(status.database.space!.bytes > 10_000)
      assert.deepEqual(status.migrations?.pending, [])
      assert.equal(status.migrations?.applied.length, new Set(files.map(({ version }) => version)).size)
      const sessions = jobIn(status, SESSIONS.name)
      assert.deepEqual(
        [sessions.lastRun?.outcome, sessions.lastRun?.deleted, sessions.lastRun?.trigger, sessions.lastRun?.worker],
        ['succeeded', 30, 'run-now', 'host-a:1'],
      )
      assert.equal(sessions.lastSuccessAt, sessions.lastRun?.finishedAt)
      assert.deepEqual(sessions.recentRuns, [sessions.lastRun])
      assert.equal(status.deletedByDay?.days.length, 90)
      assert.equal(
        status.deletedByDay.jobs.get(SESSIONS.name)?.reduce((sum, rows) => sum + rows),
        30,
      )
      assert.deepEqual([sessions.running, sessions.overdueSlot, sessions.problems], [undefined, undefined, []])
      assert.deepEqual([sessions.backlog?.rows, sessions.backlog?.oldest], [0, null])
      assert.equal(sessions.scheduleInWords, 'Every 15 minutes')
      assert.ok(sessions.nextRunAt! > hostClock().now() && sessions.nextRunAt! <= hostClock().now() + 15 * MINUTE + SECOND)
      const logs = jobIn(status, AUDIT_LOGS.name)
      assert.deepEqual([logs.lastRun, logs.backlog?.rows, logs.backlog?.more], [undefined, 12, false])
      assert.ok(Math.abs(logs.backlog!.cutoff - (status.at - 90 * DAY)) < SECOND)
    })

    it('a job is due at the first slot after its last run that succeeded or was stopped, whatever its runs came to since, and not at all where it has nothing to run on', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      const now = await database.now()
      const slot = Math.floor(now / DAY) * DAY - 2 * DAY + 3 * HOUR
      const nightly = context({ jobs: context().jobs.map((plan) => ({ ...plan, schedule: '0 3 * * *' })) })
      const due = async (): Promise<number | undefined> => jobIn(await readStatus(database, nightly), SESSIONS.name).dueAt
      assert.equal(await due(), undefined)
      const ran = { job: SESSIONS.name, deleted: 0 }
      await pastRuns(outside, [
        { ...ran, startedAt: slot - DAY + 60_000 },
        { ...ran, startedAt: slot + 60_000, outcome: 'failed' },
      ])
      assert.equal(await due(), slot)
      // A success that ended a moment before the slot, by a clock that is a little behind, was the slot's.
      await pastRuns(outside, [{ ...ran, startedAt: slot - 300, tookMs: 100 }])
      assert.equal(await due(), slot + DAY)
      // A safety stop waits for a person; only if the next run does not come is the job late.
      await pastRuns(outside, [{ ...ran, startedAt: slot + DAY + 60_000, outcome: 'stopped' }])
      assert.equal(await due(), slot + 2 * DAY)
      await outside.sql('DROP TABLE sessions')
      assert.equal(await due(), undefined)
    })

    it('the status names the worker that runs a job, and not one that died', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      const now = await database.now()
      await outside.sql(
        `INSERT INTO maintenance_leases VALUES ('purge-sessions', 'host-b:7', 3, $1), ('purge-audit-logs', 'host-c:8', 1, $2)`,
        [now + 10 * SECOND, now - SECOND],
      )
      await outside.sql(
        `INSERT INTO maintenance_runs (job, "trigger", worker, version, started_at) VALUES ('purge-sessions', 'schedule', 'host-b:7', '1', $1)`,
        [now - 4_000],
      )
      const status = await readStatus(database, context())
      assert.deepEqual(jobIn(status, SESSIONS.name).running, { worker: 'host-b:7', since: now - 4_000 })
      assert.equal(jobIn(status, SESSIONS.name).lastRun, undefined)
      assert.deepEqual(
        jobIn(status, SESSIONS.name).recentRuns.map(({ worker, outcome }) => [worker, outcome]),
        [['host-b:7', undefined]],
      )
      assert.equal(jobIn(status, AUDIT_LOGS.name).running, undefined)
    })

    it('a job is late when minutes have passed since a slot without a run, unless it is disabled', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await outside.sql('UPDATE maintenance_migrations SET applied_at = applied_at - $1', [3 * HOUR])
      const plans = context().jobs
      const jobs = plans.map((plan) => ({ ...plan, enabled: plan.job !== AUDIT_LOGS }))
      const late = await readStatus(database, context({ jobs }))
      assert.ok(jobIn(late, SESSIONS.name).overdueSlot! > hostClock().now() - 21 * MINUTE)
      assert.deepEqual([jobIn(late, AUDIT_LOGS.name).overdueSlot, jobIn(late, AUDIT_LOGS.name).nextRunAt], [undefined, undefined])
      await run(database)
      assert.equal(jobIn(await readStatus(database, context({ jobs })), SESSIONS.name).overdueSlot, undefined)
    })

    it('in an empty database everything is pending, and the status creates nothing', async () => {
      await using outside = await engine.fresh()
      await using database = await opened(outside.url, hostClock(), { access: 'read' })
      const status = await readStatus(database, context())
      assert.deepEqual([status.database.reachable, status.migrations?.applied, status.migrations?.problem], [true, [], undefined])
      assert.equal(status.migrations?.pending.length, new Set(files.map(({ version }) => version)).size)
      for (const job of status.jobs) {
        assert.deepEqual([job.lastRun, job.backlog, job.overdueSlot], [undefined, undefined, undefined])
        assert.deepEqual(job.warnings, [], 'the next migration makes its table')
      }
      for (const job of (await readStatus(database, { ...context(), migrationsEnabled: false })).jobs)
        assert.match(job.warnings.join(), /its runs are skipped/)
      assert.equal((await database.relations()).size, 0)
    })

    it('the status says why migrations would be refused for tables of another shape, and counts what it can', async () => {
      await using outside = await engine.fresh()
      await outside.sql(`CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, timestamp TIMESTAMP)`)
      await outside.sql(`INSERT INTO audit_logs VALUES (1, ${engine.moment(-100 * 86_400)})`)
      await using database = await opened(outside.url, hostClock(), { access: 'read' })
      const status = await readStatus(database, context())
      assert.match(status.migrations?.problem ?? '', /audit_logs/)
      assert.equal(jobIn(status, AUDIT_LOGS.name).backlog?.rows, 1)
      assert.deepEqual([status.deletedByDay, jobIn(status, AUDIT_LOGS.name).recentRuns], [undefined, []])
    })

    it('a database that is lost while it is read cannot be reached', async () => {
      await using fixture = await migrated(engine)
      for (const lostAt of [1, 2, 5, 9]) {
        const status = await readStatus(losing(fixture.database, lostAt), context())
        assert.deepEqual([status.database.reachable, status.database.problem, status.migrations], [false, 'the line is cut', undefined])
        assert.equal(status.database.name, fixture.database.label.name)
        assert.equal(status.jobs.length, JOBS.length)
        assert.ok(status.jobs.every((job) => job.nextRunAt !== undefined && job.backlog === undefined))
      }
    })
  })
}

describe('the status of what may hardly be read', () => {
  it('the status does not create a missing file', async () => {
    await using fresh = await freshSqliteFile()
    await using database = await opened(`sqlite:///${fresh.file}`, hostClock(), { access: 'read' })
    assert.deepEqual((await readStatus(database, context())).database.space?.bytes, 0)
    assert.equal(existsSync(fresh.file), false)
  })

  for (const major of POSTGRES_MAJORS) {
    it(`names the right that a role is missing, and tells the rest, on PostgreSQL ${major}`, async () => {
      await using fixture = await migrated(ENGINES.find(({ name }) => name === `postgres ${major}`)!)
      const { outside } = fixture
      await auditLogs(outside, ENGINES.at(-1)!, 3, 100)
      const role = await roleOf(outside, 'GRANT SELECT ON audit_logs, maintenance_runs, maintenance_leases')
      try {
        const url = Object.assign(new URL(outside.url), { username: role, password: role }).href
        await using database = await opened(url, hostClock(), { access: 'read' })
        const status = await readStatus(database, context())
        assert.match(status.migrations?.problem ?? '', /Grant its role SELECT/)
        const logs = jobIn(status, AUDIT_LOGS.name)
        assert.match(logs.problems.join(), /GRANT DELETE ON/)
        // Without the holds it is not known what waits.
        assert.match(logs.problems.join(), /permission denied for table maintenance_holds/)
        assert.deepEqual([logs.holds, logs.backlog], [undefined, undefined])
        const sessions = jobIn(status, SESSIONS.name)
        assert.match(sessions.problems.join(), /GRANT SELECT, DELETE ON/)
        assert.equal(sessions.backlog, undefined)
        await outside.sql(`GRANT SELECT ON maintenance_holds TO ${role}`)
        const now = jobIn(await readStatus(database, context()), AUDIT_LOGS.name)
        assert.deepEqual([now.holds, now.backlog?.rows], [[], 3])
        // The record of runs cannot be read, because tables beside it cannot.
        assert.match(now.problems.join(), /permission denied for table maintenance_/)
      } finally {
        await outside.sql(`DROP OWNED BY ${role}`)
        await outside.sql(`DROP ROLE ${role}`)
      }
    })

    it(`of a server that died is told at once, on PostgreSQL ${major}`, async () => {
      await using fresh = await freshPostgres(major)
      await using database = await opened(fresh.url)
      await fresh.admin.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
      )
      const clock: Clock = hostClock()
      const startedMs = clock.monotonicMs()
      for (let look = 0; look < 2; look += 1) assert.equal((await readStatus(database, context())).database.reachable, false)
      assert.ok(clock.monotonicMs() - startedMs < 5 * SECOND)
    })
  }
})

async function roleOf(outside: TestDatabase, grant: string): Promise<string> {
  const role = `status_${Math.random().toString(36).slice(2)}`
  await outside.sql(`CREATE ROLE ${role} LOGIN PASSWORD '${role}'`)
  await outside.sql(`${grant} TO ${role}`)
  return role
}

/** Every question from the one with this number on finds no database any more. */
function losing(database: Database, number: number): Database {
  let questions = 0
  const asks = new Set(['query', 'now', 'inspect', 'tablesAmong', 'space'])
  return new Proxy(database, {
    get(target, name) {
      const own = Reflect.get(target, name) as unknown
      if (typeof own !== 'function' || !asks.has(String(name))) return own
      return (...values: unknown[]) => {
        questions += 1
        return questions >= number ? Promise.reject(new DatabaseError('lost', 'the line is cut')) : (own.apply(target, values) as unknown)
      }
    },
  })
}

describe('the status of a file that only the worker has ever written to', () => {
  it('the status says that only the worker has written, until the gateway writes', async () => {
    await using fixture = await migrated(ENGINES[0]!)
    const { outside, database } = fixture
    const problem = async (): Promise<string | undefined> => (await readStatus(database, context())).database.problem
    assert.match(String(await problem()), /^the gateway has never written to this database; .* DATABASE_URL may name the wrong database/)
    await run(database)
    assert.match(String(await problem()), /^the gateway has never written/)
    await expiredSessions(outside, ENGINES[0]!, 1)
    assert.equal(await problem(), undefined)
    await run(database)
    assert.equal(await problem(), undefined)
  })
})
