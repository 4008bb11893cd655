import assert from 'node:assert/strict'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { sha256 as digestOf } from '../../src/archive/format.ts'
import type { Database } from '../../src/database/database.ts'
import { MaintenanceError } from '../../src/errors.ts'
import { DAY } from '../../src/time/clock.ts'
import { auditLogs, count, intercepted } from '../runs/support.ts'
import { BOTH_ENGINES, type TestEngine } from '../support/engines.ts'
import { forgedRows, manifestAt, manifestOf, plant } from './forge.ts'
import { reconciled, restorable, type Restorable } from './restorable.ts'
import { archivedOnce, archivedRows, filesIn, freshFolder, idsOf, purged, recordOf, restored, verified, type Folder } from './support.ts'
import { spoolIn } from './where.ts'

interface Stage extends AsyncDisposable {
  readonly engine: TestEngine
  readonly base: Restorable
  readonly folder: Folder
  /** Adds so many expired rows, the newest of them so many days old. */
  add(rows: number, days: number): Promise<void>
  purge(keptMs?: number): Promise<void>
  readonly ids: number[]
}

function positionOf(manifest: string): number {
  return Number(/(\d+)\.json$/.exec(manifest)![1])
}

async function staged(engine: TestEngine): Promise<Stage> {
  const base = await restorable(engine)
  const folder = await freshFolder()
  const ids: number[] = []
  return {
    engine,
    base,
    folder,
    ids,
    async add(rows, days) {
      const before = await idsOf(base.outside)
      await auditLogs(base.outside, engine, rows, days)
      // A restored database allocates the same ids again, so each row gets an id of its own here.
      const shift = (ids.length + 1) * 10_000
      const fresh = (await idsOf(base.outside)).filter((id) => !before.includes(id)).map((id) => id + shift)
      await base.outside.sql(`UPDATE audit_logs SET id = id + ${shift} WHERE id IN (${fresh.map((id) => id - shift).join(', ')})`)
      assert.ok(fresh.length === rows && !fresh.some((id) => ids.includes(id)))
      ids.push(...fresh)
    },
    async purge(keptMs) {
      await forgetLease(base)
      const result = await base.with((database) =>
        purged(
          database,
          folder.path,
          keptMs === undefined ? {} : { keptMs, accepted: new Set(['empty-table', 'shorter-archive-retention'] as const) },
        ),
      )
      assert.equal(result.outcome, 'succeeded', String(result.error))
    },
    async [Symbol.asyncDispose]() {
      await base[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

async function forgetLease({ outside }: Restorable): Promise<void> {
  await outside.sql('UPDATE maintenance_leases SET expires_at = 0')
}

/** The purge stops and points to `archive reconcile`; the dry run changes nothing. */
async function stopped({ base, folder }: Stage): Promise<void> {
  const before = await filesIn(folder.path, '')
  await forgetLease(base)
  const { outcome, error, deleted } = await base.with((database) => purged(database, folder.path))
  assert.deepEqual([outcome, deleted], ['failed', 0])
  assert.match(String(error), /files in .* are of runs that this database knows nothing of.*archive reconcile --dry-run/s)
  await base.with((database) => reconciled(database, folder.path, true))
  assert.deepEqual(await filesIn(folder.path, ''), before)
}

async function becomes({ base, folder }: Stage): Promise<string[]> {
  const { files } = await base.with((database) => reconciled(database, folder.path))
  return files.map((file) => file.becomes)
}

/** Each row is in the table or in one file of an intact chain; nothing was lost. */
async function nothingLost({ base, folder, ids }: Stage, except: readonly number[] = []): Promise<void> {
  const rows = [...(await archivedRows(folder.path)).map((row) => Number(row['id'])), ...(await idsOf(base.outside))]
  const expected = ids.filter((id) => !except.includes(id))
  assert.deepEqual(
    rows.toSorted((a, b) => a - b),
    expected.toSorted((a, b) => a - b),
  )
  const { problems, rows: held, files } = await base.with((database) => verified(database, folder.path))
  assert.deepEqual(problems, [])
  const [counts] = await base.outside.sql<{ rows: number; files: number }>('SELECT "rows", files FROM maintenance_archives')
  assert.deepEqual([counts?.rows, counts?.files], [held, files])
}

/** Purges once more; then each row that was ever added is in exactly one file. */
async function goesOn(stage: Stage, keptMs?: number): Promise<void> {
  await stage.purge(keptMs)
  await stage.base.with((database) => archivedOnce(database, stage.base.outside, stage.folder.path, stage.ids))
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: after a restore from a backup, files whose rows are all in the database again are set aside`, async () => {
    await using stage = await staged(engine)
    await stage.add(40, 104)
    const restore = await stage.base.backUp()
    await stage.purge()
    const files = await filesIn(stage.folder.path)
    await restore()
    await stopped(stage)
    assert.deepEqual(await becomes(stage), ['set aside'])
    await nothingLost(stage)
    assert.deepEqual(
      await filesIn(stage.folder.path),
      files.map((file) => `reconciled/${file}`),
    )
    assert.deepEqual(await becomes(stage), [])
    await goesOn(stage)
  })

  test(`${engine.name}: rows are found even if their files were written under another time zone, and are not archived twice`, async () => {
    await using stage = await staged(engine)
    const [eastmost, westmost] = ['Etc/GMT-14', 'Etc/GMT+12']
    // In the last of the 26 hours between the zones, and long before.
    await stage.add(20, 89.42)
    await stage.add(20, 104)
    const restore = await stage.base.backUp()
    const purges = async (): Promise<void> => {
      await forgetLease(stage.base)
      const { outcome, error } = await stage.base.with((database) => purged(database, stage.folder.path), eastmost)
      assert.equal(outcome, 'succeeded', String(error))
    }
    await purges()
    assert.deepEqual(await idsOf(stage.base.outside), [])
    await restore()
    const { files } = await stage.base.with((database) => reconciled(database, stage.folder.path), westmost)
    assert.deepEqual(
      files.map((file) => file.becomes),
      files.map(() => 'set aside'),
    )
    await nothingLost(stage)
    await purges()
    await stage.base.with((database) => archivedOnce(database, stage.base.outside, stage.folder.path, stage.ids))
  })

  test(`${engine.name}: files with the only copies of rows join the chain unchanged`, async () => {
    await using stage = await staged(engine)
    await stage.add(10, 110)
    await stage.purge()
    const restore = await stage.base.backUp()
    await stage.add(40, 104)
    await stage.purge()
    await stage.add(40, 102)
    await stage.purge()
    await restore()
    await stopped(stage)
    assert.deepEqual(await becomes(stage), ['joined', 'joined'])
    await nothingLost(stage)
    assert.deepEqual(await filesIn(stage.folder.path).then((names) => names.filter((name) => name.startsWith('reconciled/'))), [])
    assert.equal((await stage.base.with((database) => restored(database, stage.folder.path))).inserted, 90)
    await stage.base.outside.sql('DROP TABLE audit_logs_restored')
    await stage.add(5, 99)
    await goesOn(stage)
  })

  test(`${engine.name}: if some rows of a file are in the database, the others are written to a new file and the old one is set aside`, async () => {
    await using stage = await staged(engine)
    await stage.add(10, 110)
    await stage.purge()
    await stage.add(30, 104)
    const restore = await stage.base.backUp()
    await stage.add(20, 104)
    await stage.add(20, 103)
    await stage.purge()
    await restore()
    await stopped(stage)
    assert.deepEqual(await becomes(stage), ['rewritten', 'joined'])
    await nothingLost(stage)
    assert.equal(await count(stage.base.outside, 'audit_logs'), 30)
    await goesOn(stage)
  })

  test(`${engine.name}: a row that has changed since it was archived counts as another row, and both versions are kept`, async () => {
    await using stage = await staged(engine)
    await stage.add(10, 104)
    const restore = await stage.base.backUp()
    await stage.purge()
    await restore()
    const changed = stage.ids[3]!
    await stage.base.outside.sql(`UPDATE audit_logs SET status = 'changed' WHERE id = ${changed}`)
    assert.deepEqual(await becomes(stage), ['rewritten'])
    await stage.purge()
    const rows = (await archivedRows(stage.folder.path)).filter((row) => row['id'] === changed)
    assert.deepEqual(rows.map((row) => String(row['status'])).toSorted(), ['changed', 'success'])
    assert.equal((await archivedRows(stage.folder.path)).length, 11)
  })

  test(`${engine.name}: a backup that was taken while a part was pending is reconciled, also if the part was rewritten after the backup`, async () => {
    for (const rewritten of [false, true]) {
      await using stage = await staged(engine)
      await stage.add(10, 110)
      await stage.purge()
      await stage.add(2_000, 101)
      const dies = async (database: Database, when: (left: number) => boolean): Promise<void> => {
        const dying = intercepted(database, async (_, transact) => {
          const value = await transact()
          if (when((await idsOf(stage.base.outside)).length)) throw new Error('the power is gone')
          return value
        })
        assert.equal((await purged(dying, stage.folder.path)).outcome, 'failed')
      }
      await stage.base.with((database) => dies(database, (left) => left < 2_000))
      const left = (await idsOf(stage.base.outside)).length
      assert.ok(left > 0 && left < 2_000)
      const restore = await stage.base.backUp()
      await forgetLease(stage.base)
      if (rewritten) {
        // Interrupted when the step names the new files, while the old ones still exist.
        const { step } = await stage.base.with((database) => recordOf(database).load(database))
        await stage.base.with(async (database) => {
          const dying = intercepted(database, async (_, transact) => {
            const value = await transact()
            const now = (await recordOf(database).load(database)).step
            if (now !== undefined && now.files[0]?.manifest !== step!.files[0]?.manifest) throw new Error('the power is gone')
            return value
          })
          assert.match(String((await purged(dying, stage.folder.path)).error), /the power is gone/)
        })
      } else await stage.purge()
      await restore()
      await stopped(stage)
      await becomes(stage)
      await nothingLost(stage)
      await goesOn(stage)
    }
  })

  test(`${engine.name}: a removal of expired files since the backup joins the chain, and the removed files are not reported missing`, async () => {
    await using stage = await staged(engine)
    await stage.add(10, 130)
    await stage.purge()
    await stage.add(10, 120)
    await stage.purge()
    const restore = await stage.base.backUp()
    await stage.add(10, 100)
    await stage.purge(110 * DAY)
    await restore()
    await stopped(stage)
    assert.deepEqual(await becomes(stage), ['joined'])
    await nothingLost(stage, stage.ids.slice(0, 20))
    await stage.add(10, 99)
    await stage.purge(110 * DAY)
    await nothingLost(stage, stage.ids.slice(0, 20))
  })

  test(`${engine.name}: a planted removal removes no file`, async () => {
    await using stage = await staged(engine)
    await stage.add(10, 110)
    await stage.purge()
    await stage.add(10, 104)
    await stage.purge()
    const before = await filesIn(stage.folder.path, '')
    const links = await Promise.all(
      before
        .filter((path) => path.endsWith('.json'))
        .map(async (manifest) => ({ manifest, sha256: digestOf(await readFile(join(stage.folder.path, manifest))) })),
    )
    const newest = links.toSorted((a, b) => positionOf(a.manifest) - positionOf(b.manifest)).at(-1)!
    const { file: _, ...rest } = JSON.parse(await readFile(join(stage.folder.path, newest.manifest), 'utf8')) as Record<string, unknown>
    const position = positionOf(newest.manifest) + 1
    const manifest = newest.manifest.replace(/\d+\.json$/, `${position}.json`)
    await writeFile(
      join(stage.folder.path, manifest),
      JSON.stringify({ ...rest, kind: 'removal', manifest, position, previous: newest, removed: links }, null, 2),
    )
    await assert.rejects(
      stage.base.with((database) => reconciled(database, stage.folder.path)),
      /says that \d+ files were removed that are still there/,
    )
    assert.deepEqual(await filesIn(stage.folder.path, ''), [...before, manifest].toSorted())
    await rm(join(stage.folder.path, manifest))
    await nothingLost(stage)
    await goesOn(stage)
  })

  test(`${engine.name}: a second restore, from before a reconciliation, is reconciled too`, async () => {
    await using stage = await staged(engine)
    await stage.add(10, 110)
    await stage.purge()
    await stage.add(30, 104)
    const older = await stage.base.backUp()
    await stage.add(20, 104)
    await stage.add(20, 103)
    await stage.purge()
    await older()
    assert.deepEqual(await becomes(stage), ['rewritten', 'joined'])
    await stage.purge()
    await older()
    await stopped(stage)
    await becomes(stage)
    await nothingLost(stage)
    await goesOn(stage)
  })

  test(`${engine.name}: damaged or forged files, and those of another database, are refused, and nothing is changed`, async () => {
    await using stage = await staged(engine)
    await stage.add(10, 110)
    await stage.purge()
    const restore = await stage.base.backUp()
    await stage.add(10, 104)
    await stage.purge()
    await stage.add(10, 102)
    await stage.purge()
    await restore()
    const { path: root } = stage.folder
    const [, second = '', third = ''] = await filesIn(root)
    const before = await filesIn(root, '')
    const refuses = async (says: RegExp): Promise<void> => {
      const names = await filesIn(root, '')
      await assert.rejects(
        stage.base.with((database) => reconciled(database, root)),
        (error) =>
          error instanceof MaintenanceError &&
          error.code === 'ARCHIVE_DAMAGED' &&
          says.test(error.message) &&
          /Nothing was changed/.test(error.message),
      )
      assert.deepEqual(await filesIn(root, ''), names)
    }
    const alter = async (path: string, text: string | Buffer): Promise<() => Promise<void>> => {
      const kept = await readFile(join(root, path))
      await writeFile(join(root, path), text)
      return () => writeFile(join(root, path), kept)
    }
    const mendRows = await alter(second, (await forgedRows(join(root, second))).bytes)
    await refuses(new RegExp(`${second}: was altered after it was written`))
    await mendRows()
    const mendManifest = await alter(
      manifestOf(second),
      (await readFile(join(root, manifestOf(second)), 'utf8')).replace('"rows": 10', '"rows": 9'),
    )
    await refuses(new RegExp(`${manifestOf(third)}: does not follow from ${manifestOf(second)} as it is`))
    await mendManifest()

    const like = await manifestAt(root, manifestOf(third))
    const { lines } = await forgedRows(join(root, third))
    const forged = third.replace(/\d+-\d+\.ndjson/, '99-99.ndjson')
    const sha256 = 'f'.repeat(64)
    for (const [changes, says] of [
      [{ previous: null }, 'begins a chain of its own'],
      [{ previous: { ...like.previous!, sha256 } }, 'does not follow from'],
      [{ previous: { manifest: 'audit_logs/2020/01/01/1-1.json', sha256 } }, 'follows from nothing that this database knows'],
      [{ source: { ...like.source, engine: 'oracle' } }, 'was written for the database'],
    ] as const) {
      await plant(root, forged, { lines, like, run: 99, ...(changes as Partial<typeof like>) })
      await refuses(new RegExp(`${manifestOf(forged)}: ${says}`))
    }
    await rm(join(root, forged))
    await rm(join(root, manifestOf(forged)))
    assert.deepEqual(await filesIn(root, ''), before)
    assert.deepEqual(await becomes(stage), ['joined', 'joined'])
    await nothingLost(stage)
  })

  test(`${engine.name}: if a link is missing, the others join the chain, and it is named until it is restored`, async () => {
    await using stage = await staged(engine)
    await stage.add(10, 110)
    await stage.purge()
    const restore = await stage.base.backUp()
    await stage.add(10, 104)
    await stage.purge()
    await stage.add(10, 102)
    await stage.purge()
    await restore()
    const { path: root } = stage.folder
    const [, second = ''] = await filesIn(root)
    for (const each of [second, manifestOf(second)]) await rename(join(root, each), join(root, `${each.replaceAll('/', '_')}.kept`))
    const { missing, files } = await stage.base.with((database) => reconciled(database, root))
    assert.deepEqual([missing, files.map(({ becomes: what }) => what)], [[`${manifestOf(second)}: is missing`], ['joined']])
    await stage.purge()
    assert.deepEqual((await stage.base.with((database) => verified(database, root))).problems, [`${manifestOf(second)}: is missing`])
    for (const each of [second, manifestOf(second)]) await rename(join(root, `${each.replaceAll('/', '_')}.kept`), join(root, each))
    assert.deepEqual((await stage.base.with((database) => verified(database, root))).problems, [])
  })

  // SQLite databases are named by their files only, and two may have the same name.
  test(
    `${engine.name}: the archive of another database is not taken for that of an empty one`,
    { skip: engine.name === 'sqlite' },
    async () => {
      await using stage = await staged(engine)
      await stage.add(10, 110)
      await stage.purge()
      await using other = await staged(engine)
      await assert.rejects(
        other.base.with((database) => reconciled(database, stage.folder.path)),
        /was written for the database .* and this one is/,
      )
    },
  )

  test(`${engine.name}: a reconciliation that is interrupted at any transaction is completed by the next reconciliation or purge`, async () => {
    for (const by of ['itself', 'purge'] as const) {
      // Its transactions: the drafts are noted, the lease is confirmed, the step becomes pending, and it is settled.
      for (let number = 1; number <= 4; number += 1) {
        for (const side of engine.name === 'sqlite' ? (['before', 'behind'] as const) : (['behind'] as const)) {
          const began = number > 3 || (number === 3 && side === 'behind')
          // Until then nothing has changed: the purge still stops and asks for a reconciliation.
          if (by === 'purge' && !began) continue
          await using stage = await staged(engine)
          await stage.add(10, 110)
          await stage.purge()
          await stage.add(30, 104)
          const restore = await stage.base.backUp()
          await stage.add(20, 104)
          await stage.purge()
          await restore()
          await stage.base.with(async (database) => {
            const dying = intercepted(database, async (each, transact) => {
              if (each === number && side === 'before') throw new Error('the power is gone')
              const value = await transact()
              if (each === number && side === 'behind') throw new Error('the power is gone')
              return value
            })
            await assert.rejects(reconciled(dying, stage.folder.path), /the power is gone/)
          })
          await rm(spoolIn(stage.folder.path), { recursive: true })
          if (!began && number > 1) {
            // Nothing has changed but that files were published: the purge discards them, and asks for a reconciliation.
            await forgetLease(stage.base)
            const { error } = await stage.base.with((database) => purged(database, stage.folder.path))
            assert.match(String(error), /this database knows nothing of.*archive reconcile --dry-run/s)
            await stopped(stage)
          }
          if (by === 'itself') {
            await becomes(stage)
            await nothingLost(stage)
          }
          await goesOn(stage)
        }
      }
    }
  })
}
