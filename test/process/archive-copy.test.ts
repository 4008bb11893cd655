import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { filesIn, freshFolder } from '../archive/support.ts'
import { auditLogs } from '../runs/support.ts'
import { command, start } from '../support/command.ts'
import { BOTH_ENGINES, ENGINES, sqliteDatabase, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { S3Server } from '../support/s3/server.ts'
import { canMount, onSmallDisk } from '../support/small-disk.ts'
import { until } from '../support/until.ts'

const SQLITE = ENGINES.find(({ name }) => name === 'sqlite')!
const BUCKET = 's3://archive/gateway'
const PURGE = ['--run-now', '--job', 'purge-audit-logs', '--accept-empty-table']

interface Site extends AsyncDisposable {
  readonly outside: TestDatabase
  readonly server: S3Server
  readonly folder: string
  /** For a worker that archives there. */
  at(place: string): Readonly<Record<string, string>>
  /** Every file of an archive with its content, without what is being written. */
  contents(place: string): Promise<ReadonlyMap<string, string>>
}

async function site(engine: TestEngine): Promise<Site> {
  const outside = await engine.fresh()
  const server = await S3Server.start()
  const folder = await mkdtemp(join(tmpdir(), 'maintenance-copy-'))
  const s3 = { ARCHIVE_S3_ENDPOINT: server.url, ARCHIVE_S3_REGION: server.region, ARCHIVE_SPOOL: join(folder, 'spool') }
  const env = { DATABASE_URL: outside.url, ARCHIVE_ENABLED: 'true', ...server.env }
  assert.equal((await command(['migrate'], { env })).code, 0)
  return {
    outside,
    server,
    folder,
    at: (place) => ({ ...env, ARCHIVE_DIRECTORY: place, ...(place.startsWith('s3:') ? s3 : {}) }),
    async contents(place) {
      if (place.startsWith('s3:')) {
        const prefix = `${place.slice('s3://archive/'.length)}/`
        const keys = server
          .bucket()
          .keys()
          .filter((key) => key.startsWith(prefix))
        return new Map(keys.map((key) => [key.slice(prefix.length), server.bucket().bytes(key)!.toString('hex')]))
      }
      const names = (await readdir(place, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
      const paths = names.map((entry) => join(entry.parentPath, entry.name))
      return new Map(
        await Promise.all(paths.map(async (path) => [path.slice(place.length + 1), (await readFile(path)).toString('hex')] as const)),
      )
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await outside[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The settings of a copy: those of the archive, and of the bucket if the copy lies there. */
function copying(it: Site, from: string, to: string): Readonly<Record<string, string>> {
  return { ...it.at(to), ...it.at(from) }
}

for (const engine of BOTH_ENGINES)
  for (const [from, to] of [
    ['folder', 'folder'],
    ['folder', 'bucket'],
    ['bucket', 'folder'],
    ['bucket', 'bucket'],
  ] as const) {
    test(`${engine.name}: from a ${from} to a ${to}: copied, read back, copied again, and taken over`, async () => {
      await using it = await site(engine)
      const { outside, folder } = it
      const [source, target] = [from, to].map((each, index) =>
        each === 'bucket' ? `s3://archive/gateway${index === 0 ? '' : '2'}` : join(folder, `archive-${index}`),
      ) as [string, string]
      const words = ['archive', 'copy', '--to', target]
      const env = copying(it, source, target)

      const nothing = await command(words, { env })
      assert.equal(nothing.code, 1)
      assert.match(nothing.stderr, /nothing was ever archived to .*, so nothing was copied/)

      for (const days of [104, 103, 102]) await auditLogs(outside, engine, 5, days)
      assert.equal((await command(PURGE, { env: it.at(source) })).code, 0)
      const before = await it.contents(source)
      const copied = await command(words, { env })
      assert.equal(copied.code, 0, copied.stderr)
      assert.match(
        copied.stdout,
        /^3 files copied, [\d,]+ bytes\. \S+ holds 3 files, 15 rows, [\d,]+ bytes, up to audit_logs\/\S+\.json: all were read there, and the chain is whole\n$/,
      )
      assert.match(copied.stderr, /^Writing and reading back 3 files, [\d,]+ bytes, in \S+\.\n$/)
      assert.deepEqual(await it.contents(target), before)
      assert.deepEqual(await it.contents(source), before)
      const verified = await command(['archive', 'verify'], { env: it.at(target) })
      assert.deepEqual([verified.code, verified.stdout.startsWith('sound: 3 files, 15 rows')], [0, true], verified.stdout)

      // The worker goes on at the source.
      await auditLogs(outside, engine, 5, 101)
      assert.equal((await command(PURGE, { env: it.at(source) })).code, 0)
      const again = JSON.parse((await command([...words, '--json'], { env })).stdout) as Record<string, unknown>
      assert.deepEqual([again['copied'], again['files'], again['rows'], again['removed'], again['inHand']], [1, 4, 20, 0, 0])
      const unchanged = await command(words, { env })
      assert.match(unchanged.stdout, /^0 files copied, 0 bytes\. \S+ holds 4 files, 20 rows/)
      assert.match(unchanged.stderr, /^Reading 4 files, [\d,]+ bytes, in \S+\.\n$/)

      // From now on at the copy. A worker with the old setting deletes nothing.
      await auditLogs(outside, engine, 5, 100)
      assert.equal((await command(PURGE, { env: it.at(target) })).code, 0)
      assert.match((await command(['archive', 'verify'], { env: it.at(target) })).stdout, /^sound: 5 files, 25 rows/)
      await auditLogs(outside, engine, 5, 99)
      const old = await command(PURGE, { env: it.at(source) })
      assert.equal(old.code, 1)
      assert.match(old.stdout, /is missing, and the database says that it is the newest/)
      // Nor is what it has taken for the archive.
      const stale = await command(words, { env })
      assert.equal(stale.code, 1)
      assert.match(
        stale.stderr,
        /the archive in \S+ is damaged: \S+: is missing.* Nothing was copied\. Check that ARCHIVE_DIRECTORY is the place/,
      )
    })
  }

test('a place that is the archive, lies in it, or has it inside is refused', async () => {
  await using it = await site(SQLITE)
  const archive = join(it.folder, 'archive')
  await auditLogs(it.outside, SQLITE, 5, 100)
  assert.equal((await command(PURGE, { env: it.at(archive) })).code, 0)
  const before = await it.contents(archive)
  await symlink(archive, join(it.folder, 'link'))
  for (const place of [archive, it.folder, join(archive, 'copy'), join(it.folder, 'link'), join(it.folder, 'link/copy')]) {
    const refused = await command(['archive', 'copy', '--to', place], { env: it.at(archive) })
    assert.equal(refused.code, 1, place)
    assert.match(refused.stderr, /is the same place, or one of them lies in the other\. Nothing was copied/)
  }
  for (const place of ['s3://archive/gateway', 's3://archive', 's3://archive/gateway/audit_logs/copy']) {
    const refused = await command(['archive', 'copy', '--to', place], { env: it.at(BUCKET) })
    assert.match(refused.stderr, /is the same place, or one of them lies in the other\. Nothing was copied/, place)
  }
  const missing = await command(['archive', 'copy'], { env: it.at(archive) })
  assert.deepEqual([missing.code, /archive copy needs --to PLACE/.test(missing.stderr)], [2, true])
  const scheme = await command(['archive', 'copy', '--to', 'gs://bucket'], { env: it.at(archive) })
  assert.deepEqual([scheme.code, /--to: it begins like a URL/.test(scheme.stderr)], [2, true])
  assert.deepEqual(await it.contents(archive), before)
})

test('what is said of buckets is refused beside two folders, and taken where the copy lies in one', async () => {
  await using it = await site(SQLITE)
  const archive = join(it.folder, 'archive')
  const env = copying(it, archive, BUCKET)
  const folders = await command(['archive', 'copy', '--to', join(it.folder, 'copy')], { env })
  assert.equal(folders.code, 2)
  assert.match(folders.stderr, /archive\.s3\.endpoint: it is for an archive in a bucket/)
  const purge = await command(PURGE, { env })
  assert.equal(purge.code, 2)
})

for (const to of ['folder', 'bucket'] as const) {
  test(`a ${to} with another archive, or with files that differ, is refused and left as it is`, async () => {
    await using it = await site(SQLITE)
    await using other = await SQLITE.fresh()
    const [archive, target] = [join(it.folder, 'archive'), to === 'bucket' ? BUCKET : join(it.folder, 'copy')]
    const env = copying(it, archive, target)
    const copy = () => command(['archive', 'copy', '--to', target], { env })
    await auditLogs(it.outside, SQLITE, 5, 100)
    await auditLogs(it.outside, SQLITE, 5, 101)
    assert.equal((await command(PURGE, { env: it.at(archive) })).code, 0)

    const elsewhere = { ...it.at(target), DATABASE_URL: other.url }
    assert.equal((await command(['migrate'], { env: elsewhere })).code, 0)
    await auditLogs(other, SQLITE, 7, 100)
    assert.equal((await command(PURGE, { env: elsewhere })).code, 0)
    const foreign = await it.contents(target)
    const refused = await copy()
    assert.equal(refused.code, 1)
    assert.match(
      refused.stderr,
      /holds another archive, or files that differ from this one: audit_logs\/.*Nothing was copied or changed there\. Name an empty place/,
    )
    assert.deepEqual(await it.contents(target), foreign)

    if (to === 'bucket') for (const key of it.server.bucket().keys()) it.server.bucket().remove(key, 0)
    else await rm(target, { recursive: true })
    assert.equal((await copy()).code, 0)
    // One bit, of a file of rows and of a manifest; and a file that is not of the chain.
    const right = await it.contents(target)
    const plant = (path: string, hex: string) =>
      to === 'bucket'
        ? Promise.resolve(void it.server.bucket().put(`gateway/${path}`, Buffer.from(hex, 'hex'), 0))
        : writeFile(join(target, path), hex, 'hex')
    for (const [path, hex] of right) {
      const wrong = Buffer.from(hex, 'hex')
      wrong[20]! ^= 1
      await plant(path, wrong.toString('hex'))
      const planted = await it.contents(target)
      const differs = await copy()
      assert.equal(differs.code, 1, path)
      assert.match(
        differs.stderr,
        new RegExp(`holds another archive, or files that differ from this one: ${path}: (is not what the archive has there|was altered)`),
      )
      assert.deepEqual(await it.contents(target), planted)
      await plant(path, hex)
    }
    const [stray] = [...right.keys()]
    const beyond = stray!.replace(/\d+-\d+\./, '99-99.')
    await plant(beyond, right.get(stray!)!)
    assert.match((await copy()).stderr, new RegExp(`${beyond}: is not of this archive`))
    assert.deepEqual(await it.contents(archive), right)
  })
}

test('a damaged archive is not copied: a file that is missing before anything is, one that was altered once it is met', async () => {
  await using it = await site(SQLITE)
  const [archive, target] = [join(it.folder, 'archive'), join(it.folder, 'copy')]
  const env = copying(it, archive, target)
  for (const days of [102, 101, 100]) await auditLogs(it.outside, SQLITE, 5, days)
  assert.equal((await command(PURGE, { env: it.at(archive) })).code, 0)
  const [, file] = await filesIn(archive)
  const path = join(archive, file!)
  const bytes = await readFile(path)
  const altered = Buffer.from(bytes)
  altered[20]! ^= 1
  await writeFile(path, altered)
  const met = await command(['archive', 'copy', '--to', target], { env })
  assert.equal(met.code, 1)
  assert.match(
    met.stderr,
    new RegExp(
      `the copy to ${target}: ${path} was altered after it was written\\. The archive is as it was, and the copy is not complete\\. Restore it from its backup`,
    ),
  )
  assert.ok(!(await filesIn(target)).includes(file!))
  assert.deepEqual(
    (await filesIn(target, '')).filter((name) => name.includes('.writing/')),
    [],
  )

  await rm(path)
  const before = await it.contents(target)
  const missing = await command(['archive', 'copy', '--to', target], { env })
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, new RegExp(`the archive in ${archive} is damaged: ${file}: is missing\\. Nothing was copied\\.`))
  assert.deepEqual(await it.contents(target), before)

  await writeFile(path, bytes, { mode: 0o600 })
  assert.equal((await command(['archive', 'copy', '--to', target], { env })).code, 0)
  assert.match((await command(['archive', 'verify'], { env: it.at(target) })).stdout, /^sound: 3 files/)
})

for (const to of ['folder', 'bucket'] as const) {
  test(`to a ${to}: killed again and again, the copy is completed by whoever repeats it`, async () => {
    await using it = await site(SQLITE)
    const [archive, target] = [join(it.folder, 'archive'), to === 'bucket' ? BUCKET : join(it.folder, 'copy')]
    const env = copying(it, archive, target)
    for (let days = 100; days < 160; days += 1) await auditLogs(it.outside, SQLITE, 3, days)
    assert.equal((await command(PURGE, { env: it.at(archive) })).code, 0)
    const before = await it.contents(archive)
    assert.ok(before.size >= 120)
    /** Files come and go meanwhile. */
    const sizeOf = (place: string): Promise<number> =>
      it.contents(place).then(
        ({ size }) => size,
        () => 0,
      )
    let there = 0
    let kills = 0
    for (const most of [1, 20, 50, 90, 110]) {
      await using running = start(['archive', 'copy', '--to', target], { env })
      let over = false
      void running.ended.then(() => (over = true))
      await until(`more than ${most} files are there`, async () => over || (await sizeOf(target)) > most || undefined, 2)
      running.kill('SIGKILL')
      const { signal } = await running.ended
      if (signal === 'SIGKILL') kills += 1
      // Only whole files of the archive have their names.
      const copied = [...(await it.contents(target))].filter(([path]) => !path.includes('.writing/'))
      for (const [path, hex] of copied) assert.equal(hex, before.get(path), path)
      assert.ok(copied.length >= there)
      there = copied.length
    }
    assert.ok(kills >= 2, `${kills} of 5 were killed`)
    const last = await command(['archive', 'copy', '--to', target], { env })
    assert.equal(last.code, 0, last.stderr)
    assert.deepEqual(await it.contents(target), before)
    assert.deepEqual(await it.contents(archive), before)
    assert.match((await command(['archive', 'verify'], { env: it.at(target) })).stdout, /^sound: 60 files, 180 rows/)
  })
}

test('a full destination: the copy says so, the archive stays as it is, and the copy goes on where there is room', async (context) => {
  await using folder = await freshFolder()
  if (!(await canMount(folder.path))) return context.skip('a file system cannot be mounted here: unshare and user namespaces are needed')
  await using outside = await sqliteDatabase()
  await using archive = await freshFolder()
  const env = { DATABASE_URL: outside.url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: archive.path }
  assert.equal((await command(['migrate'], { env })).code, 0)
  await outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, output, timestamp)
     WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2000) SELECT 't', 'u', 'a', 's', hex(randomblob(100)), datetime('now', '-100 days') FROM s`,
  )
  assert.equal((await command(PURGE, { env })).code, 0)
  const [file] = await filesIn(archive.path)
  const { mtimeMs, size } = await stat(join(archive.path, file!))
  assert.ok(size > 100_000)
  const full = await onSmallDisk(folder.path, ['archive', 'copy', '--to', folder.path], env)
  assert.match(
    full,
    /the copy to \S+: .*no space left on device.* The archive is as it was, and the copy is not complete\. .*free space; then copy again, which goes on from there/,
  )
  assert.deepEqual((await stat(join(archive.path, file!))).mtimeMs, mtimeMs)
  const roomy = await command(['archive', 'copy', '--to', folder.path], { env })
  assert.equal(roomy.code, 0, roomy.stderr)
})
