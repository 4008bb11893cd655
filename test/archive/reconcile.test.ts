import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sha256 as digestOf, type RowsManifest } from '../../src/archive/format.ts'
import { storeAt } from '../../src/archive/store/store-at.ts'
import type { Database } from '../../src/database/database.ts'
import { MaintenanceError } from '../../src/errors.ts'
import { DAY } from '../../src/time/clock.ts'
import { count, intercepted } from '../runs/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { purgedTo, verifiedAt } from './bucket-support.ts'
import { forgedFile, forgedFrom, manifestOf, manifestTextOf } from './forge.ts'
import { reconciledAt } from './restorable.ts'
import { archivedOnceAt, contentsOf, rowFilesAt, rowsAt, SITES } from './sites.ts'
import { becomes, forgetLease, goesOn, nothingLost, stagedAt, stopped } from './stage.ts'
import { idsOf, recordOf, restored } from './support.ts'

function positionOf(manifest: string): number {
  return Number(/(\d+)\.json$/.exec(manifest)![1])
}

for (const { kind, fresh } of SITES)
  for (const engine of BOTH_ENGINES) {
    test(`${engine.name}, a ${kind}: after a restore from a backup, files whose rows are all in the database again are set aside`, async () => {
      await using stage = await stagedAt(engine, await fresh())
      await stage.add(40, 104)
      const restore = await stage.base.backUp()
      await stage.purge()
      const before = await contentsOf(stage.site)
      await restore()
      await stopped(stage)
      assert.deepEqual(await becomes(stage), ['set aside'])
      await nothingLost(stage)
      const after = await contentsOf(stage.site)
      for (const [path, content] of Object.entries(before))
        assert.deepEqual([after[path], after[`reconciled/${path}`]], [undefined, content])
      assert.deepEqual(await becomes(stage), [])
      await goesOn(stage)
    })

    test(`${engine.name}, a ${kind}: rows are found even if their files were written under another time zone, and are not archived twice`, async () => {
      await using stage = await stagedAt(engine, await fresh())
      const [eastmost, westmost] = ['Etc/GMT-14', 'Etc/GMT+12']
      // In the last of the 26 hours between the zones, and long before.
      await stage.add(20, 89.42)
      await stage.add(20, 104)
      const restore = await stage.base.backUp()
      const purges = async (): Promise<void> => {
        await forgetLease(stage.base)
        const { outcome, error } = await stage.base.with((database) => purgedTo(stage.site.place, database), eastmost)
        assert.equal(outcome, 'succeeded', String(error))
      }
      await purges()
      assert.deepEqual(await idsOf(stage.base.outside), [])
      await restore()
      const { files } = await stage.base.with((database) => reconciledAt(database, stage.site.place), westmost)
      assert.deepEqual(
        files.map((file) => file.becomes),
        files.map(() => 'set aside'),
      )
      await nothingLost(stage)
      await purges()
      await stage.base.with((database) => archivedOnceAt(stage.site, database, stage.base.outside, stage.ids))
    })

    test(`${engine.name}, a ${kind}: files with the only copies of rows join the chain unchanged`, async () => {
      await using stage = await stagedAt(engine, await fresh())
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
      assert.deepEqual(
        (await stage.site.paths()).filter((path) => path.startsWith('reconciled/')),
        [],
      )
      const store = storeAt(stage.site.place, 'audit_logs')
      assert.equal((await stage.base.with((database) => restored(database, '', { store }))).inserted, 90)
      await stage.base.outside.sql('DROP TABLE audit_logs_restored')
      await stage.add(5, 99)
      await goesOn(stage)
    })

    test(`${engine.name}, a ${kind}: if some rows of a file are in the database, the others are written to a new file and the old one is set aside`, async () => {
      await using stage = await stagedAt(engine, await fresh())
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

    test(`${engine.name}, a ${kind}: a row that has changed since it was archived counts as another row, and both versions are kept`, async () => {
      await using stage = await stagedAt(engine, await fresh())
      await stage.add(10, 104)
      const restore = await stage.base.backUp()
      await stage.purge()
      await restore()
      const changed = stage.ids[3]!
      await stage.base.outside.sql(`UPDATE audit_logs SET status = 'changed' WHERE id = ${changed}`)
      assert.deepEqual(await becomes(stage), ['rewritten'])
      await stage.purge()
      const rows = (await rowsAt(stage.site)).filter((row) => row['id'] === changed)
      assert.deepEqual(rows.map((row) => String(row['status'])).toSorted(), ['changed', 'success'])
      assert.equal((await rowsAt(stage.site)).length, 11)
    })

    test(`${engine.name}, a ${kind}: a backup that was taken while a part was pending is reconciled, also if the part was rewritten after the backup`, async () => {
      for (const rewritten of [false, true]) {
        await using stage = await stagedAt(engine, await fresh())
        await stage.add(10, 110)
        await stage.purge()
        await stage.add(2_000, 101)
        const dies = async (database: Database, when: (left: number) => boolean): Promise<void> => {
          const dying = intercepted(database, async (_, transact) => {
            const value = await transact()
            if (when((await idsOf(stage.base.outside)).length)) throw new Error('the power is gone')
            return value
          })
          assert.equal((await purgedTo(stage.site.place, dying)).outcome, 'failed')
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
            assert.match(String((await purgedTo(stage.site.place, dying)).error), /the power is gone/)
          })
        } else await stage.purge()
        await restore()
        await stopped(stage)
        await becomes(stage)
        await nothingLost(stage)
        await goesOn(stage)
      }
    })

    test(`${engine.name}, a ${kind}: a removal of expired files since the backup joins the chain, and the removed files are not reported missing`, async () => {
      await using stage = await stagedAt(engine, await fresh())
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

    test(`${engine.name}, a ${kind}: a planted removal removes no file`, async () => {
      await using stage = await stagedAt(engine, await fresh())
      await stage.add(10, 110)
      await stage.purge()
      await stage.add(10, 104)
      await stage.purge()
      const { site } = stage
      const before = await contentsOf(site)
      const links = await Promise.all(
        Object.keys(before)
          .filter((path) => path.endsWith('.json'))
          .map(async (manifest) => ({ manifest, sha256: digestOf(await site.content(manifest)) })),
      )
      const newest = links.toSorted((a, b) => positionOf(a.manifest) - positionOf(b.manifest)).at(-1)!
      const { file: _, ...rest } = JSON.parse(String(await site.content(newest.manifest))) as Record<string, unknown>
      const position = positionOf(newest.manifest) + 1
      const manifest = newest.manifest.replace(/\d+\.json$/, `${position}.json`)
      const planted = JSON.stringify({ ...rest, kind: 'removal', manifest, position, previous: newest, removed: links }, null, 2)
      await site.put(manifest, planted)
      await assert.rejects(
        stage.base.with((database) => reconciledAt(database, stage.site.place)),
        /says that \d+ files were removed that are still there/,
      )
      assert.deepEqual(await contentsOf(site), { ...before, [manifest]: Buffer.from(planted).toString('base64') })
      await site.remove(manifest)
      await nothingLost(stage)
      await goesOn(stage)
    })

    test(`${engine.name}, a ${kind}: a second restore, from before a reconciliation, is reconciled too`, async () => {
      await using stage = await stagedAt(engine, await fresh())
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

    test(`${engine.name}, a ${kind}: damaged or forged files, and those of another database, are refused, and nothing is changed`, async () => {
      await using stage = await stagedAt(engine, await fresh())
      await stage.add(10, 110)
      await stage.purge()
      const restore = await stage.base.backUp()
      await stage.add(10, 104)
      await stage.purge()
      await stage.add(10, 102)
      await stage.purge()
      await restore()
      const { site } = stage
      const [, second = '', third = ''] = await rowFilesAt(site)
      const before = await contentsOf(site)
      const refuses = async (says: RegExp): Promise<void> => {
        const there = await contentsOf(site)
        await assert.rejects(
          stage.base.with((database) => reconciledAt(database, site.place)),
          (error) =>
            error instanceof MaintenanceError &&
            error.code === 'ARCHIVE_DAMAGED' &&
            says.test(error.message) &&
            /Nothing was changed/.test(error.message),
        )
        assert.deepEqual(await contentsOf(site), there)
      }
      const alter = async (path: string, text: string | Buffer): Promise<() => Promise<void>> => {
        const kept = await site.content(path)
        await site.put(path, text)
        return () => site.put(path, kept)
      }
      const mendRows = await alter(second, forgedFrom(await site.content(second)).bytes)
      await refuses(new RegExp(`${second}: was altered after it was written`))
      await mendRows()
      const mendManifest = await alter(
        manifestOf(second),
        String(await site.content(manifestOf(second))).replace('"rows": 10', '"rows": 9'),
      )
      await refuses(new RegExp(`${manifestOf(third)}: does not follow from ${manifestOf(second)} as it is`))
      await mendManifest()

      const like = JSON.parse(String(await site.content(manifestOf(third)))) as RowsManifest
      const { lines } = forgedFrom(await site.content(third))
      const forged = third.replace(/\d+-\d+\.ndjson/, '99-99.ndjson')
      const sha256 = 'f'.repeat(64)
      for (const [changes, says] of [
        [{ previous: null }, 'begins a chain of its own'],
        [{ previous: { ...like.previous!, sha256 } }, 'does not follow from'],
        [{ previous: { manifest: 'audit_logs/2020/01/01/1-1.json', sha256 } }, 'follows from nothing that this database knows'],
        [{ source: { ...like.source, engine: 'oracle' } }, 'was written for the database'],
      ] as const) {
        const { bytes, manifest } = forgedFile(forged, { lines, like, run: 99, ...(changes as Partial<typeof like>) })
        await site.put(forged, bytes)
        await site.put(manifestOf(forged), manifestTextOf(manifest))
        await refuses(new RegExp(`${manifestOf(forged)}: ${says}`))
      }
      for (const each of [forged, manifestOf(forged)]) await site.remove(each)
      assert.deepEqual(await contentsOf(site), before)
      assert.deepEqual(await becomes(stage), ['joined', 'joined'])
      await nothingLost(stage)
    })

    test(`${engine.name}, a ${kind}: if a link is missing, the others join the chain, and it is named until it is restored`, async () => {
      await using stage = await stagedAt(engine, await fresh())
      await stage.add(10, 110)
      await stage.purge()
      const restore = await stage.base.backUp()
      await stage.add(10, 104)
      await stage.purge()
      await stage.add(10, 102)
      await stage.purge()
      await restore()
      const { site } = stage
      const [, second = ''] = await rowFilesAt(site)
      const taken = await Promise.all([second, manifestOf(second)].map(async (path) => ({ path, content: await site.content(path) })))
      for (const { path } of taken) await site.remove(path)
      const { missing, files } = await stage.base.with((database) => reconciledAt(database, site.place))
      assert.deepEqual([missing, files.map(({ becomes: what }) => what)], [[`${manifestOf(second)}: is missing`], ['joined']])
      await stage.purge()
      assert.deepEqual((await stage.base.with((database) => verifiedAt(site.place, database))).problems, [
        `${manifestOf(second)}: is missing`,
      ])
      for (const { path, content } of taken) await site.put(path, content)
      assert.deepEqual((await stage.base.with((database) => verifiedAt(site.place, database))).problems, [])
    })

    // SQLite databases are named by their files only, and two may have the same name.
    test(
      `${engine.name}, a ${kind}: the archive of another database is not taken for that of an empty one`,
      { skip: engine.name === 'sqlite' },
      async () => {
        await using stage = await stagedAt(engine, await fresh())
        await stage.add(10, 110)
        await stage.purge()
        await using other = await stagedAt(engine, await fresh())
        await assert.rejects(
          other.base.with((database) => reconciledAt(database, stage.site.place)),
          /was written for the database .* and this one is/,
        )
      },
    )

    test(`${engine.name}, a ${kind}: a reconciliation that is interrupted at any transaction is completed by the next reconciliation or purge`, async () => {
      for (const by of ['itself', 'purge'] as const) {
        // Its transactions: the drafts are noted, the lease is confirmed, the step becomes pending, and it is settled.
        for (let number = 1; number <= 4; number += 1) {
          for (const side of engine.name === 'sqlite' ? (['before', 'behind'] as const) : (['behind'] as const)) {
            const began = number > 3 || (number === 3 && side === 'behind')
            // Until then nothing has changed: the purge still stops and asks for a reconciliation.
            if (by === 'purge' && !began) continue
            await using stage = await stagedAt(engine, await fresh())
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
              await assert.rejects(reconciledAt(dying, stage.site.place), /the power is gone/)
            })
            await stage.site.loseSpool()
            if (!began && number > 1) {
              // Nothing has changed but that files were published: the purge discards them, and asks for a reconciliation.
              await forgetLease(stage.base)
              const { error } = await stage.base.with((database) => purgedTo(stage.site.place, database))
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
