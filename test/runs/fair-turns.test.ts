import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JOBS } from '../../src/catalogue.ts'
import { Turns } from '../../src/purge/turns.ts'
import { DAY, hostClock } from '../../src/time/clock.ts'
import { freshFolder } from '../archive/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { auditLogs, AUDIT_LOGS, count, expiredSessions, migrated, QUIET, run, SESSIONS } from './support.ts'

const ACCEPTED = { accepted: new Set(['empty-table'] as const), retentionMs: 90 * DAY }

for (const engine of BOTH_ENGINES) {
  for (const archives of [false, true])
    test(`${engine.name}: a job with a few rows is done while another works on its backlog${archives ? ' and archives it' : ''}`, async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      await auditLogs(outside, engine, 25_000, 100)
      await expiredSessions(outside, engine, 784)
      const turns = new Turns()
      const begun = Promise.withResolvers<void>()
      const backlog = run(
        database,
        { job: AUDIT_LOGS, ...ACCEPTED },
        {
          turns,
          listener: { ...QUIET, jobBatch: () => begun.resolve() },
          archive: archives ? { directory: folder.path, uid: process.getuid?.(), keptMs: undefined } : undefined,
        },
      )
      await begun.promise
      const few = await run(database, { job: SESSIONS }, { turns })
      const left = await count(outside, 'audit_logs')
      const { outcome, error, deleted } = await backlog
      assert.deepEqual([few.outcome, few.deleted, outcome, deleted], ['succeeded', 784, 'succeeded', 25_000], String(error))
      assert.ok(left > 0, 'the backlog was worked off before the other job was done')
      assert.equal(await count(outside, 'audit_logs'), 0)
      assert.equal(await count(outside, 'sessions'), 0)
    })

  test(`${engine.name}: three runs at once hold their locks one at a time and rest between their batches as one would`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    const clock = hostClock()
    await auditLogs(outside, engine, 3_000, 100)
    await expiredSessions(outside, engine, 3_000)
    const turns = new Turns()
    const batches: { readonly from: number; readonly to: number }[] = []
    // Another client is active throughout, so each batch is followed by a pause.
    const watched = new Proxy(database, {
      get(target, name): unknown {
        if (name === 'pressure') return async () => ({ ...(await target.pressure()), others: true })
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const listener = {
      ...QUIET,
      jobBatch: (_: string, { durationMs }: { readonly durationMs: number }) => {
        const to = clock.monotonicMs()
        batches.push({ from: to - durationMs, to })
      },
    }
    const jobs = [AUDIT_LOGS, SESSIONS, JOBS.find(({ table }) => table === 'policy_decisions')!]
    const results = await Promise.all(
      jobs.map((job) => run(watched, job === AUDIT_LOGS ? { job, ...ACCEPTED } : { job }, { turns, listener })),
    )
    assert.deepEqual(
      results.map(({ outcome, deleted }) => [outcome, deleted]),
      [
        ['succeeded', 3_000],
        ['succeeded', 3_000],
        ['succeeded', 0],
      ],
    )
    assert.ok(batches.length > 6)
    for (const [index, { from }] of batches.entries()) {
      const before = batches[index - 1]
      if (before === undefined) continue
      const restMs = from - before.to
      // The end of a batch is noted some milliseconds late on a busy machine; without turns there is no rest at all.
      assert.ok(restMs >= database.pacing.polite.pauseMs / 2 - 1, `only ${restMs} ms between two batches`)
    }
  })
}
