import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Client } from 'pg'
import { NO_GROWTH } from '../../src/archive/step.ts'
import type { Database } from '../../src/database/database.ts'
import { DAY, hostClock } from '../../src/time/clock.ts'
import { auditLogs, count, intercepted, migrated, run } from '../runs/support.ts'
import { ENGINES } from '../support/engines.ts'
import { archivedOnce, archivedRows, filesIn, freshFolder, idsOf, purged, recordOf, verified } from './support.ts'
import { ABOUT_FOLDERS, placeIn } from './where.ts'

/** Calls `act` once, right before the first transaction that deletes. */
function beforeFirstBatch(database: Database, act: () => Promise<unknown>): Database {
  let parts = 0
  let acted = false
  const watched = intercepted(database, async (_, transact) => {
    const { step } = await recordOf(database).load(database)
    if (step !== undefined && parts++ === 0 && !acted) {
      acted = true
      await act()
    }
    return transact()
  })
  return watched
}

for (const engine of ENGINES) {
  test(`${engine.name}: every deleted row is in exactly one file, in the folder of its day, and remaining rows are in none`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 3_000, 100)
    const ids = await idsOf(outside)
    await auditLogs(outside, engine, 50, 1)
    const result = await purged(database, folder.path)
    assert.deepEqual([result.outcome, result.deleted, result.archived?.rows], ['succeeded', 3_000, 3_000])
    await archivedOnce(database, outside, folder.path, ids)
    for (const row of await archivedRows(folder.path)) {
      const day = String(row['timestamp']).slice(0, 10).replaceAll('-', '/')
      assert.match(row.path, new RegExp(`^audit_logs/${day}/${result.archived?.files === undefined ? '' : '\\d+-\\d+'}\\.ndjson\\.zst$`))
    }
    // Nothing is left to do, so nothing is written.
    const again = await purged(database, folder.path)
    assert.deepEqual(
      [again.outcome, again.deleted, again.archived],
      ['succeeded', 0, { ...NO_GROWTH, removed: NO_GROWTH, lagMs: 0, verification: undefined }],
    )
  })

  test(`${engine.name}: files and folders are their user's alone`, { skip: ABOUT_FOLDERS }, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    await auditLogs(fixture.outside, engine, 10, 100)
    await purged(fixture.database, folder.path)
    const files = await filesIn(folder.path)
    assert.ok(files.length > 0)
    for (const name of files) assert.equal((await stat(join(folder.path, name))).mode & 0o777, 0o600)
    assert.equal((await stat(join(folder.path, 'audit_logs'))).mode & 0o777, 0o700)
  })

  test(`${engine.name}: a row that changes between being archived and being deleted is archived as it was deleted`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 300, 100)
    const ids = await idsOf(outside)
    const changed = ids[150]!
    const watched = beforeFirstBatch(database, () => outside.sql(`UPDATE audit_logs SET status = 'changed' WHERE id = ${changed}`))
    const result = await purged(watched, folder.path)
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', 300], String(result.error))
    await archivedOnce(database, outside, folder.path, ids)
    assert.equal((await archivedRows(folder.path)).find((row) => row['id'] === changed)?.['status'], 'changed')
  })

  test(`${engine.name}: a row that is renewed between being archived and being deleted stays, and is in no file`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 300, 100)
    const ids = await idsOf(outside)
    const renewed = ids[150]!
    const watched = beforeFirstBatch(database, () =>
      outside.sql(`UPDATE audit_logs SET timestamp = ${engine.moment(-60)} WHERE id = ${renewed}`),
    )
    const result = await purged(watched, folder.path)
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', 299], String(result.error))
    await archivedOnce(
      database,
      outside,
      folder.path,
      ids.filter((id) => id !== renewed),
    )
    assert.deepEqual(await idsOf(outside), [renewed])
  })

  test(`${engine.name}: a late row with an old time is archived too, even if its day was archived before`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 300, 100)
    await purged(
      beforeFirstBatch(database, () => auditLogs(outside, engine, 20, 100)),
      folder.path,
    )
    await purged(database, folder.path)
    await auditLogs(outside, engine, 20, 100)
    await purged(database, folder.path)
    assert.deepEqual(await idsOf(outside), [])
    const rows = await archivedRows(folder.path)
    assert.equal(rows.length, 340)
    assert.deepEqual((await verified(database, folder.path)).problems, [])
  })

  test(`${engine.name}: a row that cannot be deleted is in no file, and all others are`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 200, 100)
    const ids = await idsOf(outside)
    const held = ids[77]!
    if (engine.name === 'sqlite')
      await outside.sql(`CREATE TRIGGER hold BEFORE DELETE ON audit_logs WHEN OLD.id = ${held} BEGIN SELECT RAISE(ABORT, 'on hold'); END`)
    else {
      await outside.sql(`CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'on hold'; END $$`)
      await outside.sql(`CREATE TRIGGER hold BEFORE DELETE ON audit_logs FOR EACH ROW WHEN (OLD.id = ${held}) EXECUTE FUNCTION hold()`)
    }
    const result = await purged(database, folder.path)
    assert.deepEqual([result.outcome, result.deleted, result.archived?.rows], ['failed', 199, 199])
    assert.match(String(result.error), /prevented 1 expired row of audit_logs from being deleted.*on hold/)
    await archivedOnce(
      database,
      outside,
      folder.path,
      ids.filter((id) => id !== held),
    )
  })

  test(`${engine.name}: an interrupted run leaves in the archive exactly what it deleted`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 2_000, 100)
    const ids = await idsOf(outside)
    const stop = new AbortController()
    const watched = intercepted(database, async (_, transact) => {
      const value = await transact()
      if ((await count(outside, 'audit_logs')) < 2_000) stop.abort()
      return value
    })
    const result = await purged(watched, folder.path, { stopping: stop.signal })
    assert.equal(result.outcome, 'interrupted')
    assert.ok(result.deleted > 0 && result.deleted < 2_000)
    const left = await idsOf(outside)
    await archivedOnce(
      database,
      outside,
      folder.path,
      ids.filter((id) => !left.includes(id)),
    )
    await purged(database, folder.path)
    await archivedOnce(database, outside, folder.path, ids)
  })

  test(`${engine.name}: files are removed once their whole day has expired, and the chain records it`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 10, 400)
    await auditLogs(outside, engine, 10, 100)
    const result = await purged(database, folder.path)
    assert.equal(result.archived?.rows, 20)
    const accepted = new Set(['shorter-archive-retention'] as const)
    const { archived } = await purged(database, folder.path, { keptMs: 365 * DAY, accepted })
    const rows = await archivedRows(folder.path)
    assert.equal(rows.length, 10)
    assert.equal(archived?.removed.rows, 10)
    const { problems, removedFiles, rows: left } = await verified(database, folder.path)
    assert.deepEqual([problems, left], [[], 10])
    assert.ok(removedFiles >= 1)
    const [state] = await outside.sql<{ rows: number }>('SELECT "rows" FROM maintenance_archives')
    assert.equal(state!.rows, 10)
    assert.equal((await purged(database, folder.path, { keptMs: 365 * DAY })).outcome, 'succeeded')
  })

  test(`${engine.name}: without the archive's tables nothing is deleted`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 10, 100)
    await outside.sql('DROP TABLE maintenance_archives')
    const result = await purged(database, folder.path)
    assert.equal(result.outcome, 'failed')
    assert.match(String(result.error), /tables are missing.*Nothing was deleted/)
    assert.equal(await count(outside, 'audit_logs'), 10)
  })

  test(`${engine.name}: sessions are never archived, and a dry run writes nothing`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 10, 100)
    const dry = await purged(database, folder.path, { dryRun: true })
    assert.deepEqual([dry.expired, dry.archived], [10, undefined])
    assert.equal((await run(database, {}, { archive: { ...placeIn(folder.path), keptMs: undefined } })).archived, undefined)
    assert.deepEqual(await filesIn(folder.path, ''), [])
  })
}

