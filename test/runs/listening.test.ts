import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DatabaseError } from '../../src/database/database-error.ts'
import type { Database } from '../../src/database/database.ts'
import type { Pressure } from '../../src/database/purging.ts'
import type { JobBatch, JobStart, RunListener } from '../../src/runs/run-context.ts'
import { hostClock, SECOND, type Clock } from '../../src/time/clock.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { expiredSessions, intercepted, migrated, run } from './support.ts'

const ROWS = 1_200

interface Heard extends RunListener {
  readonly starts: [string, JobStart][]
  readonly batches: JobBatch[]
  readonly pauses: [number, string][]
}

function listening(): Heard {
  const [starts, batches, pauses]: [[string, JobStart][], JobBatch[], [number, string][]] = [[], [], []]
  return {
    starts,
    batches,
    pauses,
    jobStarted: (job, start) => void starts.push([job, start]),
    jobWarning: () => {},
    jobBatch: (_, batch) => void batches.push(batch),
    jobPaused: (_, ms, reason) => void pauses.push([ms, reason]),
  }
}

/** Its time passes in short waits alone: what is waited does not depend on how long the work between takes. */
function resting(): Clock {
  const clock = hostClock()
  let passedMs = 0
  return {
    now: () => clock.now(),
    monotonicMs: () => passedMs,
    async sleep(ms, signal) {
      await clock.sleep(ms, signal)
      if (ms < SECOND) passedMs += ms
    },
  }
}

/** The same database; what it says of others is changed, one look after the other. */
function pressed(database: Database, looks: readonly Partial<Pressure>[]): Database {
  let look = 0
  const pressure = async (): Promise<Pressure> => ({
    ...(await database.pressure()),
    others: false,
    contended: false,
    backpressure: undefined,
    ...looks[look++],
  })
  return new Proxy(database, { get: (target, name) => (name === 'pressure' ? pressure : Reflect.get(target, name)) as unknown })
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: a run reports its start, every batch and every pause`, async () => {
    await using fixture = await migrated(engine)
    await expiredSessions(fixture.outside, engine, ROWS)
    const heard = listening()
    const database = pressed(fixture.database, [{}, { others: true }, { contended: true }, { backpressure: 'a replica lags' }])
    const result = await run(database, { trigger: 'schedule' }, { listener: heard, clock: resting() })
    assert.deepEqual(heard.starts, [['purge-sessions', { trigger: 'schedule', dryRun: false }]])
    assert.equal(heard.batches.length, result.batches)
    assert.deepEqual(
      heard.batches.map(({ total }) => total),
      heard.batches.map((_, at) => heard.batches.slice(0, at + 1).reduce((sum, { affected }) => sum + affected, 0)),
    )
    assert.equal(heard.batches.at(-1)!.total, ROWS)
    assert.ok(heard.pauses.every(([ms]) => ms > 0))
    const reasons = heard.pauses.map(([, reason]) => reason)
    assert.deepEqual(reasons.slice(0, 4), ['polite', 'contended', 'polite', 'hold'])
  })

  test(`${engine.name}: a batch that met a lock is reported once, with the wait before its retry`, async () => {
    await using fixture = await migrated(engine)
    await expiredSessions(fixture.outside, engine, ROWS)
    // The first transaction is the claim.
    const stumbling = intercepted(fixture.database, (number, transact) =>
      number === 2 ? Promise.reject(new DatabaseError('busy', 'a lock')) : transact(),
    )
    const heard = listening()
    const result = await run(stumbling, {}, { listener: heard })
    assert.equal(result.deleted, ROWS)
    assert.equal(heard.batches.length, result.batches)
    assert.ok(heard.batches.every(({ durationMs }) => durationMs > 0))
    assert.deepEqual(heard.pauses.filter(([, reason]) => reason === 'retry').length, 1)
  })

  test(`${engine.name}: a dry run reports what it counts, and a run that another worker has reports nothing`, async () => {
    await using fixture = await migrated(engine)
    await expiredSessions(fixture.outside, engine, ROWS)
    const heard = listening()
    await run(fixture.database, { dryRun: true }, { listener: heard })
    assert.deepEqual(heard.starts, [['purge-sessions', { trigger: 'run-now', dryRun: true }]])
    assert.equal(heard.batches.at(-1)?.total, ROWS)

    const skipped = listening()
    await fixture.outside.sql(
      `INSERT INTO maintenance_leases (job, holder, fence, expires_at) VALUES ('purge-sessions', 'another:1', 1, $1)`,
      [Date.now() + 10_000],
    )
    assert.equal((await run(fixture.database, {}, { listener: skipped })).outcome, 'skipped')
    assert.deepEqual([...skipped.starts, ...skipped.batches, ...skipped.pauses], [])
  })
}

for (const what of ['inspect', 'pressure'] as const)
  test(`sqlite: a connection that is lost in \`${what}\` costs a run nothing`, async () => {
    const engine = BOTH_ENGINES[0]!
    await using fixture = await migrated(engine)
    await expiredSessions(fixture.outside, engine, 20)
    let calls = 0
    const breaking = new Proxy(fixture.database, {
      get(target, name) {
        const verb: unknown = Reflect.get(target, name)
        if (name !== what || typeof verb !== 'function') return verb
        return (...given: unknown[]) => {
          calls += 1
          if (calls === 1) return Promise.reject(new DatabaseError('lost', 'the link is gone'))
          return Reflect.apply(verb, target, given) as unknown
        }
      },
    })
    const { outcome, deleted, error } = await run(breaking)
    assert.deepEqual([outcome, deleted, error], ['succeeded', 20, undefined])
    assert.ok(calls > 1)
  })
