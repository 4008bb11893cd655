import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { auditLogs, count } from '../runs/support.ts'
import { command, events } from '../support/command.ts'
import { ENGINES } from '../support/engines.ts'
import { ACCOUNT, S3Server, type S3ServerOptions } from '../support/s3/server.ts'

const SQLITE = ENGINES.find(({ name }) => name === 'sqlite')!

async function site(options: S3ServerOptions = {}) {
  const outside = await SQLITE.fresh()
  const server = await S3Server.start(options)
  const spool = await mkdtemp(join(tmpdir(), 'maintenance-spool-'))
  const env: Record<string, string> = {
    DATABASE_URL: outside.url,
    ARCHIVE_ENABLED: 'true',
    ARCHIVE_DIRECTORY: 's3://archive/gateway',
    ARCHIVE_S3_ENDPOINT: server.url,
    ARCHIVE_S3_REGION: server.region,
    ARCHIVE_SPOOL: spool,
    ...server.env,
  }
  await command(['migrate'], { env })
  await auditLogs(outside, SQLITE, 25, 100)
  return {
    outside,
    server,
    env,
    spool,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await outside[Symbol.asyncDispose]()
      await rm(spool, { recursive: true, force: true })
    },
  }
}

test('an archive in a bucket from the command line: purge, status, verify, list, restore, reconcile, doctor', async () => {
  await using it = await site()
  const { env, outside, server, spool } = it
  const run = await command(['--run-now', '--job', 'purge-audit-logs'], { env })
  assert.equal(run.code, 0, run.stdout)
  assert.deepEqual([events(run, 'job.finished')[0]!['deleted'], events(run, 'job.finished')[0]!['archivedRows']], [25, 25])
  const keys = server.bucket().keys()
  assert.ok(keys.length >= 2 && keys.every((key) => key.startsWith('gateway/audit_logs/')), keys.join())
  assert.deepEqual(await readdir(join(spool, 'audit_logs/.writing')), [])

  const sound = await command(['archive', 'verify'], { env })
  assert.match(sound.stdout, /^sound: \d files?, 25 rows, [\d,]+ bytes in s3:\/\/archive\/gateway\n$/)
  const listed = JSON.parse((await command(['archive', 'list', '--json'], { env })).stdout) as { directory: string; files: object[] }
  assert.deepEqual([listed.directory, listed.files.length], ['s3://archive/gateway', keys.length / 2])
  assert.match((await command(['archive', 'restore'], { env })).stdout, /^25 rows of \d files? restored into audit_logs_restored\n$/)
  assert.equal(await count(outside, 'audit_logs_restored'), 25)
  assert.match((await command(['archive', 'reconcile', '--dry-run'], { env })).stdout, /^nothing to reconcile/)
  const status = await command(['status'], { env })
  assert.match(status.stdout, / bucket +s3:\/\/archive\/gateway, files are kept for 365d/)
  assert.equal((await command(['doctor', '--json'], { env })).stdout.includes('archive-un'), false)

  for (const each of [run, sound, status]) assert.ok(!`${each.stdout}${each.stderr}`.includes(ACCOUNT.secretAccessKey))
  // The newest file is lost: no run deletes anything, and the status says so.
  for (const key of server.bucket().keys()) server.bucket().remove(key, 0)
  await auditLogs(outside, SQLITE, 5, 100)
  const refused = await command(['--run-now', '--job', 'purge-audit-logs'], { env })
  assert.deepEqual([refused.code, await count(outside, 'audit_logs')], [1, 5])
  assert.match((await command(['status'], { env })).stdout, /is missing, and the database says that it is the newest/)
})

test('a server that cannot be reached, and credentials that nobody knows, fail the run with exit code 1 and a sentence', async () => {
  await using it = await site()
  const { env, outside } = it
  const wrong = await command(['--run-now', '--job', 'purge-audit-logs'], { env: { ...env, AWS_SECRET_ACCESS_KEY: 'cr3t' } })
  assert.equal(wrong.code, 1)
  assert.match(wrong.stdout, /the server does not accept these credentials \(SignatureDoesNotMatch\)\./)
  assert.ok(!wrong.stdout.includes('cr3t'))
  assert.equal(await count(outside, 'audit_logs'), 25)
})

test('the folder of files that are being written lies in memory, and nobody chose it: refused before anything is deleted', async () => {
  await using it = await site()
  const { ARCHIVE_SPOOL: _, ...env } = it.env
  const run = await command(['--run-now', '--job', 'purge-audit-logs'], { env: { ...env, TMPDIR: '/dev/shm' } })
  assert.equal(run.code, 1)
  assert.match(run.stdout, /\/dev\/shm\/mcp-gateway-maintenance-\d+, lies in memory\. .* Set ARCHIVE_SPOOL to a folder on a disk/)
  assert.equal(await count(it.outside, 'audit_logs'), 25)
  await rm(`/dev/shm/mcp-gateway-maintenance-${process.getuid?.()}`, { recursive: true, force: true })
})

test('files that the bucket keeps: the status counts them', async () => {
  await using it = await site()
  const { env, outside } = it
  assert.equal((await command(['--run-now', '--job', 'purge-audit-logs'], { env })).code, 0)
  const kept =
    /1 file of the archive could not be removed from s3:\/\/archive\/gateway, because the bucket locks them or a right is missing/
  assert.doesNotMatch((await command(['status'], { env })).stdout, kept)
  await outside.sql(
    `INSERT INTO maintenance_discarded (source, path, noted_at, kept) VALUES ('audit_logs', 'audit_logs/2025/01/01/1-1.json', 1, 1)`,
  )
  assert.match((await command(['status'], { env })).stdout.replaceAll(/\s+/g, ' '), kept)
})
