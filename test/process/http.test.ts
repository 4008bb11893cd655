import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { JOBS } from '../../src/catalogue.ts'
import { METRICS } from '../../src/observe/metric-definitions.ts'
import { freshFolder } from '../archive/support.ts'
import { command, start, type Line, type Running } from '../support/command.ts'
import { BOTH_ENGINES, sqliteDatabase } from '../support/engines.ts'
import { samplesOf, total } from '../support/exposition.ts'
import { until } from '../support/until.ts'

const PROMTOOL = spawnSync('promtool', ['--version']).error === undefined
const NO_PROMTOOL = 'promtool is not on this machine: it comes with Debian’s package prometheus'

const SERVED = { HTTP_ENABLED: 'true', HTTP_PORT: '0' }

async function urlOf(worker: Running): Promise<string> {
  return String((await worker.line((line) => line['event'] === 'http.listening'))['url'])
}

async function got(url: string): Promise<{ readonly status: number; readonly text: string }> {
  const answer = await fetch(url)
  return { status: answer.status, text: await answer.text() }
}

const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true })
const validStatus = ajv.compile(JSON.parse(await readFile(new URL('../../docs/status.schema.json', import.meta.url), 'utf8')) as object)

interface StatusJson {
  readonly database: { readonly reachable: boolean; readonly problem: string | null }
  readonly jobs: readonly { readonly job: string; readonly lastRun: { readonly deleted: number } | null }[]
  readonly archive: { readonly enabled: boolean; readonly rows: number; readonly verification: { readonly sound: boolean } | null }
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: after a run every metric is there, and the counters say what the log and the record say`, async (t) => {
    await using database = await engine.fresh()
    const every = Object.fromEntries(JOBS.map((job) => [`${job.environment}_SCHEDULE`, '* * * * * *']))
    await using folder = await freshFolder()
    const archive = { ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: folder.path }
    await using worker = start([], { env: { DATABASE_URL: database.url, ...archive, ...SERVED, ...every } })
    const url = await urlOf(worker)
    await worker.line((line) => line['event'] === 'migrations.current')
    for (const seconds of [-5, -4, 3_600])
      await database.sql(
        `INSERT INTO sessions (session_token, user_identifier, expires_at) VALUES ('${seconds}', 'u', ${engine.moment(seconds)})`,
      )
    await database.sql(
      `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'u', 'a', 's', ${engine.moment(-100 * 86_400)})`,
    )
    if (engine.name === 'sqlite')
      await database.sql(`INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'u', 'a', 's', 'soon')`)
    for (const { name } of JOBS) await worker.line((line) => line['event'] === 'job.finished' && line['job'] === name)
    for (const name of ['purge-sessions', 'purge-audit-logs'])
      await worker.line((line) => line['event'] === 'job.finished' && line['job'] === name && Number(line['deleted']) > 0)
    assert.equal((await command(['archive', 'verify'], { env: { DATABASE_URL: database.url, ...archive } })).code, 0)
    assert.equal((await got(`${url}/readyz`)).status, 200)
    assert.deepEqual(await got(`${url}/healthz`), { status: 200, text: 'ok\n' })

    // On a machine with much to do it may not have been read in time, and is asked for again.
    const status = await until('the status has been read', async () => {
      const read = JSON.parse((await got(`${url}/status`)).text) as StatusJson
      return read.database.reachable ? read : undefined
    })
    assert.deepEqual(
      status.jobs.map(({ job }) => job),
      JOBS.map(({ name }) => name),
    )
    assert.ok(status.jobs.every(({ lastRun }) => lastRun !== null))
    assert.deepEqual([status.archive.enabled, status.archive.rows], [true, 1])

    const page = await fetch(`${url}/`)
    assert.deepEqual([page.status, page.headers.get('content-type')], [200, 'text/html; charset=utf-8'])
    assert.match(page.headers.get('content-security-policy') ?? '', /^default-src 'none'; style-src 'sha256-/)
    const html = await page.text()
    for (const { name } of JOBS) assert.match(html, new RegExp(`>${name}<`))
    assert.match(html, /Recent runs[^]*001_initial_schema/)
    const head = await fetch(`${url}/`, { method: 'HEAD' })
    assert.deepEqual([head.status, await head.text()], [200, ''])

    const text = await metricsWith(url, METRICS.archiveSound.name)
    const samples = samplesOf(text)
    for (const { name, kind } of Object.values(METRICS)) {
      assert.match(text, new RegExp(`^# TYPE ${name} ${kind}$`, 'm'))
      const sample = kind === 'histogram' ? `${name}_count` : name
      const has = [...samples.keys()].some((series) => series === sample || series.startsWith(`${sample}{`))
      // Nobody has run `partition start` here.
      assert.equal(has, !name.startsWith('mcp_maintenance_partitions_'), name)
    }
    const names = new Set([...text.matchAll(/^# TYPE (\w+) /gm)].map((match) => match[1]!))
    assert.deepEqual(
      [...names].toSorted(),
      Object.values(METRICS)
        .map(({ name }) => name)
        .toSorted(),
    )
    assert.equal(total(samples, METRICS.migrations.name, 'pending'), 0)
    assert.ok(total(samples, METRICS.migrations.name, 'applied') > 1)
    assert.equal(total(samples, METRICS.expiredRows.name), 0)
    await t.test('promtool accepts them', { skip: !PROMTOOL && NO_PROMTOOL }, () => {
      const { status: code, stderr, stdout } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })
      assert.deepEqual([code, stderr, stdout], [0, '', ''])
    })

    // Between two runs: none began since the scrape.
    const settled = await settledMetrics(url)
    worker.kill('SIGTERM')
    const { lines, code } = await worker.ended
    assert.equal(code, 0)
    for (const { name } of JOBS) {
      const finished = lines.filter((line) => line['event'] === 'job.finished' && line['job'] === name)
      const [stored] = await database.sql<{ runs: number; deleted: number }>(
        'SELECT count(*) AS runs, CAST(sum(rows_deleted) AS bigint) AS deleted FROM maintenance_runs WHERE job = $1',
        [name],
      )
      const deleted = sumOf(finished, 'deleted')
      // One that took longer than to the next second did the slot of the run after it, which is then skipped and not on record.
      const done = finished.filter((line) => line['outcome'] !== 'skipped')
      assert.deepEqual([stored!.runs, stored!.deleted], [done.length, deleted], JSON.stringify(finished))
      assert.equal(total(settled, METRICS.rowsDeleted.name, name), deleted)
      // Another run may have begun after the scrape.
      const scraped = finished.slice(0, total(settled, METRICS.runs.name, name))
      assert.ok(finished.length - scraped.length <= 1)
      assert.equal(total(settled, METRICS.archivedRows.name, name), sumOf(scraped, 'archivedRows'))
      assert.equal(total(settled, METRICS.rowsKept.name, `"${name}",reason="unreadable"`), sumOf(scraped, 'unreadable'))
    }
  })
}

