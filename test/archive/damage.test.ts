import assert from 'node:assert/strict'
import { chmod, copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { RowsManifest } from '../../src/archive/format.ts'
import { auditLogs, count, migrated, type Fixture } from '../runs/support.ts'
import { command } from '../support/command.ts'
import { canMount, onSmallDisk } from '../support/small-disk.ts'
import { BOTH_ENGINES, ENGINES, sqliteDatabase } from '../support/engines.ts'
import { filesIn, freshFolder, purged, recordOf, restored, verified, type Folder } from './support.ts'
import { ABOUT_FOLDERS, foldersOf, ON_BUCKET, settingsIn } from './where.ts'

interface Archived extends AsyncDisposable {
  readonly fixture: Fixture
  readonly folder: Folder
  /** Oldest first. */
  readonly files: readonly string[]
}

/** Four days of rows in the archive, and as many rows that have expired since. */
async function archivedDays(engine: (typeof ENGINES)[number]): Promise<Archived> {
  const fixture = await migrated(engine)
  const folder = await freshFolder()
  for (const days of [104, 103, 102, 101]) await auditLogs(fixture.outside, engine, 5, days)
  assert.equal((await purged(fixture.database, folder.path)).archived?.rows, 20)
  await auditLogs(fixture.outside, engine, 7, 100)
  return {
    fixture,
    folder,
    files: await filesIn(folder.path),
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

async function problemsOf({ fixture, folder }: Archived): Promise<readonly string[]> {
  const { sound, problems } = await verified(fixture.database, folder.path)
  assert.equal(sound, problems.length === 0)
  return problems
}

async function nothingGoes({ fixture, folder }: Archived, says: RegExp): Promise<void> {
  const result = await purged(fixture.database, folder.path)
  assert.equal(result.outcome, 'failed')
  assert.equal(result.exitCode, 1)
  assert.match(String(result.error), says)
  assert.equal(result.deleted, 0)
  assert.equal(await count(fixture.outside, 'audit_logs'), 7)
}

function manifestOf(file: string): string {
  return file.replace('.ndjson.zst', '.json')
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: a file with a flipped byte is named, and is not restored`, async () => {
    await using archived = await archivedDays(engine)
    const file = archived.files[1]!
    const path = join(archived.folder.path, file)
    const bytes = await readFile(path)
    bytes[bytes.length >> 1]! ^= 1
    await writeFile(path, bytes)
    const problems = await problemsOf(archived)
    assert.equal(problems.length, 1)
    assert.ok(problems[0]!.startsWith(`${file}: was altered`), problems[0])
    await assert.rejects(restored(archived.fixture.database, archived.folder.path), (error: Error) =>
      error.message.startsWith(`${file}: was altered`),
    )
    assert.equal((await restored(archived.fixture.database, archived.folder.path, { files: [archived.files[2]!] })).files, 1)
  })

  test(`${engine.name}: a removed file is named, whether its manifest was removed too or not`, async () => {
    await using archived = await archivedDays(engine)
    const [first, second] = archived.files as [string, string]
    await rm(join(archived.folder.path, second))
    assert.deepEqual(await problemsOf(archived), [`${second}: is missing`])
    await rm(join(archived.folder.path, manifestOf(second)))
    await rm(join(archived.folder.path, first))
    assert.deepEqual(await problemsOf(archived), [`${manifestOf(second)}: is missing`, `${first}: is missing`].toSorted())
  })

  test(`${engine.name}: an edited manifest is named, and whether it is the newest one or belongs to it`, async () => {
    await using archived = await archivedDays(engine)
    const newest = manifestOf(archived.files.at(-1)!)
    for (const file of [archived.files[1]!, archived.files.at(-1)!]) {
      const path = join(archived.folder.path, manifestOf(file))
      const text = await readFile(path, 'utf8')
      const manifest = JSON.parse(text) as RowsManifest
      await writeFile(path, `${JSON.stringify({ ...manifest, file: { ...manifest.file, rows: manifest.file.rows + 1 } }, null, 2)}\n`)
      const found = await verified(archived.fixture.database, archived.folder.path)
      assert.ok(found.problems.includes(`${manifestOf(file)}: was altered after it was written`))
      assert.deepEqual(found.newest, { manifest: newest, isWrong: manifestOf(file) === newest })
      await writeFile(path, text)
      assert.deepEqual(await problemsOf(archived), [])
    }
  })

  test(`${engine.name}: two swapped files are both named, whether their manifests were swapped too or not`, async () => {
    await using archived = await archivedDays(engine)
    const [a, b] = [archived.files[0]!, archived.files[2]!]
    const swap = async (one: string, other: string): Promise<void> => {
      const [from, to] = [join(archived.folder.path, one), join(archived.folder.path, other)]
      await rename(from, `${from}.swap`)
      await rename(to, from)
      await rename(`${from}.swap`, to)
    }
    await swap(a, b)
    assert.deepEqual(
      await problemsOf(archived),
      [`${a}: was altered after it was written`, `${b}: was altered after it was written`].toSorted(),
    )
    await swap(manifestOf(a), manifestOf(b))
    const problems = await problemsOf(archived)
    for (const file of [a, b])
      assert.ok(
        problems.some((problem) => problem.startsWith(`${manifestOf(file)}: was altered`)),
        problems.join('\n'),
      )
  })

  test(`${engine.name}: a file that is not in the chain is named`, async () => {
    await using archived = await archivedDays(engine)
    const file = archived.files[0]!
    const stray = file.replace(/\d+-\d+\.ndjson/, '1-0.ndjson')
    await copyFile(join(archived.folder.path, file), join(archived.folder.path, stray))
    await copyFile(join(archived.folder.path, manifestOf(file)), join(archived.folder.path, manifestOf(stray)))
    assert.deepEqual(await problemsOf(archived), [`${manifestOf(stray)}: is not in the chain, so nothing refers to it`])
  })

  test(`${engine.name}: an empty folder in place of the archive fails the next run before anything is deleted`, async () => {
    await using archived = await archivedDays(engine)
    await rename(archived.folder.path, `${archived.folder.path}-away`)
    await nothingGoes(archived, /is missing, and the database says that it is the newest.*Nothing was deleted.*the volume/s)
    await mkdir(archived.folder.path)
    await nothingGoes(archived, /is missing, and the database says that it is the newest/)
    await rm(archived.folder.path, { recursive: true })
    await rename(`${archived.folder.path}-away`, archived.folder.path)
    assert.equal((await purged(archived.fixture.database, archived.folder.path)).deleted, 7)
  })

  test(`${engine.name}: if the newest file is removed with its manifest, the next run fails before anything is deleted`, async () => {
    await using archived = await archivedDays(engine)
    const { head } = await recordOf(archived.fixture.database).load(archived.fixture.database)
    const newest = head!.manifest.replace('.json', '.ndjson.zst')
    await rm(join(archived.folder.path, newest))
    await nothingGoes(archived, /\.ndjson\.zst is missing, and the database says that it is the newest/)
    await rm(join(archived.folder.path, head!.manifest))
    await nothingGoes(archived, /\.json is missing, and the database says that it is the newest/)
    assert.ok((await problemsOf(archived)).includes(`${head!.manifest}: is missing`))
  })

  test(`${engine.name}: the archive of another database, or of this one before it was restored, fails the run`, async () => {
    await using archived = await archivedDays(engine)
    await archived.fixture.outside.sql('DELETE FROM maintenance_archives')
    await nothingGoes(archived, /files in .* are of runs that this database knows nothing of/)
  })

  test(`${engine.name}: a folder that cannot be written fails the job before anything is deleted`, { skip: ABOUT_FOLDERS }, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    await auditLogs(fixture.outside, engine, 7, 100)
    const file = join(folder.path, 'a-file')
    await writeFile(file, '')
    const places = [file, join(file, 'below')]
    // For root nothing is read-only.
    if (process.getuid?.() !== 0) {
      const closed = join(folder.path, 'closed')
      await mkdir(closed)
      await chmod(closed, 0o500)
      places.push(closed)
    }
    for (const place of places) {
      const result = await purged(fixture.database, place)
      assert.equal(result.outcome, 'failed')
      assert.match(String(result.error), /the archive: .* cannot be made.*Rows that are not in the archive were not deleted/)
      assert.equal(await count(fixture.outside, 'audit_logs'), 7)
    }
  })
}

test('a full disk fails the job before anything is deleted, and the job continues once there is space', async (context) => {
  await using folder = await freshFolder()
  const disk = foldersOf(folder.path).at(-1)!
  if (!(await canMount(disk))) return context.skip('a file system cannot be mounted here: unshare and user namespaces are needed')
  await using outside = await sqliteDatabase()
  const env = { DATABASE_URL: outside.url, ARCHIVE_ENABLED: 'true', ...settingsIn(folder.path) }
  assert.equal((await command(['migrate'], { env })).code, 0)
  await outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, output, timestamp)
     WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2000) SELECT 't', 'u', 'a', 's', hex(randomblob(100)), datetime('now', '-100 days') FROM s`,
  )
  const words = ['--run-now', '--job', 'purge-audit-logs', '--accept-empty-table']
  const full = await onSmallDisk(disk, words, env)
  // A spool is measured before anything is written to it.
  const says = ON_BUCKET ? / free, and .* are needed/ : /no space left on device/
  assert.match(full, new RegExp(`"outcome":"failed".*${says.source}.*were not deleted`))
  assert.equal(await count(outside, 'audit_logs'), 2_000)
  const roomy = await command(words, { env })
  assert.equal(roomy.code, 0, roomy.stdout)
  assert.equal(await count(outside, 'audit_logs'), 0)
})
