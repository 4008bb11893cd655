import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, chown, link, lstat, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { auditLogs, count, migrated, type Fixture } from '../runs/support.ts'
import { command, events } from '../support/command.ts'
import { ENGINES } from '../support/engines.ts'
import { socketAt } from '../support/unusual-files.ts'
import { filesIn, freshFolder, purged, restored, verified } from './support.ts'
import { ABOUT_FOLDERS, ON_BUCKET, spoolIn } from './where.ts'

const ENGINE = ENGINES[0]!

interface Archived extends AsyncDisposable {
  readonly fixture: Fixture
  /** The archive's folder, and another beside it. */
  readonly archive: string
  readonly victim: string
  /** A file of rows, by its path below the archive's folder. */
  readonly file: string
}

async function archived(): Promise<Archived> {
  const fixture = await migrated(ENGINE)
  const folder = await freshFolder()
  const archive = join(folder.path, 'archive')
  const victim = join(folder.path, 'victim')
  await mkdir(victim)
  await auditLogs(fixture.outside, ENGINE, 5, 101)
  await purged(fixture.database, archive)
  await auditLogs(fixture.outside, ENGINE, 7, 100)
  return {
    fixture,
    archive,
    victim,
    file: (await filesIn(archive))[0]!,
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** Nothing is deleted, and `verify` names the path. */
async function stopsTheRun({ fixture, archive }: Archived, says: RegExp): Promise<void> {
  const result = await purged(fixture.database, archive)
  assert.equal(result.outcome, 'failed')
  assert.match(String(result.error), says)
  assert.match(String(result.error), /Nothing was deleted/)
  assert.equal(await count(fixture.outside, 'audit_logs'), 7)
  const { sound, problems } = await verified(fixture.database, archive)
  assert.ok(!sound)
  assert.match(problems.join('\n'), says)
}

async function isRefused(it: Archived, says: RegExp): Promise<void> {
  await stopsTheRun(it, says)
  await assert.rejects(restored(it.fixture.database, it.archive), { code: 'ARCHIVE_DAMAGED' })
}

async function isAccepted({ fixture, archive }: Archived): Promise<void> {
  const result = await purged(fixture.database, archive)
  assert.deepEqual([result.outcome, result.deleted], ['succeeded', 7], String(result.error))
  assert.deepEqual((await verified(fixture.database, archive)).problems, [])
  assert.equal((await restored(fixture.database, archive)).inserted, 12)
}

/** Replaces a folder or a file of the archive by a link to the same thing outside. */
async function movedOut({ archive, victim }: Archived, path: string): Promise<void> {
  await rename(join(archive, path), join(victim, 'moved'))
  await symlink(join(victim, 'moved'), join(archive, path))
}

test(
  'a link in place of any folder or file of the archive is refused, even if it leads to what belongs there',
  { skip: ABOUT_FOLDERS },
  async () => {
    const places = ['audit_logs', 'year', 'month', 'day', 'rows', 'manifest'] as const
    for (const place of places) {
      await using it = await archived()
      const day = dirname(it.file)
      const path = {
        audit_logs: 'audit_logs',
        year: dirname(dirname(day)),
        month: dirname(day),
        day,
        rows: it.file,
        manifest: it.file.replace('.ndjson.zst', '.json'),
      }[place]
      await movedOut(it, path)
      await isRefused(it, new RegExp(`${path}: is a symbolic link`))
    }
  },
)

test('a link in place of the folder of unfinished files is refused, and what it leads to is left alone', async () => {
  await using it = await archived()
  const writing = spoolIn(it.archive)
  await rm(writing, { recursive: true })
  for (const name of ['1-1.json', '2-9.ndjson.zst', 'data.db']) await writeFile(join(it.victim, name), 'precious')
  await symlink(it.victim, writing)
  const result = await purged(it.fixture.database, it.archive)
  assert.match(String(result.error), /audit_logs\/\.writing: is a symbolic link/)
  assert.equal(await count(it.fixture.outside, 'audit_logs'), 7)
  assert.deepEqual((await readdir(it.victim)).toSorted(), ['1-1.json', '2-9.ndjson.zst', 'data.db'])
})

test(
  'links, pipes and sockets that are in the place of no file are refused too, wherever in the archive they are',
  { skip: ABOUT_FOLDERS },
  async () => {
    const strangers: readonly (readonly [what: string, make: (path: string) => Promise<unknown>])[] = [
      ['symbolic link', (path) => symlink('/etc/passwd', path)],
      ['named pipe', (path) => promisify(execFile)('mkfifo', [path])],
    ]
    for (const [what, make] of strangers)
      for (const place of ['audit_logs', 'day'] as const) {
        await using it = await archived()
        await make(join(it.archive, place === 'day' ? dirname(it.file) : place, 'stranger'))
        await stopsTheRun(it, new RegExp(`stranger: is a ${what}, which has no place in the archive`))
      }
    await using it = await archived()
    await using socket = await socketAt(join(it.archive, 'audit_logs/s'))
    assert.ok(socket)
    await stopsTheRun(it, /audit_logs\/s: is a socket/)
  },
)

test(
  'a second hard link to a file, as backup tools make it, is accepted, and removing one leaves the other',
  { skip: ABOUT_FOLDERS },
  async () => {
    await using it = await archived()
    await link(join(it.archive, it.file), join(it.victim, 'backup'))
    const before = await readFile(join(it.victim, 'backup'))
    await isAccepted(it)
    assert.deepEqual(await readFile(join(it.victim, 'backup')), before)
  },
)

test('whatever is in the place of a new unfinished file is removed or refused, and never written through', async () => {
  await using it = await archived()
  await writeFile(join(it.victim, 'data.db'), 'precious')
  const writing = spoolIn(it.archive)
  // The names of the next run's files are predictable.
  for (let position = 1; position < 5; position += 1)
    for (const suffix of ['.json', '.ndjson.zst']) await symlink(join(it.victim, 'data.db'), join(writing, `2-${position}${suffix}`))
  await isAccepted(it)
  assert.equal(await readFile(join(it.victim, 'data.db'), 'utf8'), 'precious')
})

test('verify names files that look like those of the archive but are not, and they are never removed', async () => {
  await using it = await archived()
  const strays = ['audit_logs/notes.json', `${dirname(it.file)}/old.ndjson.zst`, 'audit_logs/backup/2020-1-1.json']
  for (const path of [...strays, 'audit_logs/README', 'audit_logs/.writing/README', 'audit_logs/.nfs0001']) {
    await mkdir(dirname(join(it.archive, path)), { recursive: true })
    await writeFile(join(it.archive, path), 'x')
  }
  assert.equal((await purged(it.fixture.database, it.archive)).outcome, 'succeeded')
  assert.deepEqual(
    (await verified(it.fixture.database, it.archive)).problems.toSorted(),
    [
      `${dirname(it.file)}/old.ndjson.zst: does not have the name of an archive file`,
      ON_BUCKET
        ? 'audit_logs/backup/2020-1-1.json: does not have the name of an archive file'
        : 'audit_logs/backup: does not have the name of an archive folder',
      'audit_logs/notes.json: does not have the name of an archive file',
    ].toSorted(),
  )
  assert.ok((await lstat(join(it.archive, 'audit_logs/.writing/README'))).isFile())
})

test('the root of the archive may be a link', { skip: ABOUT_FOLDERS }, async () => {
  await using it = await archived()
  await symlink(it.archive, join(it.victim, 'link'))
  await isAccepted({ ...it, archive: join(it.victim, 'link') })
})

test('a root that everybody may write to causes one warning, and is used', { skip: ABOUT_FOLDERS }, async () => {
  await using it = await archived()
  await chmod(it.archive, 0o777)
  const env = { DATABASE_URL: it.fixture.outside.url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: it.archive }
  const run = await command(['--run-now', '--job', 'purge-audit-logs'], { env })
  assert.equal(run.code, 0, run.stdout)
  const warnings = run.lines.filter(({ msg }) => /everybody may write to the archive's folder/.test(String(msg)))
  assert.equal(warnings.length, 1, run.stdout)
  const verify = await command(['archive', 'verify'], { env })
  assert.equal(verify.stderr.match(/everybody may write to/g)?.length, 1)
  assert.equal(verify.code, 0)
  await chmod(it.archive, 0o775)
  assert.equal(events(await command(['--run-now', '--job', 'purge-audit-logs'], { env }), 'job.warning').length, 0)
})

function needsRoot(context: TestContext): boolean {
  if (process.getuid?.() === 0) return false
  context.skip('only root can give a file to somebody else')
  return true
}

test('a folder or file of another user is refused only if everybody may write to it', { skip: ABOUT_FOLDERS }, async (context) => {
  if (needsRoot(context)) return
  for (const place of ['table', 'writing', 'day', 'rows', 'manifest'] as const) {
    await using it = await archived()
    const path = {
      table: 'audit_logs',
      writing: 'audit_logs/.writing',
      day: dirname(it.file),
      rows: it.file,
      manifest: it.file.replace('.ndjson.zst', '.json'),
    }[place]
    const full = join(it.archive, path)
    const { mode } = await lstat(full)
    await chown(full, 1_234, 1_234)
    assert.deepEqual((await verified(it.fixture.database, it.archive)).problems, [])
    await chmod(full, mode | 0o002)
    const result = await purged(it.fixture.database, it.archive)
    assert.match(String(result.error), new RegExp(`${path}: belongs to uid 1234, and everybody may write to it`))
    assert.equal(await count(it.fixture.outside, 'audit_logs'), 7)
    // A run does not read the spool's folder unless something is pending.
    if (place !== 'writing') assert.match((await verified(it.fixture.database, it.archive)).problems.join('\n'), /belongs to uid 1234/)
    await chmod(full, mode)
    await isAccepted(it)
  }
})

/**
 * What `SetVolumeOwnership` of Kubernetes does to everything on a mount with fsGroup: sets the group and its rw, and x and setgid for
 * folders.
 */
async function asTheKubeletLeavesIt(path: string, group: number): Promise<void> {
  const stats = await lstat(path)
  await chown(path, stats.uid, group)
  await chmod(path, (stats.mode & 0o7777) | (stats.isDirectory() ? 0o2770 : 0o660))
  if (stats.isDirectory()) for (const name of await readdir(path)) await asTheKubeletLeavesIt(join(path, name), group)
}

test(
  'a mount as the kubelet leaves it is accepted: owned by root, with fsGroup, setgid and lost+found, after a restart and as another user',
  { skip: ABOUT_FOLDERS },
  async (context) => {
    if (needsRoot(context)) return
    const [group, first, second] = [2_000, 1_001, 1_002]
    await using outside = await ENGINE.fresh()
    await using folder = await freshFolder()
    const mount = join(folder.path, 'mount')
    await mkdir(mount, { mode: 0o755 })
    await mkdir(join(mount, 'lost+found'), { mode: 0o700 })
    await chmod(folder.path, 0o755)
    const database = outside.url.replace(/^sqlite:\/\/\//, '')
    const env = { DATABASE_URL: outside.url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: mount }
    assert.equal((await command(['migrate'], { env })).code, 0)
    for (const [uid, rows] of [
      [first, 5],
      [first, 6],
      [second, 7],
    ] as const) {
      await auditLogs(outside, ENGINE, rows, 100)
      // The database belongs to the user that runs the worker.
      await chmod(dirname(database), 0o755)
      await promisify(execFile)('chown', ['-R', `${uid}:${group}`, dirname(database)])
      await asTheKubeletLeavesIt(mount, group)
      const run = await command(['--run-now', '--job', 'purge-audit-logs', '--accept-empty-table'], { env, uid, gid: group })
      assert.equal(run.code, 0, run.stdout)
      assert.equal(events(run, 'job.warning').length, 0, run.stdout)
      const verify = await command(['archive', 'verify'], { env, uid, gid: group })
      assert.equal(verify.code, 0, verify.stdout + verify.stderr)
    }
    assert.equal(await count(outside, 'audit_logs'), 0)
    assert.equal((await lstat(mount)).mode & 0o7777, 0o2775)
  },
)
