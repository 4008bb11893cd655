import assert from 'node:assert/strict'
import { copyFile, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import { MaintenanceError } from '../../src/errors.ts'
import { DAY } from '../../src/time/clock.ts'
import { AUDIT_LOGS, auditLogs, intercepted, migrated, run, type Fixture } from '../runs/support.ts'
import { BOTH_ENGINES, type TestEngine } from '../support/engines.ts'
import { forgedRows, manifestAt, manifestOf, plant } from './forge.ts'
import { reconciled } from './restorable.ts'
import { archivedOnce, archivedRows, filesIn, freshFolder, idsOf, purged, recordOf, restored, verified, type Folder } from './support.ts'
import { foldersOf, spoolIn, storeIn } from './where.ts'

/** Divisible by as many days as the tests have. */
const ROWS = 2_100
/** The test intends what these accept. */
const ACCEPTED = new Set(['empty-table', 'shorter-archive-retention'] as const)

interface CutOff extends AsyncDisposable {
  readonly fixture: Fixture
  readonly folder: Folder
  readonly ids: readonly number[]
  /** The pending part: each file of rows with its manifest. */
  readonly paths: readonly string[]
  readonly drafts: string
}

/** A run that dies after it has deleted some rows of its part (`some`), or none yet. */
async function cutOff(engine: TestEngine, deleted: 'some' | 'none', days = 1): Promise<CutOff> {
  const fixture = await migrated(engine)
  const folder = await freshFolder()
  const { outside, database } = fixture
  for (let day = 0; day < days; day += 1) await auditLogs(outside, engine, ROWS / days, 100 + day)
  const ids = await idsOf(outside)
  let begun = 0
  const dying = intercepted(database, async (_, transact) => {
    if ((await recordOf(database).load(database)).step !== undefined) begun += 1
    // The first transaction confirms the lease after publishing; the second would delete.
    if (deleted === 'none' && begun === 2) throw new Error('the power is gone')
    const value = await transact()
    if ((await idsOf(outside)).length < ROWS) throw new Error('the power is gone')
    return value
  })
  assert.match(String((await purged(dying, folder.path)).error), /the power is gone/)
  const { step } = await recordOf(database).load(database)
  const left = (await idsOf(outside)).length
  assert.ok(deleted === 'none' ? left === ROWS : left > 0 && left < ROWS, String(left))
  return {
    fixture,
    folder,
    ids,
    paths: step!.files.map(({ path }) => path!),
    drafts: step!.drafts,
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** No row and no file is touched, and both the run and verify name the file. */
async function staysUntouched({ fixture, folder }: CutOff, named: string): Promise<void> {
  const { outside, database } = fixture
  const before = [await idsOf(outside), await contentsOf(folder)]
  const { outcome, error, deleted } = await purged(database, folder.path)
  assert.deepEqual([outcome, deleted], ['failed', 0], String(error))
  assert.ok(error instanceof MaintenanceError && error.code === 'ARCHIVE_DAMAGED', String(error))
  assert.ok(error.message.includes(storeIn(folder.path).absolute(named)), error.message)
  assert.deepEqual([await idsOf(outside), await contentsOf(folder)], before)
  const { sound, problems } = await verified(database, folder.path)
  assert.equal(sound, false)
  assert.ok(
    problems.some((problem) => problem.startsWith(`${named}: `)),
    problems.join('\n'),
  )
}

async function contentsOf(folder: Folder): Promise<[string, string][]> {
  const names = await Promise.all(foldersOf(folder.path).map(async (root) => (await filesIn(root, '')).map((name) => join(root, name))))
  const files = names.flat().filter((name) => /\.(zst|json)$/.test(name))
  return Promise.all(files.map(async (name) => [name, (await readFile(name)).toString('base64')] as [string, string]))
}

async function goesOn({ fixture: { database, outside }, folder, ids }: CutOff): Promise<void> {
  const { outcome, error } = await purged(database, folder.path)
  assert.equal(outcome, 'succeeded', String(error))
  await archivedOnce(database, outside, folder.path, ids)
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: while files are in hand no run without the archive deletes anything, whatever is accepted; a run with it settles them, and then one may`, async () => {
    for (const deleted of ['some', 'none'] as const) {
      await using crashed = await cutOff(engine, deleted)
      const { fixture, folder, ids, paths } = crashed
      const { outside, database } = fixture
      const before = [await idsOf(outside), await contentsOf(folder)]
      const accepted = new Set(['no-archive', 'empty-table'] as const)
      const withoutArchive = { job: AUDIT_LOGS, retentionMs: 90 * DAY }
      for (const request of [{ accepted }, { accepted: ACCEPTED }]) {
        const stopped = await run(database, { ...withoutArchive, ...request })
        assert.deepEqual([stopped.outcome, stopped.exitCode, stopped.deleted], ['stopped', 5, 0])
        assert.ok(
          String(stopped.error).includes(
            `files of the archive of audit_logs are in hand, from a run that could not finish them: ${paths[0]}`,
          ),
        )
        assert.match(
          String(stopped.error),
          /--accept-no-archive does not change that\. Set ARCHIVE_ENABLED=true .*run once: --run-now --job purge-audit-logs/,
        )
      }
      assert.deepEqual([await idsOf(outside), await contentsOf(folder)], before)

      await goesOn(crashed)
      assert.equal((await recordOf(database).load(database)).step, undefined)
      await auditLogs(outside, engine, 3, 100)
      assert.equal((await run(database, { ...withoutArchive, accepted: ACCEPTED })).outcome, 'stopped')
      assert.equal((await run(database, { ...withoutArchive, accepted })).deleted, 3)
      assert.deepEqual((await verified(database, folder.path)).problems, [])
      assert.equal((await archivedRows(folder.path)).length, ids.length)
    }
  })

  test(`${engine.name}: of very many pending files that were changed, a message names a few and counts the rest`, async () => {
    await using crashed = await cutOff(engine, 'some', 30)
    const { fixture, folder, paths } = crashed
    assert.ok(paths.length >= 30)
    for (const path of paths) await writeFile(join(folder.path, path), 'swapped')
    const { error } = await purged(fixture.database, folder.path)
    const named = paths.filter((path) => String(error).includes(path))
    assert.deepEqual(named, paths.slice(0, 5))
    assert.match(String(error), new RegExp(`; and ${paths.length - 5} more\\. They hold the only copies`))
  })

  test(`${engine.name}: files that a forged step calls drafts of its successor are not discarded if they hold the only copies of rows`, async () => {
    await using crashed = await cutOff(engine, 'some')
    const { fixture, folder } = crashed
    const { step } = await recordOf(fixture.database).load(fixture.database)
    const successors = crashed.paths.flatMap((path) => [path, manifestOf(path)])
    const forged = JSON.stringify({ ...step, files: [], successors })
    await fixture.outside.sql(`UPDATE maintenance_archives SET step = '${forged}', removed = ''`)
    const before = [await idsOf(fixture.outside), await contentsOf(folder)]
    const { outcome, error } = await purged(fixture.database, folder.path)
    assert.equal(outcome, 'failed')
    assert.match(String(error), /rows are neither in audit_logs nor in a file that stays/)
    assert.deepEqual([await idsOf(fixture.outside), await contentsOf(folder)], before)
  })

  test(`${engine.name}: a pending file that was replaced after a crash is not used, and the copies of deleted rows stay untouched`, async () => {
    await using crashed = await cutOff(engine, 'some')
    const [path = ''] = crashed.paths
    const file = join(crashed.folder.path, path)
    await copyFile(file, `${file}.kept`)
    await writeFile(file, (await forgedRows(file)).bytes)
    await staysUntouched(crashed, path)
    await rename(`${file}.kept`, file)
    assert.deepEqual((await verified(crashed.fixture.database, crashed.folder.path)).problems, [])
    await goesOn(crashed)
  })

  test(`${engine.name}: a pending file that was replaced together with its manifest is not used, even if the two agree`, async () => {
    await using crashed = await cutOff(engine, 'some')
    const [path = ''] = crashed.paths
    const kept = await contentsOf(crashed.folder)
    const { lines } = await forgedRows(join(crashed.folder.path, path))
    await plant(crashed.folder.path, path, { lines, like: await manifestAt(crashed.folder.path, manifestOf(path)) })
    await staysUntouched(crashed, manifestOf(path))
    for (const [name, bytes] of kept) await writeFile(name, Buffer.from(bytes, 'base64'))
    await goesOn(crashed)
  })

  test(`${engine.name}: verify and the next run report a missing pending file if rows of it are deleted`, async () => {
    await using crashed = await cutOff(engine, 'some')
    const [path = ''] = crashed.paths
    const file = join(crashed.folder.path, path)
    await rename(file, `${file}.kept`)
    await staysUntouched(crashed, path)
    await rename(`${file}.kept`, file)
    await goesOn(crashed)
  })

  test(`${engine.name}: a file that waits to be published is checked before it is moved, and is not moved over another file`, async () => {
    await using crashed = await cutOff(engine, 'some')
    const [path = ''] = crashed.paths
    const [file, waiting] = [join(crashed.folder.path, path), join(spoolIn(crashed.folder.path), crashed.drafts + basename(path))]
    await rename(file, waiting)
    // As after a crash before publishing.
    assert.deepEqual((await verified(crashed.fixture.database, crashed.folder.path)).problems, [])
    const kept = await readFile(waiting)
    await writeFile(waiting, (await forgedRows(waiting)).bytes)
    await staysUntouched(crashed, path)
    await writeFile(waiting, kept)
    await writeFile(file, 'another file')
    await staysUntouched(crashed, path)
    await rm(file)
    await goesOn(crashed)
  })

  test(`${engine.name}: a replaced pending file of which no row is deleted is not removed either, and the run continues once it is gone`, async () => {
    await using crashed = await cutOff(engine, 'none')
    const [path = ''] = crashed.paths
    const file = join(crashed.folder.path, path)
    await writeFile(file, (await forgedRows(file)).bytes)
    await staysUntouched(crashed, path)
    await rm(file)
    await goesOn(crashed)
  })

  test(`${engine.name}: a forged step that names files of the chain removes none of them`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 20, 104)
    await auditLogs(outside, engine, 20, 101)
    await purged(database, folder.path)
    const [file = ''] = await filesIn(folder.path)
    const manifest = manifestOf(file)
    const sha256 = (await recordOf(database).load(database)).head!.sha256
    const steps = [
      { files: [], obsolete: [file] },
      { files: [], obsolete: [file, manifest] },
      { files: [], obsolete: [], successors: [file, manifest] },
      { files: [{ path: file, manifest, sha256, rows: 20 }], obsolete: [] },
    ]
    for (const step of steps) {
      const text = JSON.stringify({ run: 1, ...step, growth: { rows: 0, bytes: 0, files: 0 }, newestAt: null })
      await outside.sql(`UPDATE maintenance_archives SET step = '${text}', removed = ''`)
      const before = await contentsOf(folder)
      const { outcome, error } = await purged(database, folder.path)
      assert.deepEqual([outcome, await contentsOf(folder)], ['failed', before], String(error))
      assert.match(
        String(error),
        new RegExp(`${file.replace(/\..*/, '')}\\.[a-z.]+: is (pending|obsolete) according to maintenance_archives.step`),
      )
    }
    await outside.sql('UPDATE maintenance_archives SET step = NULL, removed = NULL')
    assert.equal((await purged(database, folder.path)).outcome, 'succeeded')
  })

  test(`${engine.name}: archive reconcile drops a step that claims files of the chain, and looks up the rows that were pending before`, async () => {
    for (const isCutOff of [false, true]) {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      await auditLogs(outside, engine, 20, 104)
      await purged(database, folder.path)
      const [file = ''] = await filesIn(folder.path)
      const manifest = manifestOf(file)
      const { sha256 } = (await recordOf(database).load(database)).head!
      const archived = (await archivedRows(folder.path)).map((row) => Number(row['id']))
      await auditLogs(outside, engine, 2_000, 101)
      const ids = [...archived, ...(await idsOf(outside))]
      if (isCutOff) {
        // Some rows are deleted; they are in files of the step that is overwritten.
        const dying = intercepted(database, async (_, transact) => {
          const value = await transact()
          if ((await idsOf(outside)).length < 2_000) throw new Error('the power is gone')
          return value
        })
        assert.match(String((await purged(dying, folder.path)).error), /the power is gone/)
        await outside.sql('UPDATE maintenance_leases SET expires_at = 0')
      }
      const forged = { run: 1, files: [{ path: file, manifest, sha256, rows: 20 }], obsolete: [], growth: { rows: 0, bytes: 0, files: 0 } }
      for (const removed of ['', '0-9']) {
        await outside.sql(
          `UPDATE maintenance_archives SET step = '${JSON.stringify({ ...forged, newestAt: null })}', removed = '${removed}'`,
        )
        const before = await contentsOf(folder)
        const { outcome, error } = await purged(database, folder.path)
        assert.equal(outcome, 'failed')
        assert.match(String(error), /claims files of the chain.*archive reconcile --dry-run/)
        assert.doesNotMatch(String(error), /move them out|from (?:its|their|a) backup/)
        assert.ok((await reconciled(database, folder.path, true)).dropsStep)
        assert.deepEqual(await contentsOf(folder), before)
      }
      const { dropsStep, files } = await reconciled(database, folder.path)
      assert.deepEqual([dropsStep, files.some(({ becomes }) => becomes === 'rewritten')], [true, isCutOff])
      assert.ok(!(await reconciled(database, folder.path)).dropsStep)
      const next = await purged(database, folder.path)
      assert.equal(next.outcome, 'succeeded', String(next.error))
      await archivedOnce(database, outside, folder.path, ids)
    }
  })

  test(`${engine.name}: an interrupted removal is completed by the next run, also if it removes the newest file`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 20, 104)
    await auditLogs(outside, engine, 20, 101)
    await purged(database, folder.path)
    const files = await filesIn(folder.path)
    const dying = intercepted(database, async (_, transact) => {
      if ((await filesIn(folder.path)).length < files.length) throw new Error('the power is gone')
      return transact()
    })
    assert.match(String((await purged(dying, folder.path, { keptMs: 95 * DAY, accepted: ACCEPTED })).error), /the power is gone/)
    assert.notEqual((await recordOf(database).load(database)).step, undefined)
    await outside.sql('UPDATE maintenance_leases SET expires_at = 0')
    const next = await purged(database, folder.path, { keptMs: 95 * DAY, accepted: ACCEPTED })
    assert.equal(next.outcome, 'succeeded', String(next.error))
    const { problems, files: left, removedFiles } = await verified(database, folder.path)
    assert.deepEqual([problems, left, removedFiles], [[], 0, files.length])
  })

  test(`${engine.name}: an altered file is not removed when it expires, and planted files are neither removed nor counted`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 20, 104)
    await purged(database, folder.path)
    const [file = ''] = await filesIn(folder.path)
    const like = await manifestAt(folder.path, manifestOf(file))
    const lines = zstdDecompressSync(await readFile(join(folder.path, file))).toString()
    const planted = 'audit_logs/2020/01/01/1-0.ndjson.zst'
    await plant(folder.path, planted, { lines, like })
    const expire = () => purged(database, folder.path, { keptMs: 95 * DAY, accepted: ACCEPTED })
    const bytes = await readFile(join(folder.path, file))
    await writeFile(join(folder.path, file), (await forgedRows(join(folder.path, file))).bytes)
    const altered = await expire()
    // It is the newest file here, which is checked before anything else.
    assert.match(String(altered.error), new RegExp(`${file}: was altered`))
    assert.ok((await filesIn(folder.path)).includes(file))
    await writeFile(join(folder.path, file), bytes)
    assert.equal((await expire()).outcome, 'succeeded')
    assert.deepEqual(await filesIn(folder.path), [planted])
    const held = await outside.sql<{ rows: number; files: number }>('SELECT "rows", files FROM maintenance_archives')
    assert.deepEqual(held, [{ rows: 0, files: 0 }])
    const { problems } = await verified(database, folder.path)
    assert.deepEqual(problems, [`${manifestOf(planted)}: is not in the chain, so nothing refers to it`])
    assert.equal((await restored(database, folder.path)).files, 0)
  })
}