function sumOf(lines: readonly Line[], field: string): number {
  return lines.reduce((sum, line) => sum + Number(line[field] ?? 0), 0)
}

/** What it serves once a metric has a value: what was known before is outdated by the next run. */
async function metricsWith(url: string, name: string): Promise<string> {
  return until(`${name} has a value`, async () => {
    const { text } = await got(`${url}/metrics`)
    return text.includes(`\n${name}{`) ? text : undefined
  })
}

/** What it served when no job was running and everything was deleted. */
async function settledMetrics(url: string): Promise<ReadonlyMap<string, number>> {
  return until('no job is running', async () => {
    const samples = samplesOf((await got(`${url}/metrics`)).text)
    return total(samples, METRICS.running.name) === 0 ? samples : undefined
  })
}

test('without its database the worker answers at once: alive, not ready and why, and without the password', async () => {
  const env = { ...SERVED, DATABASE_URL: 'postgresql://u:secret-word@127.0.0.1:1/db', DATABASE_CONNECT_TIMEOUT: '50s' }
  await using worker = start([], { env })
  const url = await urlOf(worker)
  await worker.line((line) => line['event'] === 'database.awaiting')
  const begun = performance.now()
  const pages = await Promise.all(['/healthz', '/readyz', '/metrics', '/status', '/'].map((path) => got(`${url}${path}`)))
  assert.ok(performance.now() - begun < 2_000)
  assert.deepEqual(
    pages.map(({ status }) => status),
    [200, 503, 200, 503, 503],
  )
  assert.equal(pages[1]!.text, '127.0.0.1:1 cannot be used yet: connect ECONNREFUSED 127.0.0.1:1\n')
  const status = JSON.parse(pages[3]!.text) as StatusJson
  assert.ok(validStatus(status), ajv.errorsText(validStatus.errors))
  assert.deepEqual(
    [status.database.reachable, status.database.problem],
    [false, '127.0.0.1:1 cannot be used yet: connect ECONNREFUSED 127.0.0.1:1'],
  )
  assert.match(pages[4]!.text, /The database cannot be reached[^]*127\.0\.0\.1:1 cannot be used yet[^]*At 03:00/)
  assert.doesNotMatch(pages.map(({ text }) => text).join('\n'), /secret-word/)
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0)
})

