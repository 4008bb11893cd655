import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { JOBS, retentionOf } from '../../src/catalogue.ts'
import type { Database } from '../../src/database/database.ts'
import { MOST_COUNTED } from '../../src/database/purging.ts'
import type { Rule } from '../../src/policy/rules.ts'
import { statusDocument } from '../../src/status/document.ts'
import { findingsOf } from '../../src/status/findings.ts'
import type { JobStatus } from '../../src/status/job-status.ts'
import { readStatus, type Status } from '../../src/status/read-status.ts'
import { waitingText } from '../../src/status/sentences.ts'
import { statusText } from '../../src/terminal/status-text.ts'
import { DAY, HOUR, hostClock, MINUTE } from '../../src/time/clock.ts'
import { auditLogsOf, placedHold, released, runsWere, tidied } from '../runs/keeping.ts'
import { AUDIT_LOGS, auditLogs, migrated, run } from '../runs/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'

const RETENTION = 90 * DAY
const WIDE = { control: false, unicode: true, columns: Infinity }

function statusOf(database: Database, rules: readonly Rule[] = []): Promise<Status> {
  return readStatus(database, {
    version: '1.2.3',
    migrationsEnabled: false,
    files: [],
    jobs: JOBS.map((job) => ({
      job,
      enabled: true,
      schedule: job.schedule,
      retentionMs: retentionOf(job)?.defaultMs,
      graceMs: 0,
      ...(job === AUDIT_LOGS ? { rules } : {}),
    })),
    archive: { enabled: false, directory: '/nowhere', uid: process.getuid?.(), keptMs: undefined },
    partitionsEnabled: true,
    scheduleTimeZone: 'UTC',
    clock: hostClock(),
  })
}

function logsIn({ jobs }: Status): JobStatus {
  return jobs.find(({ job }) => job === AUDIT_LOGS)!
}

