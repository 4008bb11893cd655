import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { widthOf } from '../../src/observe/width.ts'
import { freshFolder } from '../archive/support.ts'
import { applyMigrations, auditLogs, count } from '../runs/support.ts'
import { command, events, type Ended } from '../support/command.ts'
import { BOTH_ENGINES, ENGINES, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { POSTGRES_MAJORS } from '../support/postgres-server.ts'
import { ReplicatedPair } from '../support/standby.ts'
import { onTerminal, WITHOUT_TERMINAL } from '../support/terminal.ts'

const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true })
const isValid = ajv.compile(JSON.parse(await readFile(new URL('../../docs/holds.schema.json', import.meta.url), 'utf8')) as object)

/** As the schema has it. */
function documentOf(ended: Ended): unknown {
  const document: unknown = JSON.parse(ended.stdout)
  assert.ok(isValid(document), ajv.errorsText(isValid.errors))
  return document
}

const SAID = ['--reason', 'a letter of the court', '--by', 'Jane Doe']

function hold(database: { readonly url: string }, words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return command(['hold', ...words], { env: { DATABASE_URL: database.url, ...env } })
}

async function purge(database: TestDatabase, env: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const done = await command(['--run-now', '--job', 'purge-audit-logs'], { env: { DATABASE_URL: database.url, ...env } })
  assert.equal(done.code, 0, done.stdout)
  return events(done, 'job.finished')[0]!['deleted']
}

/** Off a terminal each line is whole; blanks are for the eye. */
function linesOf(ended: Ended): string[] {
  return ended.stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.replaceAll(/ {2,}/g, ' | '))
}

