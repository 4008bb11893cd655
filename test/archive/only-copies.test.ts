import assert from 'node:assert/strict'
import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Step } from '../../src/archive/step.ts'
import { MaintenanceError } from '../../src/errors.ts'
import { auditLogs, intercepted, migrated, type Fixture } from '../runs/support.ts'
import { BOTH_ENGINES, type TestEngine } from '../support/engines.ts'
import { manifestAt, manifestOf, sumOf } from './forge.ts'
import { reconciled } from './restorable.ts'
import { archivedOnce, archivedRows, filesIn, freshFolder, idsOf, purged, recordOf, restored, verified, type Folder } from './support.ts'
import { foldersOf } from './where.ts'

interface Stage extends AsyncDisposable {
  readonly fixture: Fixture
  readonly folder: Folder
  readonly ids: readonly number[]
  /** The files of rows in the chain, oldest first. */
  readonly files: readonly string[]
}

/** An archive of three files whose rows exist nowhere else. */
async function archived(engine: TestEngine): Promise<Stage> {
  const fixture = await migrated(engine)
  const folder = await freshFolder()
  const ids: number[] = []
  for (const days of [110, 105, 100]) {
    await auditLogs(fixture.outside, engine, 20, days)
    ids.push(...(await idsOf(fixture.outside)))
    assert.equal((await purged(fixture.database, folder.path)).outcome, 'succeeded')
  }
  return {
    fixture,
    folder,
    ids,
    files: (await filesIn(folder.path)).toSorted((a, b) => positionOf(a) - positionOf(b)),
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

function positionOf(path: string): number {
  return Number(/-(\d+)\./.exec(path)![1])
}

type StepFile = { readonly path: string; readonly manifest: string; readonly sha256: string; readonly rows: number }

async function stepFile({ folder }: Stage, path: string): Promise<StepFile> {
  const manifest = manifestOf(path)
  return {
    path,
    manifest,
    sha256: sumOf(await readFile(join(folder.path, manifest))),
    rows: (await manifestAt(folder.path, manifest)).file.rows,
  }
}

/** Writes what anybody who may write to the table could. */
async function forge({ fixture: { outside } }: Stage, forged: Readonly<Record<string, string | null>>): Promise<void> {
  const names = Object.keys(forged)
  await outside.sql(
    `UPDATE maintenance_archives SET ${names.map((name, index) => `${name} = $${index + 1}`).join(', ')}`,
    Object.values(forged),
  )
}

function stepOf(given: Partial<Record<keyof Step, unknown>>): string {
  return JSON.stringify({ run: 1, files: [], obsolete: [], growth: { rows: 0, bytes: 0, files: 0 }, newestAt: null, ...given })
}

async function contentsOf(folder: Folder): Promise<[string, string][]> {
  const names = await Promise.all(foldersOf(folder.path).map(async (root) => (await filesIn(root, '')).map((name) => join(root, name))))
  const files = names.flat().filter((name) => /\.(?:zst|json)$/.test(name))
  return Promise.all(files.map(async (name) => [name, sumOf(await readFile(name))] as [string, string]))
}

/** The run fails without touching a file; `archive reconcile` resolves that, and then every row is in the archive and can be restored. */
async function stopsAndReconciles(stage: Stage, told: RegExp): Promise<void> {
  const { fixture, folder, ids } = stage
  const { database, outside } = fixture
  const before = await contentsOf(folder)
  const { outcome, error } = await purged(database, folder.path)
  assert.deepEqual([outcome, await contentsOf(folder)], ['failed', before], String(error))
  assert.ok(error instanceof MaintenanceError && error.code === 'ARCHIVE_DAMAGED', String(error))
  assert.match(error.message, told)
  assert.match(error.message, /archive reconcile/)
  await reconciled(database, folder.path, true)
  assert.deepEqual(await contentsOf(folder), before)
  await reconciled(database, folder.path)
  const next = await purged(database, folder.path)
  assert.equal(next.outcome, 'succeeded', String(next.error))
  await archivedOnce(database, outside, folder.path, ids)
  const [counts] = await outside.sql<{ rows: number; files: number }>('SELECT "rows", files FROM maintenance_archives')
  assert.deepEqual(counts, { rows: ids.length, files: (await verified(database, folder.path)).files })
  assert.equal((await restored(database, folder.path)).inserted, ids.length)
}

const NO_HEAD = { head: null, head_file: null }

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: a forged step that claims every file of the chain, with none of its rows deleted, removes no file`, async () => {
    await using stage = await archived(engine)
    const files = await Promise.all(stage.files.map((path) => stepFile(stage, path)))
    await forge(stage, { ...NO_HEAD, removed: '', step: stepOf({ files, growth: { rows: 60, bytes: 1, files: 3 } }) })
    await stopsAndReconciles(stage, /20 of its 20 rows are neither in audit_logs nor in a file that stays/)
  })

  test(`${engine.name}: a forged step that claims a file of the chain, with some of its rows not deleted, loses none of these rows`, async () => {
    await using stage = await archived(engine)
    const files = [await stepFile(stage, stage.files[2]!)]
    const { manifest, sha256 } = await stepFile(stage, stage.files[1]!)
    await forge(stage, { head: sha256, head_file: manifest, removed: '0-14', step: stepOf({ files }) })
    await stopsAndReconciles(stage, /5 of its 20 rows are neither/)
  })

  test(`${engine.name}: a forged step that replaces files of the chain by nothing, or by one of them, removes none of them`, async () => {
    await using stage = await archived(engine)
    const obsolete = [...stage.files, ...stage.files.map(manifestOf)]
    await forge(stage, { ...NO_HEAD, removed: '', step: stepOf({ obsolete }) })
    await stopsAndReconciles(stage, /20 of its 20 rows are neither/)
    await using other = await archived(engine)
    const [first = '', ...others] = other.files
    await forge(other, { ...NO_HEAD, removed: '0-19', step: stepOf({ files: [await stepFile(other, first)], obsolete: others }) })
    await stopsAndReconciles(other, /20 of its 20 rows are neither/)
  })

  test(`${engine.name}: a forged step that names a file of rows with another manifest, or a file without its manifest, removes nothing`, async () => {
    await using stage = await archived(engine)
    const [path = ''] = stage.files
    const file = await stepFile(stage, path)
    const before = await contentsOf(stage.folder)
    const elsewhere = 'audit_logs/2026/01/01/9-3.json'
    const [state] = await stage.fixture.outside.sql<{ head: string; head_file: string }>('SELECT head, head_file FROM maintenance_archives')
    await forge(stage, { ...NO_HEAD, removed: '', step: stepOf({ files: [{ ...file, manifest: elsewhere }] }) })
    const refused = await purged(stage.fixture.database, stage.folder.path)
    assert.deepEqual([refused.outcome, await contentsOf(stage.folder)], ['failed', before], String(refused.error))
    await forge(stage, { ...state!, removed: null, step: null })
    await rename(join(stage.folder.path, file.manifest), join(stage.folder.path, 'kept'))
    await forge(stage, { ...NO_HEAD, removed: '', step: stepOf({ files: [file] }) })
    const blind = await purged(stage.fixture.database, stage.folder.path)
    assert.equal(blind.outcome, 'failed')
    assert.match(String(blind.error), /has no manifest, so its rows cannot be looked up/)
    await rename(join(stage.folder.path, 'kept'), join(stage.folder.path, file.manifest))
    assert.deepEqual(await contentsOf(stage.folder), before)
  })

  test(`${engine.name}: if the head was removed or set back, no second chain is started beside the existing one`, async () => {
    await using stage = await archived(engine)
    await auditLogs(stage.fixture.outside, engine, 5, 95)
    const all = { ...stage, ids: [...stage.ids, ...(await idsOf(stage.fixture.outside))] }
    await forge(stage, NO_HEAD)
    await stopsAndReconciles(all, /files in .* are of runs that this database knows nothing of/)
    await using other = await archived(engine)
    const { manifest, sha256 } = await stepFile(other, other.files[0]!)
    await forge(other, { head: sha256, head_file: manifest })
    await stopsAndReconciles(other, /4 files in .* are of runs that this database knows nothing of/)
  })

  for (const meanwhile of ['nothing happens', 'a row is changed', 'a row is deleted'] as const)
    test(`${engine.name}: a run that dies before it deletes what it wrote loses no row if meanwhile ${meanwhile}`, async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      await auditLogs(outside, engine, 50, 100)
      const ids = await idsOf(outside)
      let begun = 0
      const dying = intercepted(database, async (_, transact) => {
        if ((await recordOf(database).load(database)).step !== undefined) begun += 1
        if (begun === 2) throw new Error('the power is gone')
        return transact()
      })
      assert.match(String((await purged(dying, folder.path)).error), /the power is gone/)
      const [file = ''] = await filesIn(folder.path)
      if (meanwhile === 'a row is changed') await outside.sql(`UPDATE audit_logs SET status = 'changed' WHERE id = $1`, [ids[7]!])
      if (meanwhile === 'a row is deleted') {
        await outside.sql('DELETE FROM audit_logs WHERE id = $1', [ids[7]!])
        const { outcome, error } = await purged(database, folder.path)
        assert.equal(outcome, 'failed')
        assert.match(String(error), /1 of its 50 rows are neither in audit_logs nor in a file that stays/)
        const { files } = await reconciled(database, folder.path)
        assert.deepEqual(
          files.map(({ path, becomes }) => [path, becomes]),
          [[file, 'rewritten']],
        )
      }
      const next = await purged(database, folder.path)
      assert.equal(next.outcome, 'succeeded', String(next.error))
      await archivedOnce(database, outside, folder.path, ids)
      if (meanwhile === 'a row is changed')
        assert.deepEqual(
          (await archivedRows(folder.path)).filter((row) => row['status'] === 'changed').map((row) => Number(row['id'])),
          [ids[7]],
        )
    })

  test(`${engine.name}: a run that dies while it discards its files is completed by the next run`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    for (const days of [100, 102]) await auditLogs(outside, engine, 20, days)
    const ids = await idsOf(outside)
    let begun = 0
    const dying = intercepted(database, async (_, transact) => {
      if ((await recordOf(database).load(database)).step !== undefined) begun += 1
      if (begun === 2) throw new Error('the power is gone')
      return transact()
    })
    assert.match(String((await purged(dying, folder.path)).error), /the power is gone/)
    const [first = '', second = ''] = await filesIn(folder.path)
    await rm(join(folder.path, first))
    await rm(join(folder.path, manifestOf(first)))
    await rm(join(folder.path, second))
    const next = await purged(database, folder.path)
    assert.equal(next.outcome, 'succeeded', String(next.error))
    await archivedOnce(database, outside, folder.path, ids)
  })
}
