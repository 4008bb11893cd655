import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { test } from 'node:test'
import { DatabaseError } from '../../src/database/database-error.ts'
import type { Database } from '../../src/database/database.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { auditLogs, count, intercepted, migrated, opened } from '../runs/support.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { reconciled } from './restorable.ts'
import { archivedOnce, filesIn, freshFolder, idsOf, purged, recordOf, verified } from './support.ts'

async function expireLease(outside: TestDatabase): Promise<void> {
  await outside.sql('UPDATE maintenance_leases SET expires_at = 0')
}

/** Calls `act` right before or right behind the transaction of this number. */
function at(database: Database, number: number, side: 'before' | 'behind', act: () => Promise<unknown>): Database {
  return intercepted(database, async (each, transact) => {
    if (each === number && side === 'before') await act()
    const value = await transact()
    if (each === number && side === 'behind') await act()
    return value
  })
}

for (const engine of ENGINES) {
  test(`${engine.name}: of two workers that run at once, one archives and the other skips`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    await auditLogs(fixture.outside, engine, 2_000, 100)
    const ids = await idsOf(fixture.outside)
    await using other = await opened(fixture.outside.url)
    const results = await Promise.all([
      purged(fixture.database, folder.path, {}, { worker: 'one' }),
      purged(other, folder.path, {}, { worker: 'other' }),
    ])
    assert.ok(results.some(({ outcome }) => outcome === 'succeeded'))
    assert.ok(results.every(({ outcome }) => outcome === 'succeeded' || outcome === 'skipped'))
    await archivedOnce(fixture.database, fixture.outside, folder.path, ids)
  })

  test(`${engine.name}: a worker that was suspended past its lease, wherever, deletes nothing more and leaves no file; the other has archived all rows`, async () => {
    for (let number = 2; number <= 6; number += 1) {
      for (const side of ['before', 'behind'] as const) {
        await using fixture = await migrated(engine)
        await using folder = await freshFolder()
        const { outside } = fixture
        await auditLogs(outside, engine, 1_500, 100)
        const ids = await idsOf(outside)
        await using other = await opened(outside.url)
        let taken: RunResult | undefined
        const stopped = at(fixture.database, number, side, async () => {
          await expireLease(outside)
          taken = await purged(other, folder.path, {}, { worker: 'other' })
        })
        const late = await purged(stopped, folder.path, {}, { worker: 'late' })
        const where = `${side} transaction ${number}: ${String(late.error)}`
        assert.equal(taken?.outcome, 'succeeded', where)
        assert.equal(late.outcome, 'failed', where)
        assert.match(String(late.error), /has lost the lease|the archive: .* cannot be put in its place/, where)
        await archivedOnce(other, outside, folder.path, ids)
      }
    }
  })

  test(`${engine.name}: a lost answer to COMMIT neither loses nor duplicates rows`, async () => {
    for (let lost = 2; lost < 9; lost += 1) {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      await auditLogs(outside, engine, 600, 100)
      const ids = await idsOf(outside)
      const watched = intercepted(database, async (number, transact) => {
        const value = await transact()
        if (number === lost) throw new DatabaseError('lost', 'the answer was lost')
        return value
      })
      const result = await purged(watched, folder.path)
      assert.equal(result.outcome, 'succeeded', `transaction ${lost}: ${String(result.error)}`)
      await archivedOnce(database, outside, folder.path, ids)
    }
  })

  test(`${engine.name}: a worker that publishes files after another has discarded them removes them again`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 50, 100)
    let begun = false
    const stopped = intercepted(database, async (_, transact) => {
      const value = await transact()
      if (!begun && (await recordOf(database).load(database)).step !== undefined) {
        begun = true
        // The other worker has got so far, but has not cleaned up yet.
        await outside.sql(`UPDATE maintenance_leases SET holder = 'other', fence = fence + 1`)
        await outside.sql('UPDATE maintenance_archives SET step = NULL, removed = NULL')
      }
      return value
    })
    const late = await purged(stopped, folder.path)
    assert.match(String(late.error), /has lost the lease/)
    assert.deepEqual(await filesIn(folder.path), [])
    assert.equal(await count(outside, 'audit_logs'), 50)
    await expireLease(outside)
    assert.equal((await purged(database, folder.path)).deleted, 50)
    assert.deepEqual((await verified(database, folder.path)).problems, [])
  })

  test(`${engine.name}: rows that an older version deletes without the archive, between a crash and the next archiving run, are not lost`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 2_000, 100)
    const ids = await idsOf(outside)
    let left: readonly number[] = ids
    const crashing = intercepted(database, async (_, transact) => {
      const value = await transact()
      left = await idsOf(outside)
      if (left.length < ids.length) throw new Error('the power is gone')
      return value
    })
    assert.equal((await purged(crashing, folder.path)).outcome, 'failed')
    assert.ok(left.length > 0 && left.length < ids.length)
    // It does not stop while files are in hand, as this one does.
    await outside.sql('DELETE FROM audit_logs')
    await auditLogs(outside, engine, 10, 100)
    const late = await idsOf(outside)
    // The pending files are the only copies of what was deleted without archiving, so they are not discarded.
    const refused = await purged(database, folder.path)
    assert.deepEqual([refused.outcome, refused.deleted], ['failed', 0])
    assert.match(String(refused.error), /rows that exist nowhere else: .* Run `archive reconcile --dry-run`/)
    await reconciled(database, folder.path)
    assert.equal((await purged(database, folder.path)).deleted, 10)
    await archivedOnce(database, outside, folder.path, [...ids, ...late])
  })

  test(`${engine.name}: if the folder vanishes before its rows are deleted, they are not deleted`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 300, 100)
    let vanished = false
    const watched = intercepted(database, async (_, transact) => {
      if (!vanished && (await filesIn(folder.path)).some((name) => !name.includes('.writing'))) {
        vanished = true
        await rm(folder.path, { recursive: true })
      }
      return transact()
    })
    const result = await purged(watched, folder.path)
    assert.equal(vanished, true)
    assert.deepEqual([result.outcome, result.deleted], ['failed', 0])
    assert.match(String(result.error), /was written, and is gone/)
    assert.equal(await count(outside, 'audit_logs'), 300)
    // Once there is a folder, the next run starts afresh: nothing was deleted.
    assert.equal((await purged(database, folder.path)).deleted, 300)
  })

  test(`${engine.name}: a row that never expires is in no file`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 20, 100)
    const ids = await idsOf(outside)
    const never = engine.name === 'sqlite' ? [`'soon'`, `''`, `x'00'`] : [`'-infinity'`, `'infinity'`]
    for (const time of never)
      await outside.sql(`INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'u', 'a', 's', ${time})`)
    assert.equal((await purged(database, folder.path)).deleted, 20)
    await archivedOnce(database, outside, folder.path, ids)
    assert.equal(await count(outside, 'audit_logs'), never.length)
  })
}
