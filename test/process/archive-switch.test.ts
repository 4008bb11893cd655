import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { idsInBucket } from '../archive/bucket-support.ts'
import { archivedRows } from '../archive/support.ts'
import { auditLogs } from '../runs/support.ts'
import { command, start, type Ended } from '../support/command.ts'
import { BOTH_ENGINES, ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { S3Server } from '../support/s3/server.ts'
import { until } from '../support/until.ts'

const BUCKET = 's3://archive/gateway'
const PURGE = ['--run-now', '--job', 'purge-audit-logs']
const SQLITE = ENGINES.find(({ name }) => name === 'sqlite')!
const EACH_SECOND = { PURGE_AUDIT_LOGS_SCHEDULE: '* * * * * *', ARCHIVE_RETENTION: 'forever' }

interface Site extends AsyncDisposable {
  readonly outside: TestDatabase
  readonly server: S3Server
  readonly folder: string
  /** For a worker that archives in the folder. */
  readonly before: Readonly<Record<string, string>>
  /** For one that archives in the bucket. */
  readonly after: Readonly<Record<string, string>>
  switched(): Promise<Ended>
}

async function site(engine: TestEngine): Promise<Site> {
  const outside = await engine.fresh()
  const server = await S3Server.start()
  const home = await mkdtemp(join(tmpdir(), 'maintenance-switch-'))
  const folder = join(home, 'archive')
  const s3 = { ARCHIVE_S3_ENDPOINT: server.url, ARCHIVE_S3_REGION: server.region, ARCHIVE_SPOOL: join(home, 'spool') }
  const env = { DATABASE_URL: outside.url, ARCHIVE_ENABLED: 'true', ...server.env }
  assert.equal((await command(['migrate'], { env })).code, 0)
  // The table must not look as if it were emptied.
  await auditLogs(outside, engine, 200, 1)
  const before = { ...env, ARCHIVE_DIRECTORY: folder }
  return {
    outside,
    server,
    folder,
    before,
    after: { ...env, ...s3, ARCHIVE_DIRECTORY: BUCKET },
    switched: () => command(['archive', 'copy', '--to', BUCKET, '--switch'], { env: { ...before, ...s3 } }),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await outside[Symbol.asyncDispose]()
      await rm(home, { recursive: true, force: true })
    },
  }
}

async function expiredIn({ outside }: Site, engine: TestEngine): Promise<number[]> {
  const rows = await outside.sql<{ id: number }>(`SELECT id FROM audit_logs WHERE timestamp < ${engine.moment(-90 * 86_400)} ORDER BY id`)
  return rows.map(({ id }) => id)
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: under a running worker the archive moves to a bucket, no row is lost or twice in it, and the worker stops archiving`, async () => {
    await using it = await site(engine)
    const { outside, server, folder } = it
    await auditLogs(outside, engine, 50, 120)
    assert.equal((await command(PURGE, { env: it.before })).code, 0)

    await using worker = start([], { env: { ...it.before, ...EACH_SECOND }, timeoutMs: 120_000 })
    const feeding = { over: false, days: 119 }
    const fed = (async () => {
      while (!feeding.over) {
        await auditLogs(outside, engine, 5, feeding.days)
        feeding.days = feeding.days === 100 ? 119 : feeding.days - 1
        await setTimeout(50)
      }
    })()
    // It archives on its own schedule.
    await until('the worker has archived', async () => ((await archivedRows(folder)).length > 60 ? true : undefined))
    const moved = await it.switched()
    assert.equal(moved.code, 0, moved.stderr)
    assert.match(
      moved.stdout,
      /\nThe archive is in s3:\/\/archive\/gateway from now on: set ARCHIVE_DIRECTORY=s3:\/\/archive\/gateway and start the worker anew\./,
    )
    const left = await archivedRows(folder)

    const refusal =
      /the archive was moved to s3:\/\/archive\/gateway at .* UTC, and ARCHIVE_DIRECTORY is still \S+\/archive, where nothing was added since\. Set ARCHIVE_DIRECTORY=s3:\/\/archive\/gateway/
    await worker.line((line) => refusal.test(JSON.stringify(line)))
    feeding.over = true
    await fed
    const waiting = await expiredIn(it, engine)
    assert.ok(waiting.length > 0)
    worker.kill('SIGTERM')
    assert.equal((await worker.ended).code, 0)
    assert.deepEqual(await archivedRows(folder), left)

    // Whoever asks is told, and nothing is noted against the archive.
    for (const words of [['archive', 'verify'], ['archive', 'list'], ['archive', 'reconcile', '--dry-run'], PURGE]) {
      const refused = await command(words, { env: it.before })
      assert.equal(refused.code, 1, words.join(' '))
      assert.match(refused.stdout + refused.stderr, refusal)
    }
    const status = await command(['status', '--check'], { env: it.before })
    assert.equal(status.code, 1)
    assert.match(status.stdout.replaceAll(/\s+/g, ' '), /the archive was moved to s3:\/\/archive\/gateway/)
    assert.deepEqual(await expiredIn(it, engine), waiting)

    const purge = await command(PURGE, { env: it.after })
    assert.equal(purge.code, 0, purge.stdout)
    assert.deepEqual(await expiredIn(it, engine), [])
    const ids = idsInBucket({ server })
    assert.equal(new Set(ids).size, ids.length)
    for (const id of [...left.map((row) => Number(row['id'])), ...waiting]) assert.ok(ids.includes(id), `row ${id}`)
    const [{ newest } = { newest: 0 }] = await outside.sql<{ newest: number }>('SELECT MAX(id) AS newest FROM audit_logs')
    const there = await outside.sql<{ id: number }>('SELECT id FROM audit_logs')
    assert.ok(ids.length + there.length >= newest, 'rows are missing from both')
    const verified = await command(['archive', 'verify'], { env: it.after })
    assert.deepEqual([verified.code, verified.stdout.startsWith('sound: ')], [0, true], verified.stdout)
  })
}

test('a switch waits for a run, and says so', async () => {
  await using it = await site(SQLITE)
  await auditLogs(it.outside, SQLITE, 5, 100)
  assert.equal((await command(PURGE, { env: it.before })).code, 0)
  const now = Date.now()
  await it.outside.sql(
    `UPDATE maintenance_leases SET holder = 'other:1 (knows holds)', expires_at = ${now + 3_000} WHERE job = 'purge-audit-logs'`,
  )
  const moved = await it.switched()
  assert.equal(moved.code, 0, moved.stderr)
  assert.match(moved.stderr, /Waiting until other:1 has finished its run\.\n/)
})

test('before migration 012 a switch is refused, and nothing is copied', async () => {
  await using it = await site(SQLITE)
  await auditLogs(it.outside, SQLITE, 5, 100)
  assert.equal((await command(PURGE, { env: it.before })).code, 0)
  await it.outside.sql('DROP TABLE maintenance_archive_places')
  const refused = await it.switched()
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /cannot be switched: a table is missing that migration 011 or 012 makes\. Nothing was copied/)
  assert.deepEqual(it.server.bucket().keys(), [])
})
