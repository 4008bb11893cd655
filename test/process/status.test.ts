import assert from 'node:assert/strict'
import { access, readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { JOBS } from '../../src/catalogue.ts'
import { freshFolder } from '../archive/support.ts'
import { auditLogs } from '../runs/support.ts'
import { command, events, type Ended } from '../support/command.ts'
import { freshSqliteFile } from '../support/databases.ts'
import { BOTH_ENGINES, type TestDatabase } from '../support/engines.ts'

const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true })
const validStatus = ajv.compile(await schema('status'))
const validHistory = ajv.compile(await schema('history'))

// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0009\u000B-\u001F\u007F]/

async function schema(name: string): Promise<object> {
  return JSON.parse(await readFile(new URL(`../../docs/${name}.schema.json`, import.meta.url), 'utf8')) as object
}

function ask(database: Pick<TestDatabase, 'url'>, line: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return command(line.split(' '), { env: { DATABASE_URL: database.url, ...env } })
}

function statusIn(ended: Ended): Status {
  return document(ended, validStatus) as Status
}

function runsIn(ended: Ended): History['runs'] {
  return (document(ended, validHistory) as History).runs
}

function document(ended: Ended, valid: ValidateFunction): unknown {
  const answer: unknown = JSON.parse(ended.stdout)
  assert.ok(valid(answer), `${ajv.errorsText(valid.errors)}\n${ended.stdout}`)
  return answer
}

interface History {
  readonly runs: readonly { readonly job: string; readonly deleted: number; readonly archived: { readonly rows: number } | null }[]
}

