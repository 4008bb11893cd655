import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import { sparedByRule, type Rule } from '../../src/policy/rules.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { DAY, MINUTE } from '../../src/time/clock.ts'
import { archivedRows, freshFolder, purged } from '../archive/support.ts'
import { BOTH_ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { AUDIT_LOGS, count, migrated, opened, run, timeGoesBy, type Told } from './support.ts'

const SHORTER = new Set(['shorter-retention'] as const)
const SECURITY: Rule = { name: 'security', match: { status: ['denied', 'violation'] }, retentionMs: 365 * DAY }
const PAYMENTS: Rule = { name: 'payments', match: { tool_name: ['stripe:*'] }, retentionMs: undefined }

function purge(
  database: Database,
  rules: readonly Rule[],
  request: Parameters<typeof run>[1] = {},
  options: Parameters<typeof run>[2] = {},
): Promise<RunResult> {
  return run(database, { job: AUDIT_LOGS, retentionMs: 90 * DAY, rules, ...request }, options)
}

interface Written {
  readonly tool?: string
  readonly status?: string
  readonly days: number
}

/** One row. */
async function write(outside: TestDatabase, engine: TestEngine, { tool = 't', status = 'success', days }: Written): Promise<void> {
  await outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ($1, 'u', 'invoke', $2, ${engine.moment(-days * 86_400)})`,
    [tool, status],
  )
}

async function writeAll(outside: TestDatabase, engine: TestEngine, rows: readonly Written[]): Promise<void> {
  for (const row of rows) await write(outside, engine, row)
}

async function recorded(outside: TestDatabase): Promise<readonly string[]> {
  const rows = await outside.sql<{ policy: string }>(
    'SELECT p.policy FROM maintenance_run_policies AS r JOIN maintenance_policies AS p ON p.sha256 = r.sha256 ORDER BY r.run',
  )
  return rows.map(({ policy }) => policy)
}

function messageOf({ error }: RunResult): string {
  return String(error)
}

function twenty(name: string): Rule[] {
  return Array.from({ length: 20 }, (_, at) => ({ name: `${name}${at}`, match: { user: [`${name}${at}`] }, retentionMs: undefined }))
}

const WAY_ON = 'run once with the same settings: --run-now --job purge-audit-logs --accept-shorter-retention'

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: of the rules that match a row the longest counts, and of rows that none matches the retention`, async () => {
    await using fixture = await migrated(engine)
    await writeAll(fixture.outside, engine, [
      { days: 89 },
      { days: 91, tool: 'gone' },
      { days: 91, status: 'DENIED' },
      { days: 364, status: 'violation' },
      { days: 366, status: 'denied', tool: 'gone' },
      { days: 366, status: 'denied', tool: 'Stripe:charge' },
      { days: 4_000, tool: 'stripe:' },
      { days: 91, tool: 'stripe' },
    ])
    const result = await purge(fixture.database, [SECURITY, PAYMENTS])
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', 3])
    const left = await fixture.outside.sql<{ tool_name: string }>(`SELECT tool_name FROM audit_logs ORDER BY id`)
    assert.deepEqual(
      left.map((row) => row.tool_name),
      ['t', 't', 't', 'Stripe:charge', 'stripe:'],
    )
  })

  test(`${engine.name}: a row exactly as old as its rule says stays, one that is a millisecond older goes`, async () => {
    await using fixture = await migrated(engine)
    const now = Date.UTC(2026, 9, 31, 12)
    for (const ms of [-1, 0, 1]) {
      const time = new Date(now - 365 * DAY + ms).toISOString().replace('T', ' ').replace('Z', '')
      await fixture.outside.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'u', 'invoke', 'denied', $1)`,
        [time],
      )
    }
    assert.equal((await fixture.database.expired(AUDIT_LOGS, now - 90 * DAY, [sparedByRule(SECURITY, now)]).estimate()).rows, 1)
    assert.equal((await fixture.database.expired(AUDIT_LOGS, now - 90 * DAY).estimate()).rows, 3)
  })

  test(`${engine.name}: where a rule is taken away and one row would go that it kept, every run of every worker stops until it is accepted`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await writeAll(outside, engine, [...Array.from({ length: 30 }, () => ({ days: 1 })), { days: 91, status: 'denied' }])
    assert.equal((await purge(database, [SECURITY, PAYMENTS])).deleted, 0)
    for (let slot = 1; slot <= 3; slot += 1) {
      const stopped = await purge(
        database,
        [PAYMENTS],
        { trigger: 'schedule', slot: Date.now() + slot * MINUTE },
        { worker: `other:${slot}` },
      )
      assert.deepEqual([stopped.outcome, stopped.exitCode, stopped.deleted], ['stopped', 5, 0])
      assert.equal(
        messageOf(stopped),
        'MaintenanceError: Retention rules that earlier runs of purge-audit-logs had are gone, or keep less, and rows of audit_logs that they kept would be deleted: ' +
          '"security" (status denied or violation: 365d) kept 1 row. Nothing was deleted. If this is a mistake, restore them in jobs.purgeAuditLogs.rules or ' +
          `AUDIT_LOGS_RETENTION_RULES for every worker on this database. If it is intended, ${WAY_ON}`,
      )
    }
    assert.equal(await count(outside, 'audit_logs'), 31)
    assert.equal((await purge(database, [SECURITY, PAYMENTS])).outcome, 'succeeded', 'with the rules, runs go on')
    assert.equal((await purge(database, [])).outcome, 'stopped')

    const told: Told = { warnings: [] }
    const dry = await purge(database, [PAYMENTS], { dryRun: true }, { told })
    assert.deepEqual([dry.outcome, dry.expired], ['succeeded', 1])
    assert.match(told.warnings.join('\n'), /a run would be stopped: Retention rules .*"security".* kept 1 row/)
    assert.equal((await purge(database, [PAYMENTS])).outcome, 'stopped', 'a dry run accepts nothing')

    assert.equal((await purge(database, [PAYMENTS], { accepted: SHORTER })).deleted, 1)
    await write(outside, engine, { days: 91, status: 'denied' })
    assert.equal((await purge(database, [PAYMENTS])).deleted, 1)
  })

  test(`${engine.name}: a rule that is narrowed or shortened stops a run, and each such rule is named with its rows`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await writeAll(outside, engine, [
      { days: 100, status: 'denied' },
      { days: 200, status: 'denied' },
      { days: 200, status: 'violation' },
      { days: 900, tool: 'stripe:a' },
      { days: 1 },
    ])
    assert.equal((await purge(database, [SECURITY, PAYMENTS])).deleted, 0)
    const shortened = await purge(database, [{ ...SECURITY, retentionMs: 150 * DAY }, PAYMENTS])
    assert.match(messageOf(shortened), /: "security" \(status denied or violation: 365d\) kept 2 rows\. Nothing/)
    const narrowed = await purge(database, [{ ...SECURITY, match: { status: ['denied'] } }, PAYMENTS])
    assert.match(messageOf(narrowed), /"security" .* kept 1 row\./)
    const both = await purge(database, [{ ...PAYMENTS, retentionMs: 365 * DAY }])
    assert.match(messageOf(both), /: "security" .* kept 3 rows, "payments" \(tool_name stripe:\*: forever\) kept 1 row\. Nothing/)
    assert.deepEqual(
      [shortened, narrowed, both].map(({ exitCode }) => exitCode),
      [5, 5, 5],
    )
    assert.equal(await count(outside, 'audit_logs'), 5)
    assert.equal((await purge(database, [{ ...SECURITY, match: { status: ['denied'] } }, PAYMENTS], { accepted: SHORTER })).deleted, 1)
    assert.equal((await purge(database, [PAYMENTS])).outcome, 'stopped', 'the narrowed rule is what counts now')
  })

  test(`${engine.name}: a rule that is renamed, widened, lengthened or split keeps its rows, and no run stops or warns`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await writeAll(outside, engine, [{ days: 200, status: 'denied' }, { days: 200, status: 'violation' }, { days: 1 }])
    const told: Told = { warnings: [] }
    const split = ['Denied', 'violation'].map((status): Rule => ({ ...SECURITY, name: status, match: { status: [status] } }))
    for (const rules of [
      [SECURITY],
      [{ ...SECURITY, name: 'other' }],
      split,
      [{ ...SECURITY, match: { status: ['*'] } }],
      [{ ...SECURITY, match: { status: ['*'] }, retentionMs: undefined }],
    ]) {
      const result = await purge(database, rules, {}, { told })
      assert.deepEqual([result.outcome, result.deleted], ['succeeded', 0])
    }
    assert.deepEqual(told.warnings, [])
  })

  test(`${engine.name}: a lost rule that kept no row is warned of, and stays in the comparison until a row would go or it is accepted`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await writeAll(outside, engine, [{ days: 50, status: 'denied' }, { days: 1 }])
    await purge(database, [SECURITY, PAYMENTS])
    for (const rules of [[PAYMENTS], [], [{ ...PAYMENTS, name: 'again' }]]) {
      const told: Told = { warnings: [] }
      assert.equal((await purge(database, rules, {}, { told })).outcome, 'succeeded')
      assert.match(
        told.warnings.join('\n'),
        /^retention rules that earlier runs had are gone, or keep less, and no row would go by that yet: .*"security" \(status denied or violation: 365d\).*; restore them in jobs\.purgeAuditLogs\.rules or AUDIT_LOGS_RETENTION_RULES, or accept it with --run-now --job purge-audit-logs --accept-shorter-retention$/,
      )
    }
    await timeGoesBy(outside, engine, 50)
    assert.match(messageOf(await purge(database, [PAYMENTS])), /"security" \(status denied or violation: 365d\) kept 1 row\./)
    assert.equal((await purge(database, [SECURITY, PAYMENTS])).outcome, 'succeeded')
    assert.equal((await purge(database, [], { accepted: SHORTER })).deleted, 1)
    const told: Told = { warnings: [] }
    assert.equal((await purge(database, [], {}, { told })).outcome, 'succeeded')
    assert.deepEqual(told.warnings, [])
  })

  test(`${engine.name}: what cannot be remembered of lost rules stops a run`, async () => {
    await using fixture = await migrated(engine)
    await write(fixture.outside, engine, { days: 1 })
    for (const name of ['a', 'b']) assert.equal((await purge(fixture.database, twenty(name))).outcome, 'succeeded')
    const stopped = await purge(fixture.database, twenty('c'))
    assert.equal(stopped.exitCode, 5)
    assert.match(
      messageOf(stopped),
      /40 retention rules that earlier runs of purge-audit-logs had are gone, .* too many to be remembered\. Nothing was deleted\./,
    )
    assert.equal((await purge(fixture.database, twenty('c'), { accepted: SHORTER })).outcome, 'succeeded')
    assert.equal((await purge(fixture.database, twenty('c'))).outcome, 'succeeded')
  })

  test(`${engine.name}: a shorter retention is judged by the rows that rules do not keep`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await writeAll(outside, engine, [...Array.from({ length: 5 }, () => ({ days: 1 })), ...Array.from({ length: 5 }, () => ({ days: 50 }))])
    await purge(database, [])
    const all: Rule = { name: 'all', match: { status: ['*'] }, retentionMs: 90 * DAY }
    const kept = await purge(database, [all], { retentionMs: 30 * DAY })
    assert.deepEqual([kept.outcome, kept.deleted], ['succeeded', 0])
    const stopped = await purge(database, [], { retentionMs: 30 * DAY })
    assert.match(messageOf(stopped), /"all" \(status \*: 90d\) kept 5 rows/)
    assert.match(messageOf(await purge(database, [all], { retentionMs: 29 * DAY, rules: [] })), /"all" .* kept 5 rows/)
    assert.equal((await purge(database, [], { retentionMs: 30 * DAY, accepted: SHORTER })).deleted, 5)
  })

  test(`${engine.name}: each run that may delete records its rules, and each list of rules is kept once`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await write(outside, engine, { days: 100 })
    await purge(database, [])
    await purge(database, [SECURITY, PAYMENTS])
    await purge(database, [PAYMENTS, { ...SECURITY, match: { status: ['Violation', 'denied'] } }])
    await purge(database, [SECURITY, PAYMENTS], { dryRun: true })
    const none = '{"retention":"90d","rules":[]}'
    const two =
      '{"retention":"90d","rules":[{"match":{"status":["denied","violation"]},"retention":"365d","name":"security"},{"match":{"tool_name":["stripe:*"]},"retention":"forever","name":"payments"}]}'
    assert.deepEqual(await recorded(outside), [none, two, two])
    assert.equal(await count(outside, 'maintenance_policies'), 2)
    await run(database)
    assert.deepEqual(await recorded(outside), [none, two, two], 'only of the job with a retention')
    await write(outside, engine, { days: 100, status: 'denied' })
    assert.equal((await purge(database, [])).outcome, 'stopped')
    assert.deepEqual(await recorded(outside), [none, two, two], 'not of a run that was stopped')
  })

  test(`${engine.name}: the rules of a run are forgotten with its record, the newest excepted`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await write(outside, engine, { days: 1 })
    for (let times = 0; times < 3; times += 1) await purge(database, [SECURITY])
    await outside.sql('UPDATE maintenance_runs SET started_at = started_at - $1, finished_at = finished_at - $1', [401 * DAY])
    const runs = async (): Promise<unknown[]> =>
      (await outside.sql('SELECT run FROM maintenance_run_policies ORDER BY run')).map(({ run: id }) => id)
    await purge(database, [SECURITY])
    assert.deepEqual(await runs(), [3, 4], 'until run 4 has ended, 3 is the newest')
    await purge(database, [SECURITY])
    assert.deepEqual(await runs(), [4, 5])
    await outside.sql('DELETE FROM maintenance_runs')
    await write(outside, engine, { days: 100, status: 'denied' })
    assert.equal((await purge(database, [])).outcome, 'stopped', 'the rules are known although no run is')
  })

  test(`${engine.name}: rules on record that cannot be believed stop a run until it is accepted, and are then put right`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await write(outside, engine, { days: 100, status: 'denied' })
    const spoilt: readonly [sql: string, why: RegExp][] = [
      [`UPDATE maintenance_policies SET policy = '{"retention":"90d","rules":[]}'`, /has been changed/],
      [`UPDATE maintenance_policies SET policy = policy || ' '`, /has been changed/],
      [`UPDATE maintenance_policies SET policy = '${'x'.repeat(200_000)}'`, /has no text for it, or one of more than 131072 bytes/],
      ['DELETE FROM maintenance_policies', /has no text for it/],
      [`UPDATE maintenance_run_policies SET compared_sha256 = 'none'`, /has no text for it/],
      [
        // The digest is right, and the text is none of ours.
        `UPDATE maintenance_policies SET sha256 = '37517e5f3dc66819f61f5a7bb8ace1921282415f10551d2defa5c3eb0985b570', policy = '[]'`,
        /has no text for it/,
      ],
    ]
    for (const [sql, why] of spoilt) {
      assert.equal((await purge(database, [SECURITY], { accepted: SHORTER })).outcome, 'succeeded')
      await outside.sql(sql)
      for (const rules of [[SECURITY], []]) {
        const stopped = await purge(database, rules)
        assert.equal(stopped.exitCode, 5, sql)
        assert.match(
          messageOf(stopped),
          /The retention rules of run \d+ of purge-audit-logs cannot be read: .* Nothing was deleted\. Restore the table from a backup\./,
        )
        assert.match(messageOf(stopped), why)
        assert.ok(messageOf(stopped).endsWith(WAY_ON))
      }
    }
    assert.equal((await purge(database, [SECURITY], { accepted: SHORTER })).outcome, 'succeeded')
    assert.equal((await purge(database, [SECURITY])).outcome, 'succeeded')
    // Only a later version has such rules.
    const text = '{"retention":"90d","rules":[],"unless":[]}'
    const { createHash } = await import('node:crypto')
    const sha256 = createHash('sha256').update(text).digest('hex')
    await outside.sql('INSERT INTO maintenance_policies (sha256, policy, first_seen) VALUES ($1, $2, 0)', [sha256, text])
    await outside.sql('UPDATE maintenance_run_policies SET compared_sha256 = $1', [sha256])
    assert.match(messageOf(await purge(database, [SECURITY])), /is none that this version understands/)
    assert.equal(await count(outside, 'audit_logs'), 1)
  })

  test(`${engine.name}: tables of rules that are gone end a run, and where no migration made them there is no record`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await writeAll(outside, engine, [{ days: 100 }, { days: 100, status: 'denied' }])
    await outside.sql('DROP TABLE maintenance_run_policies')
    const failed = await purge(database, [SECURITY])
    assert.deepEqual([failed.outcome, failed.deleted], ['failed', 0])
    assert.match(
      messageOf(failed),
      /maintenance_run_policies cannot be found, .*Nothing was deleted\. Restore the table from a backup, or run the file/,
    )
    await outside.sql(`DELETE FROM maintenance_migrations WHERE name = 'add_policies'`)
    const unrecorded = await purge(database, [SECURITY])
    assert.deepEqual([unrecorded.outcome, unrecorded.deleted], ['succeeded', 1], 'the rule counts all the same')
  })

  test(`${engine.name}: a trigger that changes what is recorded of rules ends the run before a row is gone`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await write(outside, engine, { days: 100 })
    if (engine.name === 'sqlite')
      await outside.sql(
        `CREATE TRIGGER meddling AFTER INSERT ON maintenance_run_policies BEGIN UPDATE maintenance_run_policies SET compared_sha256 = 'x'; END`,
      )
    else {
      await outside.sql(
        `CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.compared_sha256 := 'x'; RETURN NEW; END $$`,
      )
      await outside.sql('CREATE TRIGGER meddling BEFORE INSERT ON maintenance_run_policies FOR EACH ROW EXECUTE FUNCTION meddle()')
    }
    const failed = await purge(database, [])
    assert.deepEqual([failed.outcome, await count(outside, 'audit_logs')], ['failed', 1])
    assert.match(messageOf(failed), /does not hold what was just written to it \(compared_sha256\)/)
  })

  test(`${engine.name}: with the archive on, a row that a rule keeps is not archived before its time has come`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await writeAll(outside, engine, [{ days: 100, tool: 'base' }, { days: 300, tool: 'ruled', status: 'denied' }, { days: 1 }])
    const first = await purged(database, folder.path, { rules: [SECURITY] })
    assert.deepEqual([first.outcome, first.deleted, first.archived?.rows], ['succeeded', 1, 1])
    await timeGoesBy(outside, engine, 70)
    const second = await purged(database, folder.path, { rules: [SECURITY], accepted: new Set(['clock', 'empty-table'] as const) })
    assert.deepEqual([second.outcome, second.deleted, second.archived?.rows], ['succeeded', 1, 1], messageOf(second))
    assert.deepEqual(new Set((await archivedRows(folder.path)).map((row) => row['tool_name'])), new Set(['base', 'ruled']))
  })

  test(`${engine.name}: a table that lacks the column of a rule fails with a sentence, and nothing is deleted`, async () => {
    await using outside = await engine.fresh()
    await outside.sql(
      `CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, tool_name TEXT, "user" TEXT, action TEXT, timestamp ${engine.name === 'sqlite' ? 'TEXT' : 'timestamp'})`,
    )
    await outside.sql('CREATE INDEX by_time ON audit_logs (timestamp)')
    await outside.sql(`INSERT INTO audit_logs VALUES (1, 't', 'u', 'invoke', ${engine.moment(-100 * 86_400)})`)
    await using database = await opened(outside.url)
    const failed = await purge(database, [SECURITY], {}, { recorded: false })
    assert.deepEqual([failed.outcome, failed.deleted], ['failed', 0])
    assert.match(messageOf(failed), /status/)
    assert.match(messageOf(failed), /audit_logs/)
    assert.equal(await count(outside, 'audit_logs'), 1)
    assert.equal((await purge(database, [PAYMENTS], {}, { recorded: false })).deleted, 1)
  })

  test(`${engine.name}: a NULL matches no rule, not even one for every value, and a column that is gone since fails with a sentence`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    const everyTarget: Rule = { name: 'targets', match: { status: ['*'], action: ['invoke'] }, retentionMs: undefined }
    await outside.sql('ALTER TABLE audit_logs RENAME COLUMN status TO state')
    await outside.sql(
      engine.name === 'sqlite' ? 'ALTER TABLE audit_logs ADD COLUMN status TEXT' : 'ALTER TABLE audit_logs ADD COLUMN status text',
    )
    for (const status of [null, 'x'])
      await outside.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, state, status, timestamp) VALUES ('t', 'u', 'invoke', 's', $1, ${engine.moment(-100 * 86_400)})`,
        [status],
      )
    assert.equal((await purge(database, [everyTarget])).deleted, 1)
    await outside.sql('ALTER TABLE audit_logs DROP COLUMN status')
    for (const rules of [[everyTarget], []]) {
      const failed = await purge(database, rules)
      assert.equal(failed.outcome, 'failed', messageOf(failed))
      assert.match(messageOf(failed), /audit_logs.*status|status.*audit_logs/)
    }
    assert.equal(await count(outside, 'audit_logs'), 1)
    assert.equal((await purge(database, [], { accepted: SHORTER })).deleted, 1)
  })

  test(`${engine.name}: a shorter retention is judged by the rows that no hold keeps`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await writeAll(
      outside,
      engine,
      Array.from({ length: 44 }, () => ({ days: 1 })),
    )
    await writeAll(
      outside,
      engine,
      Array.from({ length: 6 }, () => ({ days: 50 })),
    )
    await purge(database, [])
    await writeAll(
      outside,
      engine,
      Array.from({ length: 100 }, () => ({ days: 50, tool: 'held' })),
    )
    await outside.sql(
      `INSERT INTO maintenance_holds (name, job, matches, reason, placed_at, placed_by) VALUES ('case', 'purge-audit-logs', '{"tool_name":["held"]}', 'r', 0, 'me')`,
    )
    const stopped = await purge(database, [], { retentionMs: 30 * DAY })
    assert.equal(stopped.exitCode, 5)
    assert.match(messageOf(stopped), /more than a tenth of the 50 rows of audit_logs that no hold keeps would be deleted/)
    assert.equal((await purge(database, [], { retentionMs: 30 * DAY, accepted: SHORTER })).deleted, 6)
  })
}
