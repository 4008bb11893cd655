import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deletedByDay, deletedByDaySql, MOST_RUNS, readDeletedByDay } from '../../src/status/deleted-by-day.ts'
import { DAY, HOUR } from '../../src/time.ts'
import { migrated } from '../jobs/support.ts'
import { ENGINES } from '../support/engines.ts'
import { pastRuns } from './past-runs.ts'

const MIDNIGHT = 20_000 * DAY

describe('rows deleted by day', () => {
  it('are added up by job, a day without runs is nothing, and what is of other days is left out', () => {
    const parts = [
      { job: 'a', at: MIDNIGHT - 3 * DAY, deleted: 1 },
      { job: 'a', at: MIDNIGHT - 2 * DAY, deleted: 2 },
      { job: 'a', at: MIDNIGHT - 1, deleted: 4 },
      { job: 'b', at: MIDNIGHT, deleted: 8 },
      { job: 'a', at: MIDNIGHT - DAY, deleted: 16 },
      { job: 'a', at: MIDNIGHT + DAY, deleted: 32 },
    ]
    assert.deepEqual(deletedByDay(parts, MIDNIGHT + 5 * HOUR, 3), {
      days: [MIDNIGHT - 2 * DAY, MIDNIGHT - DAY, MIDNIGHT],
      jobs: new Map([
        ['a', [2, 20, 0]],
        ['b', [0, 0, 8]],
      ]),
    })
  })

  for (const engine of ENGINES) {
    it(`are read on ${engine.name} as they are on record, also beyond 32 bits`, async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      const now = MIDNIGHT + HOUR
      assert.deepEqual((await readDeletedByDay(database, database.named('maintenance_runs'), now, 2)).jobs, new Map())
      await pastRuns(outside, [
        { job: 'a', startedAt: MIDNIGHT - DAY - 1, deleted: 1 },
        { job: 'a', startedAt: MIDNIGHT - DAY, deleted: 3_000_000_000 },
        { job: 'a', startedAt: MIDNIGHT - 1, deleted: 3_000_000_000 },
        { job: 'b', startedAt: MIDNIGHT - 1, deleted: 0 },
        { job: 'b', startedAt: MIDNIGHT + 1, deleted: 5 },
        { job: 'b', startedAt: MIDNIGHT + DAY, deleted: 7 },
      ])
      assert.deepEqual(await readDeletedByDay(database, database.named('maintenance_runs'), now, 2), {
        days: [MIDNIGHT - DAY, MIDNIGHT],
        jobs: new Map([
          ['a', [6_000_000_000, 0]],
          ['b', [0, 5]],
        ]),
      })
    })

    it(`are those of the newest runs on ${engine.name} where there are too many, and of whole days alone`, async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await pastRuns(
        outside,
        Array.from({ length: 60 }, (_, index) => ({ job: 'a', startedAt: MIDNIGHT + HOUR - index * 6 * HOUR, deleted: 1 })),
      )
      const read = async (most: number): Promise<readonly number[] | undefined> =>
        (await readDeletedByDay(database, database.named('maintenance_runs'), MIDNIGHT + HOUR, 4, most)).jobs.get('a')
      assert.deepEqual(await read(100), [4, 4, 4, 1])
      assert.deepEqual(await read(13), [4, 4, 1])
      assert.deepEqual(await read(9), [4, 1])
      assert.deepEqual(await read(8), [4, 1])
      assert.deepEqual(await read(1), undefined)
    })

    it(`are found on ${engine.name} by the index`, async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      const now = Date.now()
      await pastRuns(
        outside,
        Array.from({ length: 40_000 }, (_, index) => ({ job: 'a', startedAt: now - index * (HOUR / 4), deleted: 1 })),
      )
      await outside.sql('ANALYZE maintenance_runs')
      const explain = engine.name === 'sqlite' ? 'EXPLAIN QUERY PLAN' : 'EXPLAIN'
      const plan = await outside.sql(`${explain} ${deletedByDaySql(database.named('maintenance_runs'))}`, [now - 90 * DAY, MOST_RUNS])
      assert.match(JSON.stringify(plan), /idx_maintenance_runs_started/)
      assert.doesNotMatch(JSON.stringify(plan), /Seq Scan|SCAN maintenance_runs/)
    })
  }
})
