import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import { DatabaseError } from '../../src/database/database-error.ts'
import { DAY } from '../../src/time/clock.ts'
import { auditLogs, count, intercepted, migrated, type Fixture } from '../runs/support.ts'
import { BOTH_ENGINES, ENGINES, type TestEngine } from '../support/engines.ts'
import { filesBeingRemoved, removalIn } from '../../src/archive/pending-removal.ts'
import type { Acceptance } from '../../src/purge/safety.ts'
import { ownedBy, placed, released } from './placed-holds.ts'
import { archivedOnce, archivedRows, filesIn, freshFolder, idsOf, purged, recordOf, restored, verified } from './support.ts'
import { placeIn, STORE_CLASS } from './where.ts'

const ROWS = 3_000
const FEW = 200
const PARTS = { partRows: 500 }

/** Calls `act` once, right after the transaction that makes the first part pending: its rows are copied, and none is deleted. */
function oncePending(database: Database, act: () => Promise<unknown>): { readonly database: Database; parts: number } {
  let acted = false
  const seen = new Set<string>()
  const watched = {
    parts: 0,
    database: intercepted(database, async (_, transact) => {
      const value = await transact()
      const { step } = await recordOf(database).load(database)
      const first = step?.files[0]?.manifest
      if (first !== undefined) watched.parts = seen.add(first).size
      if (!acted && first !== undefined) {
        acted = true
        await act()
      }
      return value
    }),
  }
  return watched
}

function archiveOf(directory: string, more: object): NonNullable<NonNullable<Parameters<typeof purged>[3]>['archive']> {
  return { ...placeIn(directory), keptMs: undefined, ...more }
}

function without(ids: readonly number[], others: readonly number[]): number[] {
  const left = new Set(others)
  return ids.filter((id) => !left.has(id))
}