for (const engine of ENGINES.slice(1)) {
  test(`${engine.name}: a row that another transaction has locked is in no file, and waits for the next run`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 1_000, 100)
    const ids = await idsOf(outside)
    const held = ids[500]!
    const holder = new Client({ connectionString: outside.url })
    await holder.connect()
    await holder.query('BEGIN')
    await holder.query(`SELECT FROM audit_logs WHERE id = ${held} FOR UPDATE`)
    try {
      const result = await purged(database, folder.path)
      assert.deepEqual([result.outcome, result.deleted, result.locked], ['succeeded', 999, 1], String(result.error))
      await archivedOnce(
        database,
        outside,
        folder.path,
        ids.filter((id) => id !== held),
      )
    } finally {
      await holder.end()
    }
    assert.equal((await purged(database, folder.path)).deleted, 1)
    await archivedOnce(database, outside, folder.path, ids)
  })
}

test('sqlite: if deleting a row changes another, each row is archived once, as it was when it was deleted', async () => {
  await using fixture = await migrated(ENGINES[0]!)
  await using folder = await freshFolder()
  const { outside, database } = fixture
  await auditLogs(outside, ENGINES[0]!, 100, 100)
  await outside.sql('CREATE TABLE gone (id INTEGER, status TEXT)')
  await outside.sql(
    `CREATE TRIGGER touch AFTER DELETE ON audit_logs BEGIN
       INSERT INTO gone VALUES (OLD.id, OLD.status);
       UPDATE audit_logs SET status = status || '+' WHERE id IN (OLD.id - 1, OLD.id + 1);
     END`,
  )
  const host = hostClock()
  // The test does not look at the waits between attempts.
  const clock = { ...host, sleep: (ms: number, signal?: AbortSignal) => host.sleep(Math.min(ms, 5), signal) }
  for (let runs = 0; (await count(outside, 'audit_logs')) > 0; runs += 1) {
    assert.ok(runs < 5)
    await purged(database, folder.path, {}, { clock })
  }
  const gone = await outside.sql<{ id: number; status: string }>('SELECT id, status FROM gone ORDER BY id')
  assert.ok(gone.some(({ status }) => status.endsWith('+')))
  const archived = (await archivedRows(folder.path)).map(({ id, status }) => ({ id: Number(id), status }))
  assert.deepEqual(
    archived.toSorted((a, b) => a.id - b.id),
    gone,
  )
})