/** 30 rows of user u that have expired and 10 that have not. */
async function fortyRows(outside: TestDatabase, engine: (typeof ENGINES)[number]): Promise<void> {
  await auditLogs(outside, engine, 30, 100)
  await auditLogs(outside, engine, 10, 10)
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: a hold is placed, kept by a purge, shown, released, and its rows go in the next purge`, async () => {
    await using outside = await engine.fresh()
    await applyMigrations(outside.url)
    await fortyRows(outside, engine)
    const placed = await hold(outside, ['place', 'case-17', '--user', 'U', '--tool', 't*', ...SAID])
    assert.equal(placed.code, 0, placed.stderr)
    const [head, keeps, rows, reason, by, at] = linesOf(placed)
    assert.equal(head, 'Hold "case-17" is placed: from now on no run deletes these rows.')
    assert.equal(keeps, 'keeps | user U, and tool_name t*')
    assert.equal(rows, 'rows | 40 match in audit_logs now; 30 have expired, and 30 would go without it')
    assert.equal(reason, 'reason | a letter of the court')
    assert.match(by!, /^by \| Jane Doe \(\S+@\S+?(, role \w+)?\)$/)
    assert.match(at!, /^placed \| \d{4}-\d\d-\d\d \d\d:\d\d UTC$/)
    // The log says who and why and how many, and not whose rows.
    const logged = placed.stderr.split('\n').find((line) => line.includes('"hold.placed"'))
    const { time: _, by: who, receipt, ...fields } = JSON.parse(logged!) as Record<string, unknown>
    assert.match(String(who), /^Jane Doe \(/)
    assert.match(JSON.stringify(receipt), /^\{"n":1,"sha256":"[0-9a-f]{64}"\}$/)
    assert.deepEqual(fields, {
      level: 'info',
      event: 'hold.placed',
      id: 1,
      name: 'case-17',
      reason: 'a letter of the court',
      rows: 40,
      more: false,
      msg: 'hold case-17 was placed',
    })

    assert.equal(await purge(outside), 0)
    assert.equal(await count(outside, 'audit_logs'), 40)

    const listed = await hold(outside, ['list'])
    assert.match(listed.stdout, /case-17 +user u, and tool_name t\* +\d{4}-/)
    assert.match(listed.stdout, /a letter of the court \(Jane Doe \(/)
    const shown = await hold(outside, ['show', 'case-17'])
    assert.deepEqual([shown.code, linesOf(shown)[0]], [0, 'case-17: in force'])
    assert.ok(linesOf(shown).includes('rows | 40 match in audit_logs now; 30 have expired, and 30 would go without it'))

    const released = await hold(outside, ['release', 'case-17', '--reason', 'settled'])
    assert.equal(released.code, 0, released.stderr)
    assert.ok(linesOf(released).includes('rows | the next run deletes 30 of audit_logs that nothing else keeps'))
    assert.equal((JSON.parse(released.stderr.split('\n').find((line) => line.includes('"hold.released"'))!) as { rows: number }).rows, 30)
    assert.equal(await purge(outside), 30)
    assert.equal((await hold(outside, ['list'])).stdout, 'no hold is in force\n')
    const all = documentOf(await hold(outside, ['list', '--all', '--json'])) as { holds: { released: { reason: string } }[] }
    assert.deepEqual(
      all.holds.map((each) => each.released.reason),
      ['settled'],
    )
  })

  test(`${engine.name}: rows that another hold keeps are not among those that go after a release`, async () => {
    await using outside = await engine.fresh()
    await applyMigrations(outside.url)
    await fortyRows(outside, engine)
    await hold(outside, ['place', 'wide', '--everything', ...SAID])
    const second = await hold(outside, ['place', 'narrow', '--user', 'u', '--status', 'success', ...SAID])
    assert.ok(linesOf(second).includes('rows | 40 match in audit_logs now; 30 have expired, and 0 would go without it'))
    const released = await hold(outside, ['release', 'narrow', ...SAID])
    assert.ok(linesOf(released).includes('rows | none of audit_logs goes in the next run because of it'))
    assert.equal(await purge(outside), 0)
  })

  test(`${engine.name}: a hold that no row matches is refused, unless it is meant so; a dry run is refused like it and changes nothing`, async () => {
    await using outside = await engine.fresh()
    await applyMigrations(outside.url)
    await fortyRows(outside, engine)
    const nobody = ['place', 'case-17', '--user', 'uu', ...SAID]
    for (const dry of [[], ['--dry-run']]) {
      const refused = await hold(outside, [...nobody, ...dry])
      assert.deepEqual([refused.code, refused.stdout], [2, ''])
      assert.match(refused.stderr, /No row of audit_logs matches, .* Nothing was changed.* add --even-if-none/)
      // What was typed may name a person.
      assert.ok(!refused.stderr.includes('uu'))
    }
    const dry = await hold(outside, ['place', 'case-17', '--from', '2020-01-01', '--review', '2099-01-01T12:00', ...SAID, '--dry-run'])
    assert.equal(dry.code, 0, dry.stderr)
    assert.deepEqual(linesOf(dry).slice(0, 3), [
      'Hold "case-17" was not placed: this is a dry run. It would keep these rows:',
      'keeps | every row, from 2020-01-01 00:00 UTC',
      'rows | 40 match in audit_logs now; 30 have expired, and 30 would go without it',
    ])
    assert.equal(await count(outside, 'maintenance_holds'), 0)
    assert.equal(await count(outside, 'maintenance_leases'), 0)
    assert.equal((await hold(outside, [...nobody, '--even-if-none'])).code, 0)
    const past = await hold(outside, ['place', 'other', '--user', 'u', '--review', '2020-01-01', ...SAID])
    assert.deepEqual([past.code, await count(outside, 'maintenance_holds')], [2, 1])
    assert.match(past.stderr, /--review is 2020-01-01 00:00 UTC, which has passed/)
  })

  test(`${engine.name}: rows in files of the archive count, and an archive that cannot be looked at keeps nobody from placing`, async () => {
    await using outside = await engine.fresh()
    await using folder = await freshFolder()
    await applyMigrations(outside.url)
    await fortyRows(outside, engine)
    const env = { ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: folder.path }
    assert.equal(await purge(outside, env), 30)
    const gone = ['--status', 'nothing like it', '--to', new Date(Date.now() - 50 * 86_400_000).toISOString().slice(0, 10)]
    const archived = await hold(outside, ['place', 'a', ...gone, ...SAID], env)
    assert.equal(archived.code, 0, archived.stderr)
    assert.ok(linesOf(archived).includes('archive | 1 file may have such rows; one that has stays as a whole'), archived.stdout)
    const elsewhere = await hold(outside, ['place', 'b', ...gone, ...SAID], { ARCHIVE_DIRECTORY: `${folder.path}/nowhere` })
    assert.equal(elsewhere.code, 0, elsewhere.stderr)
    assert.match(linesOf(elsewhere).join('\n'), /archive \| not known; it could not be looked at as a whole: .* is missing/)
    const before = await hold(outside, ['place', 'c', '--status', 'nothing like it', '--to', '2001-01-01', ...SAID], env)
    assert.equal(before.code, 2, before.stdout)
  })

  test(`${engine.name}: unknown names, names in use and databases without holds are said as that`, async () => {
    await using outside = await engine.fresh()
    const early = await hold(outside, ['place', 'a', '--everything', ...SAID])
    assert.notEqual(early.code, 0)
    assert.equal((await hold(outside, ['list'])).code, 0)
    await command(['migrate', '--to', '6'], { env: { DATABASE_URL: outside.url } })
    for (const words of [
      ['place', 'a', '--everything', ...SAID],
      ['release', 'a', ...SAID],
      ['show', 'a'],
    ]) {
      const refused = await hold(outside, words)
      assert.equal(refused.code, 4, refused.stderr)
      assert.match(refused.stderr, /This database has no table maintenance_holds yet.*Run: mcp-gateway-maintenance migrate/)
    }
    await applyMigrations(outside.url)
    await hold(outside, ['place', 'case-17', '--everything', '--even-if-none', ...SAID])
    const again = await hold(outside, ['place', 'case-17', '--everything', '--even-if-none', ...SAID])
    assert.equal(again.code, 2)
    assert.match(again.stderr, /A hold \\"case-17\\" is in force already since .* UTC, placed by /)
    for (const words of [
      ['show', 'case-71'],
      ['release', 'case-71', ...SAID],
    ]) {
      const unknown = await hold(outside, words)
      assert.equal(unknown.code, 2)
      assert.match(unknown.stderr, /There is no hold \\"case-71\\"\. Nothing was changed\. Did you mean \\"case-17\\"\?/)
    }
    await outside.sql('ALTER TABLE audit_logs RENAME COLUMN status TO state')
    const column = await hold(outside, ['place', 'b', '--status', 'denied', '--even-if-none', ...SAID])
    assert.notEqual(column.code, 0)
    assert.match(column.stderr, /status/)
    assert.equal(await count(outside, 'maintenance_holds'), 1)
  })
}

test('what a hold says of its rows, runs and files is in the document', async () => {
  await using outside = await sqliteDatabase()
  await applyMigrations(outside.url)
  await fortyRows(outside, ENGINES[0]!)
  await hold(outside, [
    'place',
    'case-17',
    '--user',
    'u',
    '--from',
    '2020-01-01',
    '--to',
    '2090-01-01T00:00:00.5Z',
    '--review',
    '2090-01-01',
    ...SAID,
  ])
  await outside.sql(
    `INSERT INTO maintenance_runs (id, job, "trigger", worker, version, started_at) VALUES (77, 'purge-audit-logs', 'schedule', 'w', '1', 1600000000000)`,
  )
  await outside.sql(`INSERT INTO maintenance_run_holds VALUES (77, 1, 30), (77, 0, 30)`)
  await outside.sql(
    `INSERT INTO maintenance_held_files VALUES (1, 'audit_logs/2025/01/01/1-1.ndjson.zst', 7), (1, 'audit_logs/2025/01/02/1-2.ndjson.zst', 0)`,
  )
  const shown = await hold(outside, ['show', 'case-17', '--json'])
  const document = documentOf(shown) as { holds: Record<string, unknown>[] }
  const { placedAt, placedBy, ...rest } = document.holds[0]!
  assert.match(String(placedAt), /^\d{4}-.*Z$/)
  assert.match(String(placedBy), /^Jane Doe \(/)
  assert.deepEqual(
    { ...document, holds: [rest] },
    {
      name: 'case-17',
      holds: [
        {
          id: 1,
          name: 'case-17',
          job: 'purge-audit-logs',
          matches: { user: ['u'] },
          from: '2020-01-01T00:00:00.000Z',
          to: '2090-01-01T00:00:00.500Z',
          problems: [],
          reason: 'a letter of the court',
          reviewAt: '2090-01-01T00:00:00.000Z',
          released: null,
          rows: { matching: 40, expired: 30, keptByItAlone: 30, more: false },
          runs: [{ run: 77, startedAt: '2020-09-13T12:26:40.000Z', rows: 30 }],
          files: [{ path: 'audit_logs/2025/01/01/1-1.ndjson.zst', rows: 7 }],
          moreFiles: false,
        },
      ],
    },
  )
  assert.ok(linesOf(await hold(outside, ['show', 'case-17'])).includes('run 77 | 2020-09-13 12:26 UTC: kept 30 expired rows'))
})

test('a damaged hold is shown as one that cannot be understood, stops the purge, and can be released', async () => {
  await using outside = await sqliteDatabase()
  await applyMigrations(outside.url)
  await fortyRows(outside, ENGINES[0]!)
  await outside.sql(
    `INSERT INTO maintenance_holds (name, job, matches, reason, placed_at, placed_by) VALUES ('by\u001b[2J hand', 'purge-audit-logs', '{"colour":["red"]}', 'r', 1, 'm')`,
  )
  const listed = await hold(outside, ['list'])
  assert.equal(listed.code, 0, listed.stderr)
  assert.equal((documentOf(await hold(outside, ['list', '--json'])) as { holds: unknown[] }).holds.length, 1)
  assert.match(listed.stdout, /by\\u001b\[2J hand +cannot be understood: "colour" is no column/)
  const run = await command(['--run-now', '--job', 'purge-audit-logs'], { env: { DATABASE_URL: outside.url } })
  assert.equal(run.code, 1)
  assert.equal(await count(outside, 'audit_logs'), 40)
  const released = await hold(outside, ['release', 'by\u001b[2J hand', ...SAID])
  assert.equal(released.code, 0, released.stderr)
  assert.ok(!released.stdout.includes('\u001b'))
  assert.equal(await purge(outside), 30)
})

test('on a terminal of 80 columns every line of an answer fits', { skip: WITHOUT_TERMINAL }, async () => {
  await using outside = await sqliteDatabase()
  await applyMigrations(outside.url)
  await fortyRows(outside, ENGINES[0]!)
  const env = { DATABASE_URL: outside.url, LANG: 'C.UTF-8' }
  const long = ['--reason', `The letter ${'of the court '.repeat(20)}`, '--by', 'Jane Doe, Legal and Compliance']
  const many = Array.from({ length: 20 }, (_, at) => ['--user', at === 0 ? 'u' : `somebody-${at}@example.com`]).flat()
  for (const words of [
    ['place', 'case-17/2026', ...many, '--from', '2020-01-01', '--review', '2090-01-01', ...long],
    ['list', '--all'],
    ['show', 'case-17/2026'],
    ['release', 'case-17/2026', ...long],
    ['list', '--all'],
  ]) {
    const { screen } = await onTerminal(['hold', ...words], { columns: 80, env })
    assert.ok(screen.length > 2, words.join(' '))
    assert.deepEqual(
      screen.filter((line) => widthOf(line) > 80),
      [],
    )
    assert.ok(screen.join(' ').includes('case-17/2026'), screen.join('\n'))
  }
})

test('on a standby holds are listed, shown and tried, and none is placed', async () => {
  const major = POSTGRES_MAJORS.at(-1)!
  await using pair = await ReplicatedPair.start(major)
  const url = { url: `${pair.primaryUrl}?sslmode=disable` }
  await applyMigrations(pair.primaryUrl)
  assert.equal((await hold(url, ['place', 'case-17', '--everything', '--even-if-none', ...SAID])).code, 0)
  await pair.caughtUp()
  const standby = { url: `${pair.standbyUrl}?sslmode=disable` }
  const listed = await hold(standby, ['list'])
  assert.deepEqual([listed.code, /case-17 +every row/.test(listed.stdout)], [0, true], listed.stderr)
  const shown = await hold(standby, ['show', 'case-17'])
  assert.equal(shown.code, 0, shown.stderr)
  assert.equal((await hold(standby, ['place', 'b', '--everything', '--even-if-none', '--dry-run', ...SAID])).code, 0)
  for (const words of [
    ['place', 'b', '--everything', '--even-if-none', ...SAID],
    ['release', 'case-17', ...SAID],
  ])
    assert.equal((await hold(standby, words)).code, 3)
})

test('rows that a rule keeps do not go along with those of another job by a foreign key that the settings allow', async () => {
  const engine = BOTH_ENGINES[0]!
  await using database = await engine.fresh()
  const env = { DATABASE_URL: database.url, PURGE_SESSIONS_CASCADE: 'audit_logs' }
  assert.equal((await command(['migrate'], { env })).code, 0)
  for (const sql of [
    `INSERT INTO sessions (id, session_token, user_identifier, expires_at) VALUES (1, 's', 'u', ${engine.moment(-60)})`,
    'ALTER TABLE audit_logs ADD COLUMN session_id bigint REFERENCES sessions (id) ON DELETE CASCADE',
    'CREATE INDEX idx_by_session ON audit_logs (session_id)',
    `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp, session_id) VALUES ('t', 'u', 'invoke', 'denied', ${engine.moment(-60)}, 1)`,
  ])
    await database.sql(sql)
  const words = ['--run-now', '--job', 'purge-sessions']
  const rules = '[{ name: security, match: { status: denied }, retention: 365d }]'
  const refused = await command(words, { env: { ...env, AUDIT_LOGS_RETENTION_RULES: rules } })
  assert.equal(refused.code, 1, refused.stdout)
  assert.match(refused.stdout, /rule keeps rows/)
  assert.deepEqual(await database.sql('SELECT count(*) AS n FROM audit_logs'), [{ n: 1 }])
  assert.equal((await command(words, { env })).code, 0)
  assert.deepEqual(await database.sql('SELECT count(*) AS n FROM audit_logs'), [{ n: 0 }])
})