for (const engine of ENGINES) {
  test(`${engine.name}: a hold that is placed between copying and deleting keeps its rows in the table, and the files hold exactly what was deleted`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, ROWS, 100)
    const ids = await idsOf(outside)
    const held = await ownedBy(outside, 'Alice', 7)
    const watched = oncePending(database, () => placed(outside, 'a', { user: ['alice'] }))
    const result = await purged(watched.database, folder.path, {}, { archive: archiveOf(folder.path, PARTS) })
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', ROWS - held.length], String(result.error))
    assert.deepEqual(await idsOf(outside), held)
    await archivedOnce(database, outside, folder.path, without(ids, held))
    // Each part of the run, and what was left of it.
    assert.ok(watched.parts <= 2 * (ROWS / PARTS.partRows + 1), `${watched.parts} parts`)

    const names = await filesIn(folder.path, '')
    const next = await purged(database, folder.path)
    assert.deepEqual([next.outcome, next.deleted, await idsOf(outside)], ['succeeded', 0, held], String(next.error))
    assert.deepEqual(await filesIn(folder.path, ''), names)

    await released(outside, 'a')
    assert.equal((await purged(database, folder.path)).deleted, held.length)
    await archivedOnce(database, outside, folder.path, ids)
  })
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: a part all of whose rows are held before the first is deleted is discarded, and each part is written once`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, FEW, 100)
    const ids = await idsOf(outside)
    const watched = oncePending(database, () => placed(outside, 'all', {}))
    const result = await purged(watched.database, folder.path, {}, { archive: archiveOf(folder.path, { partRows: 50 }) })
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', 0], String(result.error))
    assert.deepEqual(await idsOf(outside), ids)
    assert.deepEqual([await filesIn(folder.path), await filesIn(folder.path, '.json')], [[], []])
    assert.ok(watched.parts <= FEW / 50 + 1, `${watched.parts} parts`)
    assert.equal((await recordOf(database).load(database)).step, undefined)
    await released(outside, 'all')
    assert.equal((await purged(database, folder.path)).deleted, FEW)
    await archivedOnce(database, outside, folder.path, ids)
  })
}

const SHORTER = new Set<Acceptance>(['empty-table', 'shorter-archive-retention'])
const EMPTY = new Set<Acceptance>(['empty-table'])
const YEAR = 365 * DAY

/** Three files of 20 rows each, of which one has rows of Alice, and all of which expire in the next run. */
async function threeFiles(engine: TestEngine, fixture: Fixture, directory: string): Promise<{ readonly held: readonly number[] }> {
  const { outside, database } = fixture
  for (const days of [400, 410, 420]) await auditLogs(outside, engine, 20, days)
  const held = (await idsOf(outside)).slice(20, 25)
  await outside.sql(`UPDATE audit_logs SET "user" = 'alice' WHERE id BETWEEN ${held[0]} AND ${held.at(-1)}`)
  assert.equal((await purged(database, directory)).deleted, 60)
  assert.equal((await filesIn(directory)).length, 3)
  return { held }
}

async function idsInFiles(directory: string): Promise<number[]> {
  return (await archivedRows(directory)).map(({ id }) => Number(id)).toSorted((a, b) => a - b)
}

async function removals(directory: string): Promise<{ kept?: { manifest: string; holds: string[] }[]; removed: unknown[] }[]> {
  const texts = await Promise.all((await filesIn(directory, '.json')).map((name) => readFile(join(directory, name), 'utf8')))
  return texts.map((text) => JSON.parse(text) as { kind: string; removed: unknown[] }).filter(({ kind }) => kind === 'removal')
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: an expired file with a held row stays whole while the hold is in force, and goes in the night after the release`, async (t) => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    const { held } = await threeFiles(engine, fixture, folder.path)
    await placed(outside, 'case 7', { user: ['ALICE'] })
    await placed(outside, 'nobody', { user: ['nobody'] })
    const first = await purged(database, folder.path, { keptMs: YEAR, accepted: SHORTER })
    assert.deepEqual([first.outcome, first.archived?.removed.files], ['succeeded', 2], String(first.error))
    const kept = await idsInFiles(folder.path)
    assert.deepEqual([kept.length, held.every((id) => kept.includes(id))], [20, true])
    const [removal] = await removals(folder.path)
    assert.deepEqual(
      removal?.kept?.map(({ holds }) => holds),
      [['case 7']],
    )
    assert.match(removal.kept[0]!.manifest, /^audit_logs\/\d{4}\/\d\d\/\d\d\/\d+-\d+\.json$/)
    assert.deepEqual((await verified(database, folder.path)).problems, [])
    const memo = 'SELECT hold, "rows" FROM maintenance_held_files ORDER BY path, hold'
    assert.deepEqual(
      (await outside.sql<{ hold: number; rows: number }>(memo)).filter(({ rows }) => rows > 0),
      [{ hold: 1, rows: held.length }],
    )

    // On the nights after, nothing of it is read: neither the file, which is damaged for that time, nor a manifest behind the newest.
    const [file] = await filesIn(folder.path)
    const bytes = await readFile(join(folder.path, file!))
    await writeFile(join(folder.path, file!), 'damaged')
    const reads = t.mock.method(STORE_CLASS.prototype, 'read')
    const manifests = await filesIn(folder.path, '')
    const second = await purged(database, folder.path, { keptMs: YEAR, accepted: EMPTY })
    assert.deepEqual([second.outcome, second.archived?.removed.files], ['succeeded', 0], String(second.error))
    assert.ok(reads.mock.callCount() <= 2, `${reads.mock.callCount()} manifests were read`)
    reads.mock.restore()
    await writeFile(join(folder.path, file!), bytes)
    assert.deepEqual(await filesIn(folder.path, ''), manifests)

    await released(outside, 'case 7')
    const third = await purged(database, folder.path, { keptMs: YEAR, accepted: EMPTY })
    assert.deepEqual([third.outcome, third.archived?.removed.files], ['succeeded', 1], String(third.error))
    assert.deepEqual(await idsInFiles(folder.path), [])
    assert.deepEqual((await verified(database, folder.path)).problems, [])
    assert.equal((await outside.sql('SELECT 1 FROM maintenance_held_files WHERE hold = 1')).length, 0)
  })

  test(`${engine.name}: each file is read once for a hold, a file that is held for years is named by one removal, and again if other holds keep it`, async (t) => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await threeFiles(engine, fixture, folder.path)
    const night = async (days: number): Promise<void> => {
      await auditLogs(outside, engine, 3, days)
      const result = await purged(database, folder.path, { keptMs: YEAR, accepted: SHORTER })
      assert.equal(result.outcome, 'succeeded', String(result.error))
    }
    await placed(outside, 'case 7', { user: ['alice'] })
    await night(100)
    const opened = t.mock.method(STORE_CLASS.prototype, 'open')
    const heldFile = (await filesIn(folder.path)).find(
      (name) => !name.includes(new Date(Date.now() - 100 * DAY).toISOString().slice(0, 10).replaceAll('-', '/')),
    )!
    const timesRead = (): number => opened.mock.calls.filter(({ arguments: [path] }) => path === heldFile).length
    await night(401)
    assert.equal(timesRead(), 0)
    await placed(outside, 'case 8', { tool_name: ['t*'], from: '2020-01-01' })
    await night(402)
    assert.equal(timesRead(), 0)
    await released(outside, 'case 7')
    // Only now it matters whether the other one keeps it: it is checked by its digest, and then read.
    await night(403)
    assert.equal(timesRead(), 2)
    await night(404)
    assert.equal(timesRead(), 2)
    opened.mock.restore()
    const names = (await removals(folder.path)).map(({ kept = [] }) =>
      kept.filter(({ manifest }) => heldFile.startsWith(manifest.replace('.json', '.'))).map(({ holds }) => holds.join()),
    )
    assert.deepEqual(names.flat(), ['case 7'])
    assert.deepEqual((await verified(database, folder.path)).problems, [])
  })
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: a hold that is placed while a removal begins has the files chosen again, and once it has begun is too late for the files that the step names`, async () => {
    await using fixture = await migrated(engine)
    for (const when of ['noted', 'begun'] as const) {
      await using folder = await freshFolder()
      const { outside, database } = fixture
      await outside.sql('DELETE FROM maintenance_archives')
      const { held } = await threeFiles(engine, fixture, folder.path)
      const heldFile = (await archivedRows(folder.path)).find(({ id }) => Number(id) === held[0])!.path
      let tooLate: readonly string[] | undefined
      const watched = intercepted(database, async (_, transact) => {
        const value = await transact()
        const { step } = await recordOf(database).load(database)
        const isThere = when === 'noted' ? step?.successors !== undefined : removalIn(step).length > 0
        if (tooLate === undefined && isThere) {
          await placed(outside, 'case 7', { user: ['alice'] })
          tooLate = await filesBeingRemoved(database, (name) => database.named(name), 'audit_logs')
        }
        return value
      })
      const result = await purged(watched, folder.path, { keptMs: YEAR, accepted: SHORTER })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.deepEqual(tooLate?.includes(heldFile), when === 'begun')
      assert.deepEqual(await filesIn(folder.path), when === 'begun' ? [] : [heldFile])
      const { problems, pending } = await verified(database, folder.path)
      assert.deepEqual([problems, pending], [[], 0])
      await released(outside, 'case 7')
    }
  })

  // In three tests, each of which takes its time.
  for (const first of [1, 2, 3])
    test(`${engine.name}: whenever a hold is placed in a run, its rows stay in the table or in files (transactions ${first}, ${first + 3}, …)`, async () => {
      let number = first
      for (let met = true; met; number += 3) {
        await using fixture = await migrated(engine)
        await using folder = await freshFolder()
        const { outside, database } = fixture
        await threeFiles(engine, fixture, folder.path)
        await auditLogs(outside, engine, 30, 100)
        await ownedBy(outside, 'alice', 3)
        const matching = async (leavingOut: ReadonlySet<string> = new Set()): Promise<number[]> => [
          ...(await outside.sql<{ id: number }>(`SELECT id FROM audit_logs WHERE "user" = 'alice'`)).map(({ id }) => id),
          ...(await archivedRows(folder.path))
            .filter((row) => row['user'] === 'alice' && !leavingOut.has(row.path))
            .map(({ id }) => Number(id)),
        ]
        met = false
        let stay: number[] = []
        const place = async (): Promise<void> => {
          met = true
          await placed(outside, 'case 7', { user: ['alice'] })
          stay = await matching(new Set<string>(await filesBeingRemoved(database, (name) => database.named(name), 'audit_logs')))
        }
        const troubled = intercepted(database, async (each, transact) => {
          if (each !== number) return transact()
          if (engine.name === 'sqlite') {
            await place()
            return transact()
          }
          // What was committed is done again, with the hold.
          await transact()
          await place()
          throw new DatabaseError('lost', 'the answer never came')
        })
        const result = await purged(troubled, folder.path, { keptMs: YEAR, accepted: SHORTER })
        const at = `transaction ${number}: ${String(result.error)}`
        assert.equal(result.outcome, 'succeeded', at)
        const left = await matching()
        assert.deepEqual(without(stay, left), [], at)
        assert.equal(new Set(left).size, left.length, at)
        const { problems, pending } = await verified(database, folder.path)
        assert.deepEqual([problems, pending], [[], 0], at)
      }
      assert.ok(number > 8, `${number} transactions`)
    })

  test(`${engine.name}: if a file that may be held cannot be read, or a hold not be understood, no file is removed, and the run fails with a sentence`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await threeFiles(engine, fixture, folder.path)
    const names = await filesIn(folder.path)
    await placed(outside, 'case 7', { user: ['alice'] })
    const path = join(folder.path, names[1]!)
    const bytes = await readFile(path)
    await writeFile(path, bytes.subarray(1))
    const damaged = await purged(database, folder.path, { keptMs: YEAR, accepted: SHORTER })
    assert.equal(damaged.outcome, 'failed')
    assert.match(
      String(damaged.error),
      /was altered after it was written; it has expired, but was not removed\. Expired rows were deleted all the same/,
    )
    assert.deepEqual(await filesIn(folder.path), names)
    await writeFile(path, bytes)

    // The rows are deleted, and nothing else is done yet.
    await auditLogs(outside, engine, 5, 100)
    let done = false
    const watched = intercepted(database, async (_, transact) => {
      const value = await transact()
      if (!done && (await count(outside, 'audit_logs')) === 0) {
        done = true
        await placed(outside, 'wrong', '{"user":')
      }
      return value
    })
    const unclear = await purged(watched, folder.path, { keptMs: YEAR, accepted: SHORTER })
    assert.deepEqual([unclear.outcome, unclear.deleted], ['failed', 5])
    assert.match(
      String(unclear.error),
      /Hold "wrong" cannot be understood: .* is no JSON\. No file was removed from the archive, because it may mean any row\./,
    )
    assert.equal((await filesIn(folder.path)).length, names.length + 1)
    await released(outside, 'wrong')
    assert.equal((await purged(database, folder.path, { keptMs: YEAR, accepted: SHORTER })).archived?.removed.files, 2)
  })

  test(`${engine.name}: files that are known to stay count neither for the stop of a shorter retention nor as files that would go`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await threeFiles(engine, fixture, folder.path)
    await outside.sql('DELETE FROM maintenance_archive_retention')
    assert.equal((await purged(database, folder.path, { keptMs: 500 * DAY })).outcome, 'succeeded')
    await placed(outside, 'all', {})
    // What nobody has read counts as going.
    const stopped = await purged(database, folder.path, { keptMs: YEAR })
    assert.deepEqual([stopped.outcome, stopped.exitCode], ['stopped', 5])
    assert.match(String(stopped.error), /3 of 3 files would be removed/)
    assert.equal((await purged(database, folder.path, { keptMs: YEAR, accepted: SHORTER })).archived?.removed.files, 0)
    await outside.sql(`UPDATE maintenance_archive_retention SET retention = ${500 * DAY}`)
    const next = await purged(database, folder.path, { keptMs: YEAR })
    assert.deepEqual([next.outcome, next.archived?.removed.files], ['succeeded', 0], String(next.error))
    assert.equal((await filesIn(folder.path)).length, 3)
  })

  test(`${engine.name}: rows that came into the archive late stay there for 30 days, and those that came as usual go when their time has come`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    // A hold had kept these rows for a year.
    await auditLogs(outside, engine, 5, 500)
    await placed(outside, 'case 7', {})
    assert.equal((await purged(database, folder.path)).deleted, 0)
    await released(outside, 'case 7')
    await auditLogs(outside, engine, 5, 91)
    const keeping = { keptMs: 90 * DAY, accepted: SHORTER }
    const first = await run30(keeping)
    assert.deepEqual([first.outcome, first.deleted, first.archived?.removed.rows], ['succeeded', 10, 5], String(first.error))
    assert.equal((await archivedRows(folder.path)).length, 5)
    assert.equal((await run30(keeping)).archived?.removed.rows, 0)
    // As if 30 days had passed.
    const passed = await purged(database, folder.path, { ...keeping, lateKeptMs: 1 })
    assert.equal(passed.archived?.removed.rows, 5)
    assert.deepEqual((await verified(database, folder.path)).problems, [])

    function run30(request: object): ReturnType<typeof purged> {
      return purged(database, folder.path, request, { archive: archiveOf(folder.path, { keptMs: 90 * DAY }) })
    }
  })

  test(`${engine.name}: rows before the cutoff that a hold or a rule keeps are restored into the table, and the next purge leaves them there`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 60, 100)
    const ids = await idsOf(outside)
    await outside.sql(`UPDATE audit_logs SET status = 'denied' WHERE id % 3 = 0`)
    await outside.sql(`UPDATE audit_logs SET "user" = 'Alice' WHERE id % 4 = 0`)
    await purged(database, folder.path)
    assert.deepEqual(await idsOf(outside), [])
    const rules = [{ name: 'security', match: { status: ['DENIED'] }, retentionMs: 365 * DAY }]
    await placed(outside, 'case 7', { user: ['ali*'], to: '2100-01-01' })
    const cutoff = Date.now() - 90 * DAY
    const spared = [
      { match: rules[0]!.match, from: Date.now() - 365 * DAY, until: undefined },
      { match: { user: ['ali*'] }, from: undefined, until: Date.parse('2100-01-01') },
    ]
    const done = await restored(database, folder.path, { into: 'audit_logs', cutoff, spared })
    const staying = ids.filter((id) => id % 3 === 0 || id % 4 === 0)
    assert.deepEqual([done.inserted, done.spared, done.expired], [staying.length, staying.length, ids.length - staying.length])
    assert.deepEqual(await idsOf(outside), staying)
    const next = await purged(database, folder.path, { rules })
    assert.deepEqual([next.outcome, next.deleted, await idsOf(outside)], ['succeeded', 0, staying], String(next.error))
  })
}
