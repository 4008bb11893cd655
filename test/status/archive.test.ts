import assert from 'node:assert/strict'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { NO_GROWTH } from '../../src/archive/step.ts'
import { retentionOf, JOBS } from '../../src/catalogue.ts'
import type { Database } from '../../src/database/database.ts'
import { RUN_TABLES, runsSince, runTables } from '../../src/runs/past-runs.ts'
import { readStatus, statusWithout, type Status, type StatusContext } from '../../src/status/read-status.ts'
import { DAY, hostClock } from '../../src/time/clock.ts'
import { filesIn, freshFolder, purged, recordOf } from '../archive/support.ts'
import { AUDIT_LOGS, auditLogs, expiredSessions, migrated, run } from '../runs/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'

function statusOf(database: Database, archive: Partial<StatusContext['archive']>, auditLogsEnabled = true): Promise<Status> {
  return readStatus(database, {
    version: '1.2.3',
    migrationsEnabled: true,
    files: [],
    jobs: JOBS.map((job) => ({
      job,
      enabled: auditLogsEnabled || job !== AUDIT_LOGS,
      schedule: job.schedule,
      retentionMs: retentionOf(job)?.defaultMs,
      graceMs: 0,
    })),
    archive: { enabled: true, directory: '/nowhere', uid: process.getuid?.(), keptMs: 365 * DAY, ...archive },
    partitionsEnabled: true,
    scheduleTimeZone: 'UTC',
    clock: hostClock(),
  })
}

for (const engine of BOTH_ENGINES) {
  describe(`the archive's status on ${engine.name}`, () => {
    it('the status of the archive shows what it holds, its lag and when it was verified', async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      const directory = folder.path
      const before = (await statusOf(database, { directory })).archive
      assert.deepEqual(
        [before.summary?.files, before.summary?.head, before.summary?.verification, before.lagMs, before.problems],
        [0, null, undefined, 0, []],
      )

      await auditLogs(outside, engine, 25, 100)
      const behind = (await statusOf(database, { directory })).archive
      // The oldest is told exact to the day.
      assert.ok(behind.lagMs! >= 9 * DAY && behind.lagMs! <= 12 * DAY, String(behind.lagMs))

      const result = await purged(database, directory)
      await database.transaction((tx) => recordOf(database).noteVerified(tx, 1_700_000_000_000, 'sound'))
      const { archive, at } = await statusOf(database, { directory })
      const files = await filesIn(directory)
      assert.deepEqual(result.archived, {
        rows: 25,
        bytes: archive.summary?.bytes,
        files: files.length,
        removed: NO_GROWTH,
        lagMs: 0,
        verification: undefined,
      })
      assert.deepEqual([archive.summary?.rows, archive.summary?.files, archive.summary?.pendingFiles], [25, files.length, 0])
      assert.match(archive.summary?.head?.manifest ?? '', /^audit_logs\/\d{4}\/\d{2}\/\d{2}\/\d+-\d+\.json$/)
      assert.deepEqual(archive.summary?.verification, { at: 1_700_000_000_000, sound: true })
      assert.ok(Math.abs(archive.summary.newestAt! - (at - 100 * DAY)) < DAY)
      assert.equal(archive.expiredBefore, new Date(at - 365 * DAY).toISOString().slice(0, 10))
      assert.deepEqual([archive.lagMs, archive.problems], [0, []])
      await database.transaction((tx) => recordOf(database).noteVerified(tx, 1_700_000_000_001, 'damaged'))
      assert.deepEqual((await purged(database, directory)).archived?.verification, { at: 1_700_000_000_001, sound: false })
      assert.deepEqual((await statusOf(database, { directory })).archive.summary?.verification, { at: 1_700_000_000_001, sound: false })
    })

    it('the status names a folder that does not hold what was archived, if the archive is enabled', async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      const directory = join(folder.path, 'archive')
      await auditLogs(outside, engine, 3, 100)
      await purged(database, directory)
      await rename(directory, join(folder.path, 'elsewhere'))
      const { problems } = (await statusOf(database, { directory })).archive
      assert.equal(problems.length, 1)
      assert.match(
        problems[0]!,
        /audit_logs\/.*\.json is missing, and the database says that it is the newest: runs fail before they delete/,
      )
      assert.deepEqual((await statusOf(database, { directory, enabled: false })).archive.problems, [])
    })

    it('the status says that the tables are missing, and shows only recorded data of a disabled archive', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await auditLogs(outside, engine, 3, 100)
      const off = (await statusOf(database, { enabled: false, keptMs: undefined })).archive
      assert.deepEqual([off.lagMs, off.expiredBefore, off.summary?.files], [undefined, undefined, 0])
      assert.equal((await statusOf(database, {}, false)).archive.lagMs, undefined, 'of a job that does not run nothing is due')
      await outside.sql('DROP TABLE maintenance_archives')
      const without = (await statusOf(database, {})).archive
      assert.equal(without.summary, undefined)
      assert.match(without.problems.join(), /there is no table maintenance_archives yet: migration 005 makes it/)
      assert.deepEqual((await statusOf(database, { enabled: false })).archive.problems, [])
    })

    it('what a run archived is shown in the history, in the last run and in the view', async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      await auditLogs(outside, engine, 7, 100)
      await expiredSessions(outside, engine, 2)
      await run(database)
      const result = await purged(database, folder.path)
      const { rows, bytes, files } = result.archived!
      const archived = { rows, bytes, files }
      const tables = runTables(database, await database.tablesAmong(RUN_TABLES))!
      const runs = await runsSince(database, tables, 0, [])
      assert.deepEqual(
        runs.map((each) => [each.job, each.deleted, each.archived]),
        [
          ['purge-sessions', 2, undefined],
          ['purge-audit-logs', 7, archived],
        ],
      )
      assert.equal(rows, 7)
      assert.deepEqual((await statusOf(database, {})).jobs[0]!.lastRun?.archived, archived)
      assert.deepEqual(
        await outside.sql(
          'SELECT job, outcome, rows_deleted, rows_archived, bytes_archived, files_archived FROM maintenance_archive_history',
        ),
        [
          {
            job: 'purge-audit-logs',
            outcome: 'succeeded',
            rows_deleted: 7,
            rows_archived: 7,
            bytes_archived: bytes,
            files_archived: files,
          },
        ],
      )
      // Before migration 005 runs are told as they were.
      const old = await runsSince(database, { ...tables, archived: undefined }, 0, ['purge-audit-logs'])
      assert.deepEqual(
        old.map((each) => [each.deleted, each.archived]),
        [[7, undefined]],
      )
    })
  })
}

it('the archive of a database that does not answer is shown as configured', () => {
  const plan = { enabled: true, directory: '/a', uid: 0, keptMs: undefined }
  const context = {
    version: '1',
    migrationsEnabled: true,
    files: [],
    jobs: [],
    archive: plan,
    partitionsEnabled: true,
    scheduleTimeZone: 'UTC',
    clock: hostClock(),
  }
  const { archive } = statusWithout({ engine: 'e', place: 'p', name: 'n' }, new Error('gone'), context)
  assert.deepEqual(archive, { ...plan, summary: undefined, lagMs: undefined, expiredBefore: undefined, problems: [], warnings: [] })
})
