import assert from 'node:assert/strict'
import { test } from 'node:test'
import { COUNTED_RUNS } from '../../src/archive/tables.ts'
import { JOBS } from '../../src/catalogue.ts'
import { BOTH_ENGINES, type TestDatabase } from '../support/engines.ts'
import { expiredSessions, migrated, run } from './support.ts'

/** Rows of the history, as a backup brought them back. */
async function pastRunsUpTo(outside: TestDatabase, last: number): Promise<void> {
  for (const [index, { name }] of JOBS.entries())
    await outside.sql(
      `INSERT INTO maintenance_runs (id, job, "trigger", worker, version, started_at, finished_at, outcome) VALUES ($1, $2, 'schedule', 'w', '1', 1000, 2000, 'succeeded')`,
      [last - index, name],
    )
}

async function numbersOf(outside: TestDatabase): Promise<unknown[]> {
  return (await outside.sql('SELECT id FROM maintenance_runs WHERE started_at > 1000 ORDER BY id')).map(({ id }) => id)
}

for (const engine of BOTH_ENGINES) {
  const behind = engine.name === 'sqlite' ? 'DELETE FROM sqlite_sequence' : 'ALTER TABLE maintenance_runs ALTER id RESTART WITH 1'

  for (const last of [4, 900]) {
    test(`${engine.name}: runs go on above the highest number of the history, ${last}, where the sequence was set back`, async () => {
      await using fixture = await migrated(engine)
      await pastRunsUpTo(fixture.outside, last)
      await fixture.outside.sql(behind)
      await expiredSessions(fixture.outside, engine, 3)
      const results = []
      for (const job of JOBS) results.push(await run(fixture.database, { job }))
      assert.deepEqual(
        results.map(({ outcome, error }) => [outcome, error]),
        JOBS.map(() => ['succeeded', undefined]),
      )
      assert.deepEqual(await numbersOf(fixture.outside), [last + 1, last + 2, last + 3, last + 4])
    })
  }

  for (const table of COUNTED_RUNS) {
    test(`${engine.name}: no run takes the number of an earlier one that ${table} still counts for`, async () => {
      await using fixture = await migrated(engine)
      await fixture.outside.sql(`INSERT INTO ${table} (run, "rows", bytes, files) VALUES (70, 5, 6, 7)`)
      for (const job of JOBS) assert.equal((await run(fixture.database, { job })).outcome, 'succeeded')
      assert.deepEqual(await numbersOf(fixture.outside), [71, 72, 73, 74])
    })
  }

  test(`${engine.name}: no run takes the number of an earlier one whose rules are on record`, async () => {
    await using fixture = await migrated(engine)
    await fixture.outside.sql(`INSERT INTO maintenance_run_policies (run, job, sha256, compared_sha256) VALUES (70, 'another', 'a', 'a')`)
    for (const job of JOBS) assert.equal((await run(fixture.database, { job })).outcome, 'succeeded')
    assert.deepEqual(await numbersOf(fixture.outside), [71, 72, 73, 74])
  })

  test(`${engine.name}: jobs that begin together after a restore each get a number`, async () => {
    await using fixture = await migrated(engine)
    await pastRunsUpTo(fixture.outside, 30)
    await fixture.outside.sql(behind)
    const results = await Promise.all(JOBS.map((job) => run(fixture.database, { job })))
    assert.deepEqual(
      results.map(({ outcome }) => outcome),
      JOBS.map(() => 'succeeded'),
    )
    assert.deepEqual(await numbersOf(fixture.outside), [31, 32, 33, 34])
  })
}
