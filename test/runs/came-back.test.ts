import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import { DatabaseError } from '../../src/database/database-error.ts'
import { lastRuns, runTables, RUN_TABLES } from '../../src/runs/past-runs.ts'
import { historyText } from '../../src/terminal/history-text.ts'
import { BOTH_ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { count, expiredSessions, intercepted, migrated, run, SESSIONS, stored, type Told } from './support.ts'

const ROWS = 40

interface Done {
  readonly affected: number
}

function isBatch(done: unknown): done is Done {
  return typeof done === 'object' && done !== null && 'affected' in done
}

/** `lose` is called after each batch that is committed, with its number, from 1, and how many rows all batches have deleted. */
function losing(database: Database, lose: (batch: number, deleted: number) => Promise<void>): Database {
  let batches = 0
  let deleted = 0
  return intercepted(database, async (_, transact) => {
    const done = await transact()
    if (isBatch(done)) await lose((batches += 1), (deleted += done.affected))
    return done
  })
}

/** As a server has it that received no batch after these rows were deleted: the others are there again. The walk has not passed them. */
async function takeBack(outside: TestDatabase, engine: TestEngine, deleted: number, left: number): Promise<void> {
  await expiredSessions(outside, engine, deleted - left, `again-${deleted}-`)
  await outside.sql(`UPDATE sessions SET expires_at = ${engine.moment(-30)} WHERE session_token LIKE 'again-%'`)
  await outside.sql('UPDATE maintenance_runs SET rows_deleted = $1 WHERE outcome IS NULL', [left])
}

/** As a server has it that had received nothing of the run. */
async function takeAllBack(outside: TestDatabase, engine: TestEngine, deleted: number): Promise<void> {
  await expiredSessions(outside, engine, deleted, `again-${deleted}-`)
  await outside.sql('DELETE FROM maintenance_runs WHERE outcome IS NULL')
  await outside.sql('DELETE FROM maintenance_leases')
}

async function shownByHistory(database: Database): Promise<string> {
  const tables = runTables(database, await database.tablesAmong(RUN_TABLES))!
  const runs = await lastRuns(database, tables, SESSIONS.name, await database.now(), 10)
  return historyText(runs, await database.now(), { control: false, unicode: false, columns: Infinity })
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: a run whose batches the database has lost says how many rows came back, in its record, its result and a warning`, async () => {
    await using fixture = await migrated(engine)
    const { outside } = fixture
    await expiredSessions(outside, engine, ROWS)
    let lost = 0
    const database = losing(fixture.database, async (batch, deleted) => {
      if (batch === 2) await takeBack(outside, engine, (lost = deleted), 0)
    })
    const told: Told = { warnings: [] }
    const result = await run(database, {}, { told })
    assert.ok(lost > 1)
    assert.deepEqual([result.outcome, result.deleted, result.cameBack], ['succeeded', ROWS, lost])
    const sentence = `${lost} rows that this run had deleted came back`
    assert.equal(told.warnings.filter((warning) => warning.startsWith(sentence)).length, 1)
    const [row] = await stored(outside)
    assert.deepEqual([row?.outcome, row?.rows_deleted], ['succeeded', ROWS])
    assert.ok(row?.error?.startsWith(sentence), String(row?.error))
    assert.ok((await shownByHistory(fixture.database)).includes(sentence))
    assert.equal(await count(outside, 'sessions'), 0)
  })

  test(`${engine.name}: rows of several losses are added up, and each is counted once`, async () => {
    await using fixture = await migrated(engine)
    const { outside } = fixture
    await expiredSessions(outside, engine, ROWS)
    let back = 0
    const database = losing(fixture.database, async (batch, deleted) => {
      if (batch > 3) return
      const left = batch === 3 ? 1 : deleted - back - 1
      const held = (await stored(outside))[0]!.rows_deleted
      await takeBack(outside, engine, held, left)
      back += held - left
    })
    const result = await run(database)
    assert.equal(result.cameBack, back)
    assert.equal(result.outcome, 'succeeded')
    assert.equal((await stored(outside))[0]?.rows_deleted, result.deleted)
  })

  test(`${engine.name}: a loss after the last batch is seen at the end of the run`, async () => {
    await using fixture = await migrated(engine)
    const { outside } = fixture
    await expiredSessions(outside, engine, ROWS)
    const database = losing(fixture.database, async (_, deleted) => {
      if (deleted !== ROWS) return
      await takeBack(outside, engine, ROWS, ROWS - 7)
      // The walk has passed them.
      await outside.sql(`UPDATE sessions SET expires_at = ${engine.moment(-3_600)}`)
    })
    const result = await run(database)
    assert.deepEqual([result.outcome, result.deleted, result.cameBack], ['succeeded', ROWS - 7, 7])
    assert.match(String((await stored(outside))[0]?.error), /^7 rows that this run had deleted came back/)
    const next = await run(fixture.database)
    assert.deepEqual([next.deleted, next.cameBack, await count(outside, 'sessions')], [7, 0, 0])
  })

  test(`${engine.name}: a batch whose answer was lost counts as committed from the moment it is seen in the record`, async () => {
    await using fixture = await migrated(engine)
    const { outside } = fixture
    await expiredSessions(outside, engine, ROWS)
    let batches = 0
    let back = 0
    const database = intercepted(fixture.database, async (_, transact) => {
      const done = await transact()
      if (!isBatch(done)) return done
      batches += 1
      if (batches === 2) throw new DatabaseError('lost', 'the answer to COMMIT did not arrive')
      if (batches === 3) {
        const held = (await stored(outside))[0]!.rows_deleted
        await takeBack(outside, engine, held, 1)
        back = held - 1
      }
      return done
    })
    const result = await run(database)
    assert.ok(back > 2)
    assert.deepEqual([result.outcome, result.cameBack], ['succeeded', back])
    // Where the third batch was the last, they are left to the next run.
    assert.equal(result.deleted + (await count(outside, 'sessions')), ROWS)
  })

  test(`${engine.name}: a run of which the database knows nothing any more is begun again, and its rows are deleted`, async () => {
    await using fixture = await migrated(engine)
    const { outside } = fixture
    await expiredSessions(outside, engine, ROWS)
    let lost = 0
    const database = losing(fixture.database, async (batch, deleted) => {
      if (batch === 2) await takeAllBack(outside, engine, (lost = deleted))
    })
    const told: Told = { warnings: [] }
    const result = await run(database, { trigger: 'schedule', slot: Date.now() }, { told })
    assert.deepEqual([result.outcome, result.deleted, result.cameBack, result.recorded], ['succeeded', ROWS, lost, true])
    assert.equal(await count(outside, 'sessions'), 0)
    assert.deepEqual(
      (await stored(outside)).map((row) => [row.outcome, row.rows_deleted]),
      [['succeeded', ROWS]],
    )
    assert.equal(told.warnings.filter((warning) => warning.startsWith(`${lost} rows that this run had deleted came back`)).length, 1)
  })

  test(`${engine.name}: a run whose end the database knows nothing of does not claim what it deleted, and another run's record is left as it is`, async () => {
    await using fixture = await migrated(engine)
    const { outside } = fixture
    await expiredSessions(outside, engine, ROWS)
    const stopping = new AbortController()
    const database = losing(fixture.database, async (batch, deleted) => {
      if (batch !== 2) return
      const [own] = await outside.sql<{ id: number }>('SELECT id FROM maintenance_runs')
      await takeAllBack(outside, engine, deleted)
      // On the new primary another worker has been given the same number.
      await outside.sql(
        `INSERT INTO maintenance_runs (id, job, "trigger", worker, version, started_at, rows_deleted) VALUES ($1, 'purge-audit-logs', 'schedule', 'host-b:2', '1', $2, 3)`,
        [own!.id, Date.now()],
      )
      stopping.abort('SIGTERM')
    })
    const result = await run(database, { stopping: stopping.signal })
    assert.deepEqual([result.deleted, result.recorded], [0, false])
    const [other] = await outside.sql('SELECT job, worker, outcome, rows_deleted, cutoff FROM maintenance_runs')
    assert.deepEqual(other, { job: 'purge-audit-logs', worker: 'host-b:2', outcome: null, rows_deleted: 3, cutoff: null })
  })

  test(`${engine.name}: a run whose end was lost keeps its counts, also if the answer to the next claim is lost`, async () => {
    await using fixture = await migrated(engine)
    const { outside } = fixture
    await outside.sql(
      `INSERT INTO maintenance_runs (job, "trigger", worker, version, started_at, rows_deleted, batches) VALUES ('purge-sessions', 'schedule', 'host-a:1', '1', $1, 7, 2)`,
      [Date.now() - 20_000],
    )
    const database = intercepted(fixture.database, async (number, transact) => {
      if (number === 1) throw new DatabaseError('lost', 'the connection broke')
      return transact()
    })
    assert.equal((await run(database)).outcome, 'succeeded')
    const [first, second, third] = await stored(outside)
    assert.deepEqual([first?.outcome, first?.rows_deleted, first?.batches], ['interrupted', 7, 2])
    assert.match(String(first?.error), /^the end of this run was not recorded, or was lost when the database failed over/)
    assert.deepEqual([second?.outcome, third], ['succeeded', undefined])
  })

  test(`${engine.name}: a run whose record somebody has deleted is not begun again`, async () => {
    await using fixture = await migrated(engine)
    const { outside } = fixture
    await expiredSessions(outside, engine, ROWS)
    let begun = 0
    const database = losing(fixture.database, async (_, deleted) => {
      if (deleted === ROWS) await outside.sql('DELETE FROM maintenance_runs')
    })
    const listener = { jobStarted: () => void (begun += 1), jobWarning: () => {}, jobBatch: () => {}, jobPaused: () => {} }
    const result = await run(database, {}, { listener })
    assert.deepEqual([begun, result.outcome, result.deleted, result.recorded, result.cameBack], [1, 'succeeded', ROWS, false, 0])
  })
}