test('ready is what has migrated, and not before', async () => {
  await using database = await sqliteDatabase()
  // Somebody is migrating: the lock is held.
  const { default: BetterSqlite3 } = await import('better-sqlite3')
  const other = new BetterSqlite3(database.file)
  other.exec('BEGIN IMMEDIATE')
  await using worker = start([], { env: { ...SERVED, DATABASE_URL: database.url } })
  const url = await urlOf(worker)
  assert.equal((await got(`${url}/readyz`)).status, 503)
  other.exec('COMMIT')
  other.close()
  await worker.line((line) => line['event'] === 'migrations.current')
  await until('it is ready', async () => ((await got(`${url}/readyz`)).status === 200 ? true : undefined))
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0)
})

test('a port that is taken is a mistake of settings, told before the database is touched', async () => {
  await using database = await sqliteDatabase()
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  const { port } = taken.address() as AddressInfo
  const { code, stdout } = await start([], { env: { ...SERVED, HTTP_PORT: String(port), DATABASE_URL: database.url } }).ended
  taken.close()
  assert.equal(code, 2)
  assert.match(stdout, /"code":"HTTP_UNAVAILABLE".*another process has the port/)
  assert.equal(existsSync(database.file), false)
})

test('a client that stays connected does not keep the worker from ending', async () => {
  await using database = await sqliteDatabase()
  await using worker = start([], { env: { ...SERVED, DATABASE_URL: database.url } })
  const url = new URL(await urlOf(worker))
  await worker.line((line) => line['event'] === 'migrations.current')
  const socket = connect(Number(url.port), url.hostname)
  socket.on('error', () => {})
  socket.write('GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n')
  await new Promise((resolve) => socket.once('data', resolve))
  const begun = performance.now()
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0)
  assert.ok(performance.now() - begun < 2_000)
})

test('nothing listens unless asked, and one run never does', async () => {
  await using database = await sqliteDatabase()
  const env = { DATABASE_URL: database.url }
  await using worker = start([], { env })
  await worker.line((line) => line['event'] === 'migrations.current')
  worker.kill('SIGTERM')
  for (const ended of [await worker.ended, await start(['--run-now'], { env: { ...env, ...SERVED } }).ended]) {
    assert.equal(ended.code, 0)
    assert.doesNotMatch(ended.stdout, /http\.listening/)
  }
})
