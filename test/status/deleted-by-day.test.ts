import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deletedByDay, deletedByDaySql, MOST_RUNS, readDeletedByDay, type ReadDeletions } from '../../src/status/deleted-by-day.ts'
import { DAY, HOUR } from '../../src/time/clock.ts'
import { migrated } from '../runs/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
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

  for (const engine of BOTH_ENGINES) {
    it(`deleted rows are read on ${engine.name} as recorded, also beyond 32 bits`, async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      const now = MIDNIGHT + HOUR
      assert.deepEqual((await readDeletedByDay(database, database.named('maintenance_runs'), { now, days: 2 })).jobs, new Map())
      await pastRuns(outside, [
        { job: 'a', startedAt: MIDNIGHT - DAY - 1, deleted: 1 },
        { job: 'a', startedAt: MIDNIGHT - DAY, deleted: 3_000_000_000 },
        { job: 'a', startedAt: MIDNIGHT - 1, deleted: 3_000_000_000 },
        { job: 'b', startedAt: MIDNIGHT - 1, deleted: 0 },
        { job: 'b', startedAt: MIDNIGHT + 1, deleted: 5 },
        { job: 'b', startedAt: MIDNIGHT + DAY, deleted: 7 },
      ])
      assert.deepEqual(await readDeletedByDay(database, database.named('maintenance_runs'), { now, days: 2 }), {
        days: [MIDNIGHT - DAY, MIDNIGHT],
        jobs: new Map([
          ['a', [6_000_000_000, 0]],
          ['b', [0, 5]],
        ]),
        settledUntil: MIDNIGHT,
      })
    })

    it(`if there are too many runs on ${engine.name}, only whole days of the newest are read`, async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await pastRuns(
        outside,
        Array.from({ length: 60 }, (_, index) => ({ job: 'a', startedAt: MIDNIGHT + HOUR - index * 6 * HOUR, deleted: 1 })),
      )
      const read = async (most: number): Promise<readonly number[] | undefined> =>
        (await readDeletedByDay(database, database.named('maintenance_runs'), { now: MIDNIGHT + HOUR, days: 4, most })).jobs.get('a')
      assert.deepEqual(await read(100), [4, 4, 4, 1])
      assert.deepEqual(await read(13), [4, 4, 1])
      assert.deepEqual(await read(9), [4, 1])
      assert.deepEqual(await read(8), [4, 1])
      assert.deepEqual(await read(1), undefined)
    })

    it(`days on ${engine.name} that can no longer change are not read again`, async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      const table = database.named('maintenance_runs')
      const read = async (now: number, before?: ReadDeletions): Promise<ReadDeletions> =>
        await readDeletedByDay(database, table, { now, days: 4, before })
      await pastRuns(
        outside,
        [3, 2, 1, 0].map((days) => ({ job: 'a', startedAt: MIDNIGHT - days * DAY, deleted: 1 })),
      )
      await outside.sql('UPDATE maintenance_runs SET outcome = NULL WHERE started_at = $1', [MIDNIGHT - DAY])
      const first = await read(MIDNIGHT + 2 * HOUR)
      assert.deepEqual([told(first), first.settledUntil], [[1, 1, 1, 1], MIDNIGHT - DAY])

      // Whatever happens on settled days goes unseen; the run that was open goes on, and ends.
      await outside.sql('UPDATE maintenance_runs SET rows_deleted = 10 * id')
      const second = await read(MIDNIGHT + 3 * HOUR, first)
      assert.deepEqual([told(second), second.settledUntil], [[1, 1, 30, 40], MIDNIGHT - DAY])
      await outside.sql(`UPDATE maintenance_runs SET outcome = 'succeeded', rows_deleted = 7`)
      const third = await read(MIDNIGHT + DAY + HOUR / 2, second)
      assert.deepEqual([told(third), third.settledUntil], [[1, 7, 7, 0], MIDNIGHT])

      await outside.sql('UPDATE maintenance_runs SET rows_deleted = 8')
      assert.deepEqual(told(await read(MIDNIGHT + DAY + HOUR, third)), [1, 7, 8, 0])
      // A clock that was set back, a long silence, and days that nobody had read.
      assert.deepEqual(told(await read(MIDNIGHT - DAY, third)), [1, 8])
      assert.deepEqual(told(await read(MIDNIGHT + 3 * DAY, third)), [8, 0, 0, 0])
      assert.deepEqual(told(await read(MIDNIGHT + 9 * DAY, third)), [])
    })

    it(`deleted rows are found on ${engine.name} by the index`, async () => {
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

function told({ jobs }: ReadDeletions): readonly number[] {
  return jobs.get('a') ?? []
}
