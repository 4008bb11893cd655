import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DatabaseError } from '../../src/database/database-error.ts'
import { claimLease, releaseLease, renewLease, TERM_MS } from '../../src/runs/lease.ts'
import { LEASES } from '../../src/runs/run-records.ts'
import { HOUR, MINUTE } from '../../src/time/clock.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { ahead, count, expiredSessions, intercepted, migrated, opened, run, stored } from './support.ts'

const ROWS = 4_000

/** As if the holder had been away for longer than the term. */
async function letExpire(database: TestDatabase): Promise<void> {
  await database.sql('UPDATE maintenance_leases SET expires_at = 1')
}

for (const engine of ENGINES) {
  test(`${engine.name}: a run paused beyond its lease loses it to another worker, deletes nothing more and ends as failed`, async () => {
    await using fixture = await migrated(engine)
    await expiredSessions(fixture.outside, engine, ROWS)
    await using other = await opened(fixture.outside.url)
    let taken: Awaited<ReturnType<typeof run>> | undefined
    let kept = 0
    const paused = intercepted(fixture.database, async (number, transact) => {
      if (number === 4) {
        await letExpire(fixture.outside)
        taken = await run(other, {}, { worker: 'host-b:2' })
        await fixture.outside.sql(
          `INSERT INTO sessions (session_token, user_identifier, expires_at) VALUES ('late', 'u', ${engine.moment(-60)})`,
        )
        kept = await count(fixture.outside, 'sessions')
      }
      return transact()
    })
    const lost = await run(paused)
    assert.equal(lost.outcome, 'failed')
    assert.equal(lost.exitCode, 1)
    assert.match(String(lost.error), /host-a:1 has lost the lease of purge-sessions/)
    assert.equal(taken?.outcome, 'succeeded')
    assert.ok(lost.deleted > 0 && taken.deleted > 0)
    assert.equal(lost.deleted + taken.deleted, ROWS)
    assert.equal(kept, 1)
    assert.equal(await count(fixture.outside, 'sessions'), 1)

    const [first, second] = await stored(fixture.outside)
    assert.equal(first?.outcome, 'failed')
    assert.match(String(first.error), /lost the lease/)
    assert.equal(first.rows_deleted, lost.deleted)
    assert.ok(first.finished_at! <= second!.started_at)
    assert.equal(second?.outcome, 'succeeded')
    // The one that lost it must not give away what is not its own any more.
    assert.deepEqual(await fixture.outside.sql('SELECT holder, fence FROM maintenance_leases'), [
      { holder: 'host-b:2 (knows holds)', fence: 2 },
    ])
  })

  test(`${engine.name}: a run paused beyond its lease goes on if nobody took it meanwhile, as after a long failover`, async () => {
    await using fixture = await migrated(engine)
    await expiredSessions(fixture.outside, engine, ROWS)
    const paused = intercepted(fixture.database, async (number, transact) => {
      if (number === 4) await letExpire(fixture.outside)
      return transact()
    })
    const result = await run(paused)
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', ROWS], String(result.error))
    assert.equal(await count(fixture.outside, 'sessions'), 0)
    assert.deepEqual(
      (await stored(fixture.outside)).map((row) => [row.outcome, row.rows_deleted]),
      [['succeeded', ROWS]],
    )
  })

  test(`${engine.name}: a lease that was given back is not renewed`, async () => {
    await using fixture = await migrated(engine)
    const { database, outside } = fixture
    const leases = database.named(LEASES)
    const lease = await database.transaction((tx) =>
      claimLease(tx, leases, { job: 'purge-sessions', holder: 'host-a:1', knowsHolds: false, again: false }),
    )
    await database.transaction((tx) => releaseLease(tx, leases, lease!))
    await assert.rejects(
      database.transaction((tx) => renewLease(tx, leases, lease!)),
      /has lost the lease/,
    )
    assert.deepEqual(await outside.sql('SELECT expires_at FROM maintenance_leases'), [{ expires_at: 0 }])
  })

  test(`${engine.name}: while a worker runs a job others are told who it is, skip it and leave no row`, async () => {
    await using fixture = await migrated(engine)
    await expiredSessions(fixture.outside, engine, 10)
    await using other = await opened(fixture.outside.url)
    let skipped: Awaited<ReturnType<typeof run>> | undefined
    const holding = intercepted(fixture.database, async (number, transact) => {
      if (number === 2) skipped = await run(other, {}, { worker: 'host-b:2' })
      return transact()
    })
    assert.equal((await run(holding)).outcome, 'succeeded')
    assert.equal(skipped?.outcome, 'skipped')
    assert.equal(skipped.reason, 'already running on host-a:1')
    assert.equal(skipped.exitCode, 0)
    assert.equal((await stored(fixture.outside)).length, 1)
  })

  test(`${engine.name}: a lease is released at the end, and one that expires further ahead than a term is void`, async () => {
    await using fixture = await migrated(engine)
    assert.equal((await run(fixture.database)).outcome, 'succeeded')
    assert.deepEqual(await fixture.outside.sql('SELECT holder, fence, expires_at FROM maintenance_leases'), [
      { holder: 'host-a:1 (knows holds)', fence: 1, expires_at: 0 },
    ])
    await fixture.outside.sql("UPDATE maintenance_leases SET holder = 'gone:1', expires_at = $1", [Date.now() + HOUR])
    assert.equal((await run(fixture.database)).outcome, 'succeeded')
    await fixture.outside.sql("UPDATE maintenance_leases SET holder = 'gone:1', expires_at = $1", [Date.now() + TERM_MS - 1_000])
    assert.equal((await run(fixture.database)).reason, 'already running on gone:1')
  })

  test(`${engine.name}: a killed holder's lease is free again within the term, and its run is closed as interrupted`, async () => {
    await using fixture = await migrated(engine)
    await fixture.outside.sql(
      `INSERT INTO maintenance_runs (job, "trigger", worker, version, started_at, rows_deleted, batches) VALUES ('purge-sessions', 'schedule', 'gone:1', '1', $1, 7, 2)`,
      [Date.now() - 20_000],
    )
    await fixture.outside.sql(
      `INSERT INTO maintenance_leases (job, holder, fence, expires_at) VALUES ('purge-sessions', 'gone:1', 41, $1)`,
      [Date.now() - 1],
    )
    assert.equal((await run(fixture.database)).outcome, 'succeeded')
    const [dead] = await stored(fixture.outside)
    assert.deepEqual([dead?.outcome, dead?.rows_deleted, dead?.batches], ['interrupted', 7, 2])
    assert.match(String(dead?.error), /worker gone:1 went away.*closed by host-a:1/)
    assert.deepEqual(await fixture.outside.sql('SELECT fence FROM maintenance_leases'), [{ fence: 42 }])
  })

  test(`${engine.name}: a run whose worker went away ended when that worker last renewed the lease, or when it is closed if that is not known`, async () => {
    const startedAt = Date.now() - 10 * MINUTE
    const cases = [
      ['gone:1 (knows holds)', startedAt + 2_000, startedAt + 2_000],
      ['gone:1', startedAt, startedAt],
      ['another:7', startedAt + 2_000, undefined],
      ['gone:1', startedAt - 1, undefined],
    ] as const
    for (const [holder, renewedAt, expected] of cases) {
      await using fixture = await migrated(engine)
      await fixture.outside.sql(
        `INSERT INTO maintenance_runs (job, "trigger", worker, version, started_at, rows_deleted, batches) VALUES ('purge-sessions', 'schedule', 'gone:1', '1', $1, 7, 2)`,
        [startedAt],
      )
      await fixture.outside.sql(`INSERT INTO maintenance_leases (job, holder, fence, expires_at) VALUES ('purge-sessions', $1, 41, $2)`, [
        holder,
        renewedAt + TERM_MS,
      ])
      assert.equal((await run(fixture.database)).outcome, 'succeeded')
      const [dead, own] = await stored(fixture.outside)
      assert.equal(dead?.outcome, 'interrupted')
      assert.equal(dead.finished_at, expected ?? own!.started_at, holder)
    }
  })

  test(`${engine.name}: an answer to COMMIT that is lost costs no row and no count, whichever commit it is`, async () => {
    for (const lost of [1, 2, 3, 4, 5]) {
      await using fixture = await migrated(engine)
      await expiredSessions(fixture.outside, engine, 1_200)
      const flaky = intercepted(fixture.database, async (number, transact) => {
        const value = await transact()
        if (number === lost) throw new DatabaseError('lost', 'the connection broke')
        return value
      })
      const result = await run(flaky)
      assert.equal(result.outcome, 'succeeded', `commit ${lost}: ${String(result.error)}`)
      assert.equal(result.deleted, 1_200, `commit ${lost}`)
      assert.equal(await count(fixture.outside, 'sessions'), 0)
      assert.deepEqual(
        (await stored(fixture.outside)).map((row) => [row.outcome, row.rows_deleted]),
        [['succeeded', 1_200]],
        `commit ${lost}`,
      )
    }
  })

  test(`${engine.name}: a slot after which a run has begun is not run again, and a later slot is`, async () => {
    await using fixture = await migrated(engine)
    const slot = Date.now() - 2_000
    assert.equal((await run(fixture.database, { trigger: 'schedule', slot })).outcome, 'succeeded')
    const again = await run(fixture.database, { trigger: 'schedule', slot }, { worker: 'host-b:2' })
    assert.equal(again.outcome, 'skipped')
    assert.match(String(again.reason), /this slot was already done/)
    assert.equal((await run(fixture.database, { trigger: 'catch-up', slot })).outcome, 'skipped')
    assert.equal((await run(fixture.database, { trigger: 'schedule', slot: Date.now() + 60_000 })).outcome, 'succeeded')
    assert.equal((await run(fixture.database)).outcome, 'succeeded')
    assert.equal((await stored(fixture.outside)).length, 3)
  })

  test(`${engine.name}: the slot is compared by the database's clock, and runs in the future do not count`, async () => {
    await using fixture = await migrated(engine)
    const clock = ahead(30 * 60_000)
    await using shifted = engine.name === 'sqlite' ? await opened(fixture.outside.url, clock) : await opened(fixture.outside.url)
    const slot = clock.now() - 1_000
    assert.equal((await run(shifted, { trigger: 'schedule', slot }, { clock })).outcome, 'succeeded')
    assert.equal((await run(shifted, { trigger: 'schedule', slot }, { clock })).outcome, 'skipped')
    await fixture.outside.sql('UPDATE maintenance_runs SET started_at = started_at + $1', [48 * HOUR])
    assert.equal((await run(shifted, { trigger: 'schedule', slot }, { clock })).outcome, 'succeeded')
  })
}