for (const engine of BOTH_ENGINES) {
  describe(`the status with holds and rules on ${engine.name}`, () => {
    it('what holds keep does not wait: 100,000 held rows are told as held, and nothing needs a look', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await auditLogsOf(outside, engine, 'alice', 100_000, 100)
      await auditLogs(outside, engine, 20, 1)
      await auditLogs(outside, engine, 30, 100)
      await placedHold(outside, 'case-17', { user: ['ALICE'] })
      const before = logsIn(await statusOf(database))
      // PostgreSQL looks at so many rows and no further, those that are kept included.
      const { rows, more } = before.backlog!
      assert.deepEqual([engine.name === 'sqlite' ? rows === 30 : rows! < 30, more], [true, engine.name !== 'sqlite'])
      assert.deepEqual([before.holds?.map(({ kept }) => kept), before.held], [[undefined], 0])
      assert.match(statusText(await statusOf(database), WIDE), /held {6}by 1 legal hold; no run has counted the rows yet/)

      const { deleted, held, holds } = await run(database, { job: AUDIT_LOGS, retentionMs: RETENTION })
      assert.deepEqual([deleted, held, holds], [30, 100_000, 1])
      await tidied(outside, engine)
      const status = await statusOf(database)
      const logs = logsIn(status)
      assert.deepEqual([logs.backlog?.rows, logs.backlog?.more, logs.backlog?.oldest], [0, false, null])
      assert.deepEqual(
        [logs.held, logs.lastRun?.held, logs.holds?.map(({ name, kept }) => [name, kept])],
        [100_000, 100_000, [['case-17', 100_000]]],
      )
      assert.deepEqual(findingsOf(status), [])
      const text = statusText(status, WIDE)
      assert.match(text, /held {6}100,000 rows by 1 legal hold\n +"case-17" since \d{4}-\d\d-\d\d, 100,000 rows\n/)
      assert.match(text, /waiting {3}nothing\n/)
      // What a hold keeps names people, and the status is served to whoever reaches the port.
      assert.doesNotMatch(JSON.stringify(statusDocument(status)) + text, /alice|a letter|counsel/i)
    })

    it('what has expired since the last run waits, whatever is held in front of it', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await auditLogsOf(outside, engine, 'alice', 500, 200)
      await auditLogs(outside, engine, 20, 1)
      await placedHold(outside, 'case-17', { user: ['alice'] })
      await run(database, { job: AUDIT_LOGS, retentionMs: RETENTION })
      await runsWere(outside, 1)
      // Expired since the run, and one that nobody can have left: only counted from the beginning.
      await auditLogs(outside, engine, 7, 90.5)
      await auditLogs(outside, engine, 1, 150)
      const since = logsIn(await statusOf(database))
      assert.deepEqual([since.backlog?.rows, since.backlog?.more], [7, false])
      assert.ok(Math.abs(since.backlog!.overdueMs! - DAY / 2) < HOUR, String(since.backlog?.overdueMs))

      await outside.sql(`UPDATE maintenance_runs SET outcome = 'failed' WHERE job = $1`, [AUDIT_LOGS.name])
      assert.equal(logsIn(await statusOf(database)).backlog?.rows, 8)
      await outside.sql(`UPDATE maintenance_runs SET outcome = 'succeeded' WHERE job = $1`, [AUDIT_LOGS.name])
      assert.equal(logsIn(await statusOf(database)).backlog?.rows, 7)
      // Its rows wait from now on, and lie in front of what the last run has seen.
      await placedHold(outside, 'case-18', { user: ['bob'] })
      await released(outside, 'case-17')
      const after = logsIn(await statusOf(database))
      assert.deepEqual([after.backlog?.rows, after.held, after.holds?.map(({ name }) => name)], [508, 500, ['case-18']])
    })

    it('rows that a rule keeps do not wait, and do from the day on which its time comes', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      const rules: readonly Rule[] = [
        { name: 'security', match: { status: ['success'], user: ['al*'] }, retentionMs: 365 * DAY },
        { name: 'payments', match: { user: ['stripe'] }, retentionMs: undefined },
      ]
      await auditLogsOf(outside, engine, 'alice', 40, 364.5)
      await auditLogsOf(outside, engine, 'stripe', 40, 500)
      await auditLogs(outside, engine, 20, 1)
      assert.equal((await run(database, { job: AUDIT_LOGS, retentionMs: RETENTION, rules })).deleted, 0)
      const none = logsIn(await statusOf(database, rules))
      assert.deepEqual([none.backlog?.rows, none.backlog?.more], [0, false])
      // By another policy than that of the last run, everything is looked at.
      assert.equal(logsIn(await statusOf(database, rules.slice(0, 1))).backlog?.rows, 40)

      const day = engine.name === 'sqlite' ? `datetime(timestamp, '-1 day')` : `timestamp - interval '1 day'`
      await outside.sql(`UPDATE audit_logs SET timestamp = ${day}`)
      await runsWere(outside, 1)
      const some = logsIn(await statusOf(database, rules))
      assert.deepEqual([some.backlog?.rows, some.backlog?.more], [40, false])
      // Past the time of its rule, not of the retention.
      assert.ok(Math.abs(some.backlog!.overdueMs! - DAY / 2) < HOUR, String(some.backlog?.overdueMs))
      const text = statusText(await statusOf(database, rules), WIDE)
      assert.match(text, /longer {4}status success, and user al\*, for 365d \(security\)\n +user stripe, for ever \(payments\)\n/)
      assert.deepEqual(statusDocument(await statusOf(database, rules)).jobs[0]!.rules, [
        { name: 'security', match: 'status success, and user al*', retention: '365d' },
        { name: 'payments', match: 'user stripe', retention: 'forever' },
      ])
    })

    it('where counting ends among held rows, it is not said that nothing waits, and the planner is not believed that all of them do', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      const held = (engine.name === 'sqlite' ? 3 : 1.5) * MOST_COUNTED
      await auditLogsOf(outside, engine, 'alice', held, 100)
      await auditLogs(outside, engine, 20, 1)
      await placedHold(outside, 'case-17', { user: ['alice'] })
      assert.equal((await run(database, { job: AUDIT_LOGS, retentionMs: RETENTION })).held, held)
      await tidied(outside, engine)
      await outside.sql(`UPDATE maintenance_runs SET outcome = 'failed', error = 'x' WHERE job = $1`, [AUDIT_LOGS.name])
      const { backlog } = logsIn(await statusOf(database))
      assert.deepEqual([backlog?.rows, backlog?.more], [0, true])
      assert.ok((backlog!.planned ?? 0) < MOST_COUNTED / 10, String(backlog?.planned))
      assert.match(waitingText(backlog!), /^not known: counting ended among rows that are kept/)
    })

    it('a hold whose review is due is advice, and a mere one is no finding', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await auditLogs(outside, engine, 1, 1)
      await placedHold(outside, 'due', {}, { reviewAt: Date.now() - MINUTE })
      await placedHold(outside, 'later', {}, { reviewAt: Date.now() + DAY })
      const status = await statusOf(database)
      assert.deepEqual(
        findingsOf(status).map(({ code, level, sentence }) => [code, level, sentence.replace(/\d{4}-\d\d-\d\d/, 'DAY')]),
        [['hold-review-due', 'advice', 'the legal hold "due" on rows of audit_logs was to be reviewed by DAY']],
      )
      assert.deepEqual(
        statusDocument(status).jobs[0]!.holds?.map(({ name, reviewDue }) => [name, reviewDue]),
        [['due', true], ['later', false]], // prettier-ignore
      )
      await released(outside, 'due')
      assert.deepEqual(findingsOf(await statusOf(database)), [])
    })

    it('a hold that cannot be understood, and a table of them that is gone, are faults with the sentence of the run, and what waits is not known', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await auditLogs(outside, engine, 5, 100)
      await placedHold(outside, 'case-17', {}, { matches: '{"colour": ["red"]}' })
      for (const change of [undefined, 'DROP TABLE maintenance_holds'] as const) {
        if (change !== undefined) await outside.sql(change)
        const failed = await run(database, { job: AUDIT_LOGS, retentionMs: RETENTION })
        assert.deepEqual([failed.outcome, failed.deleted], ['failed', 0])
        const status = await statusOf(database)
        const sentence = (failed.error as Error).message
        const told = findingsOf(status)
          .filter(({ level }) => level === 'fault')
          .map((each) => each.sentence)
        assert.ok(
          told.some((each) => each.includes(sentence)),
          `${sentence}\n${told.join('\n')}`,
        )
        const logs = logsIn(status)
        assert.deepEqual([logs.holds, logs.backlog, statusDocument(status).jobs[0]!.holds], [undefined, undefined, null])
      }
    })
  })
}