interface Status {
  readonly attention: readonly string[]
  readonly findings: readonly { readonly code: string; readonly level: string; readonly sentence: string }[]
  readonly database: { readonly reachable: boolean; readonly problem: string | null }
  readonly migrations: { readonly applied: readonly object[]; readonly pending: readonly object[] } | null
  readonly jobs: readonly {
    readonly job: string
    readonly backlog: { readonly rows: number } | null
    readonly lastRun: { readonly outcome: string; readonly deleted: number; readonly error: string | null } | null
    readonly problems: readonly string[]
  }[]
  readonly archive: {
    readonly enabled: boolean
    readonly retention: string | null
    readonly head: object | null
    readonly rows: number | null
    readonly files: number | null
    readonly lagMs: number | null
    readonly verification: { readonly at: string; readonly sound: boolean } | null
  }
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: status and history answer as their schemas say, before the first run, after it, and after a failure`, async () => {
    await using database = await engine.fresh()
    const before = statusIn(await ask(database, 'status --json'))
    assert.ok(before.migrations!.pending.length > 0)
    assert.equal((await ask(database, 'status --check')).code, 1)
    const nothing = await ask(database, 'history --json')
    assert.deepEqual(runsIn(nothing), [])
    assert.match(nothing.stderr, /migration 002/)

    await ask(database, '--run-now')
    await database.sql(`INSERT INTO sessions (session_token, user_identifier, expires_at) VALUES ('t', 'u', ${engine.moment(-7_200)})`)
    const waiting = await ask(database, 'status --json')
    assert.deepEqual([waiting.code, waiting.stderr], [0, ''])
    const status = statusIn(waiting)
    assert.deepEqual(
      status.jobs.map(({ job, backlog, lastRun, problems }) => [job, backlog?.rows, lastRun?.outcome, problems]),
      JOBS.map(({ name }) => [name, name === 'purge-sessions' ? 1 : 0, 'succeeded', []]),
    )

    await ask(database, '--run-now --job purge-sessions')
    await database.sql('DROP TABLE policy_decisions' + (engine.name === 'sqlite' ? '' : ' CASCADE'))
    await database.sql('CREATE TABLE policy_decisions (id INTEGER PRIMARY KEY)')
    assert.equal((await ask(database, '--run-now --job purge-policy-decisions', { MIGRATIONS_ENABLED: 'false' })).code, 1)
    const failing = statusIn(await ask(database, 'status --json'))
    const decisions = failing.jobs.find(({ job }) => job === 'purge-policy-decisions')!
    assert.equal(decisions.lastRun?.outcome, 'failed')
    assert.match(decisions.lastRun?.error ?? '', /expires_at/)
    assert.match(decisions.problems.join(), /expires_at/)
    // The reason of the failed run hinders the next one too, and is said once; PostgreSQL says something else of the backlog.
    assert.deepEqual(
      failing.findings.map(({ code, level }) => [code, level]),
      [['job-failed', 'fault'], ...(engine.name === 'sqlite' ? [] : [['job-hindered', 'fault']])],
    )
    assert.deepEqual(
      failing.attention,
      failing.findings.map(({ sentence }) => sentence),
    )
    assert.deepEqual([(await ask(database, 'status')).code, (await ask(database, 'status --check')).code], [0, 1])

    const history = runsIn(await ask(database, 'history --json --job purge-sessions'))
    assert.deepEqual(
      history.map(({ job, deleted }) => [job, deleted]),
      [
        ['purge-sessions', 0],
        ['purge-sessions', 1],
      ],
    )
    const all = runsIn(await ask(database, 'history --json --since 1d'))
    assert.equal(all.length, JOBS.length + 2)
  })

  test(`${engine.name}: status and history for people, off a terminal, are lines of text without control characters`, async () => {
    await using database = await engine.fresh()
    await ask(database, '--run-now')
    const env = { LANG: 'C', TZ: 'Asia/Tokyo' }
    const status = await ask(database, 'status', env)
    assert.equal(status.code, 0)
    assert.match(
      status.stdout,
      engine.name === 'sqlite'
        ? /^One thing needs a look\n {2}advice {2}the gateway has never written to this database.*\n\ndatabase /
        : /^All is well\n\ndatabase /,
    )
    assert.equal((await ask(database, 'status --check', env)).code, 0)
    assert.match(status.stdout, /^migrations +\d+ applied, none pending$/m)
    assert.match(status.stdout, /^purge-audit-logs\n(?: {2}.*\n)*? {2}schedule +At 03:00 \(0 3 \* \* \*, UTC\)$/m)
    assert.match(status.stdout, /^ {2}next run +\S+ 03:00 UTC, 12:00 GMT\+9, in /m)
    assert.match(status.stdout, /^ {2}last run +succeeded (?:just now|.* ago) \(.*, run-now\), took .*, deleted 0$/m)
    const history = await ask(database, 'history', env)
    assert.equal(history.stdout.trim().split('\n').length, JOBS.length + 2)
    assert.match(history.stdout, /purge-sessions +run-now +succeeded +0 /)
    for (const { stdout } of [status, history]) assert.doesNotMatch(stdout, CONTROL)
    // oxlint-disable-next-line no-control-regex
    assert.match(history.stdout, /^[\u0000-\u007F]*$/)
  })
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: status and history show the archive, as their schemas say and for people`, async () => {
    await using database = await engine.fresh()
    await using folder = await freshFolder()
    const env = { ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: folder.path, ARCHIVE_RETENTION: '400d' }
    const off = await ask(database, 'status')
    assert.doesNotMatch(off.stdout, /^archive$/m)
    assert.equal((await ask(database, 'migrate')).code, 0)
    await auditLogs(database, engine, 3, 100)
    const before = statusIn(await ask(database, 'status --json', env)).archive
    assert.deepEqual([before.enabled, before.files, before.head, before.verification], [true, 0, null, null])
    assert.ok(before.lagMs! > 9 * 86_400_000)

    const run = await ask(database, '--run-now --job purge-audit-logs', env)
    const [finished] = events(run, 'job.finished')
    assert.match(String(finished!['msg']), /^purge-audit-logs: 3 rows deleted, 3 archived in [12] files?$/)
    assert.deepEqual([finished!['archiveLagMs'], 'archiveVerifiedAt' in finished!], [0, false])
    assert.equal((await ask(database, 'archive verify', env)).code, 0)
    const again = events(await ask(database, '--run-now --job purge-audit-logs', env), 'job.finished')[0]!
    assert.deepEqual([again['archivedRows'], again['archiveSound']], [0, true])
    const { archive } = statusIn(await ask(database, 'status --json', env))
    assert.deepEqual([archive.rows, archive.lagMs, archive.verification?.sound, archive.retention], [3, 0, true, '400d'])
    assert.equal(archive.verification?.at, again['archiveVerifiedAt'])

    const text = (await ask(database, 'status', env)).stdout
    const files = archive.files === 1 ? '1 file' : '2 files'
    assert.match(
      text,
      new RegExp(`^archive\\n  folder +${folder.path}, files are kept for 400d\\n  holds +3 rows in ${files}, .* up to .* UTC`, 'm'),
    )
    assert.match(
      text,
      /^ {2}newest +audit_logs\/.*\.json, SHA-256 [0-9a-f]{64}\n {2}verified +sound .* UTC\)\n {2}lag +none\n {2}expired +files of days before /m,
    )
    assert.match(text, /deleted 0$/m)
    assert.deepEqual(
      runsIn(await ask(database, 'history --json')).map((each) => [each.deleted, each.archived?.rows]),
      [
        [3, 3],
        [0, undefined],
      ],
    )
    const history = (await ask(database, 'history')).stdout
    assert.match(history, /deleted +archived +took/)
    assert.match(history, /succeeded +3 +3 /)
  })
}

test('a database that cannot be reached is a status, with exit code 3 and no secret', async () => {
  const url = 'postgresql://ann:s3cret-pass@127.0.0.1:1/gateway'
  for (const line of ['status --json', 'status']) {
    const ended = await ask({ url }, line, { DATABASE_CONNECT_TIMEOUT: '0s' })
    assert.equal(ended.code, 3)
    assert.doesNotMatch(ended.stdout + ended.stderr, /s3cret/)
    if (line === 'status') assert.match(ended.stdout, /^ +fault +PostgreSQL at 127\.0\.0\.1:1\/gateway cannot be reached/m)
    else assert.deepEqual([statusIn(ended).database.reachable, statusIn(ended).migrations], [false, null])
  }
  assert.equal((await ask({ url }, 'history', { DATABASE_CONNECT_TIMEOUT: '0s' })).code, 3)
})

test('status does not create a missing file', async () => {
  await using fresh = await freshSqliteFile()
  for (const line of ['status --json', 'history --json']) {
    const ended = await ask({ url: `sqlite:///${fresh.file}` }, line)
    assert.equal(ended.code, 0)
    assert.match(ended.stderr, /does not exist/)
    await assert.rejects(access(fresh.file))
  }
})
