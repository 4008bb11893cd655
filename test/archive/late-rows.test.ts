import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import { auditLogs, count, intercepted, migrated } from '../runs/support.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { archivedOnce, archivedRows, freshFolder, idsOf, purged, recordOf, verified } from './support.ts'

const ROWS = 3_000
/** The part of the run, and one for each time that it goes through late rows. */
const MOST_PARTS = 4

interface Watched {
  readonly database: Database
  /** How many parts were deleted from. */
  readonly parts: Set<string>
  batches: number
}

/** Calls `act` right before each transaction that deletes rows of a part. */
function watched(database: Database, act: (batch: number) => Promise<unknown>): Watched {
  const transacting = intercepted(database, async (_, transact) => {
    const { step } = await recordOf(database).load(database)
    if (step !== undefined) {
      found.parts.add(step.files[0]!.manifest)
      await act((found.batches += 1))
    }
    return transact()
  })
  const found: Watched = { database: transacting, parts: new Set(), batches: 0 }
  return found
}

/** A row with the time of the first one that is left. */
async function addLate(outside: TestDatabase): Promise<void> {
  await outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp)
     SELECT 'late', 'u', 'a', 's', min(timestamp) FROM audit_logs WHERE tool_name = 't' HAVING count(*) > 0`,
  )
}

/** Between every twenty of the rows that come after the first thousand. The rows with the highest numbers come first. */
async function addLateAmong(outside: TestDatabase): Promise<void> {
  await outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp)
     SELECT 'late', 'u', 'a', 's', timestamp FROM audit_logs WHERE id <= ${ROWS - 1_000} AND id % 20 = 0`,
  )
}

/** Every row that there ever was is in the archive once, and none is left. */
async function allArchived(outside: TestDatabase, database: Database, directory: string): Promise<number[]> {
  const archived = (await archivedRows(directory)).map(({ id }) => Number(id))
  assert.equal(new Set(archived).size, archived.length)
  assert.deepEqual(await idsOf(outside), [])
  await archivedOnce(database, outside, directory, archived)
  return archived
}

for (const engine of ENGINES) {
  test(`${engine.name}: late rows in every batch stay, and go into the next part of the same run`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, ROWS, 100)
    const watch = watched(database, async (batch) => {
      if (batch === 1) await addLateAmong(outside)
      // What is chosen on PostgreSQL is a range of times. On SQLite this row would be behind the walk.
      else if (engine.name !== 'sqlite') await addLate(outside)
    })
    const result = await purged(watch.database, folder.path)
    assert.equal(result.outcome, 'succeeded', String(result.error))
    const archived = await allArchived(outside, database, folder.path)
    assert.ok(archived.length >= ROWS + 100, `${archived.length} rows in ${watch.batches} batches`)
    assert.ok(watch.batches >= 5, `${watch.batches} batches`)
    assert.ok(watch.parts.size <= MOST_PARTS, `${watch.parts.size} parts in ${watch.batches} batches`)
    assert.equal(result.deleted, archived.length)
  })

  test(`${engine.name}: late rows with the time of a tie that slices divide go into the next part of the same run`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, ROWS, 100)
    await outside.sql('UPDATE audit_logs SET timestamp = (SELECT min(timestamp) FROM audit_logs)')
    // Not in the space that the update left.
    if (engine.name !== 'sqlite') await outside.sql('VACUUM FULL audit_logs')
    const watch = watched(database, (batch) => (batch <= 5 ? addLate(outside) : Promise.resolve()))
    const result = await purged(watch.database, folder.path)
    assert.equal(result.outcome, 'succeeded', String(result.error))
    assert.ok(watch.parts.size <= MOST_PARTS, `${watch.parts.size} parts in ${watch.batches} batches`)
    assert.ok((await allArchived(outside, database, folder.path)).length > ROWS)
  })

  test(`${engine.name}: a late row behind the last copied one goes into the next part`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 100, 100)
    const watch = watched(database, async (batch) => {
      if (batch === 1) await auditLogs(outside, engine, 1, 95)
    })
    const result = await purged(watch.database, folder.path)
    assert.deepEqual([result.outcome, result.deleted, watch.parts.size], ['succeeded', 101, 2], String(result.error))
    await allArchived(outside, database, folder.path)
  })

  test(`${engine.name}: a row that was changed since it was archived is not deleted for its old copy, and is archived as it is`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 100, 100)
    const ids = await idsOf(outside)
    const watch = watched(database, async (batch) => {
      if (batch === 1) await outside.sql(`UPDATE audit_logs SET status = 'changed' WHERE id IN (${ids.slice(40, 45).join()})`)
    })
    const result = await purged(watch.database, folder.path)
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', 100], String(result.error))
    await archivedOnce(database, outside, folder.path, ids)
    const changed = (await archivedRows(folder.path)).filter(({ status }) => status === 'changed').map(({ id }) => Number(id))
    assert.deepEqual(
      changed.toSorted((a, b) => a - b),
      ids.slice(40, 45),
    )
  })

  test(`${engine.name}: of rows that are equal in every column, as many are deleted as were archived`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    const sqlite = engine.name === 'sqlite'
    for (const { name } of sqlite ? await outside.sql<{ name: string }>(`SELECT name FROM sqlite_schema WHERE type = 'view'`) : [])
      await outside.sql(`DROP VIEW ${name}`)
    await outside.sql(`DROP TABLE audit_logs${sqlite ? '' : ' CASCADE'}`)
    await outside.sql(`CREATE TABLE audit_logs (tool_name TEXT, timestamp TIMESTAMP)`)
    await outside.sql('CREATE INDEX by_time ON audit_logs (timestamp)')
    const add = (rows: number): Promise<unknown> =>
      outside.sql(`INSERT INTO audit_logs VALUES ${Array.from({ length: rows }, () => `('t', '2020-01-01 00:00:00')`).join()}`)
    await add(300)
    const watch = watched(database, (batch) => (batch <= 3 ? add(2) : Promise.resolve()))
    let deleted = (await purged(watch.database, folder.path)).deleted
    for (let runs = 1; (await count(outside, 'audit_logs')) > 0; runs += 1) {
      assert.ok(runs <= 3)
      assert.equal((await archivedRows(folder.path)).length, deleted)
      deleted += (await purged(database, folder.path)).deleted
    }
    assert.equal(deleted, 300 + 2 * Math.min(watch.batches, 3))
    assert.equal((await archivedRows(folder.path)).length, deleted)
    assert.deepEqual((await verified(database, folder.path)).problems, [])
  })

  test(`${engine.name}: rows that are refused are not tried again for the late rows among them`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 500, 100)
    const ids = await idsOf(outside)
    await outside.sql('CREATE TABLE notes (audit BIGINT REFERENCES audit_logs (id))')
    await outside.sql('CREATE INDEX notes_by_audit ON notes (audit)')
    const refused = [ids[100]!, ids[300]!]
    for (const id of refused) await outside.sql(`INSERT INTO notes VALUES (${id})`)
    const watch = watched(database, (batch) => (batch <= 40 ? addLate(outside) : Promise.resolve()))
    const result = await purged(watch.database, folder.path)
    assert.equal(result.outcome, 'failed')
    assert.match(String(result.error), /prevented 2 expired rows/)
    // What came after the run had gone through the late rows for the last time is left to the next one.
    const { deleted } = await purged(database, folder.path)
    assert.deepEqual(await idsOf(outside), refused)
    const archived = (await archivedRows(folder.path)).map(({ id }) => Number(id))
    await archivedOnce(database, outside, folder.path, archived)
    assert.equal(archived.length, result.deleted + deleted)
  })
}
