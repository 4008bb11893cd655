import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import type { Slice, Tally } from '../../src/database/purging.ts'
import { deleteSlice } from '../../src/purge/dispose.ts'
import { adaptivePacer } from '../../src/purge/pacer.ts'
import { claimRun } from '../../src/runs/recorded-run.ts'
import { hostClock, MINUTE, SECOND } from '../../src/time/clock.ts'
import { ENGINES } from '../support/engines.ts'
import { migrated } from './support.ts'

const clock = hostClock()

/** Deletes nothing, and looks how long a statement may take. */
function slice(takesMs: number | undefined, seen: string[]): Slice {
  return {
    takesMs,
    name: () => 'a slice',
    count: () => Promise.resolve(0),
    countByDay: () => Promise.resolve(new Map()),
    async remove(tx): Promise<Tally> {
      const { rows } = await tx.query<{ limit: string }>(`SELECT current_setting('statement_timeout') AS limit`)
      seen.push(rows[0]!.limit)
      return { affected: 0, locked: 0 }
    },
  }
}

for (const engine of ENGINES.slice(1))
  test(`a slice that takes long has the time for it in its own transaction, and no other has, on ${engine.name}`, async () => {
    await using fixture = await migrated(engine)
    const { database } = fixture
    const claim = await claimRun(
      { database, clock, worker: 'host-a:1', version: '1', countedRuns: [] },
      {
        job: 'purge-sessions',
        holds: 'none',
        trigger: 'run-now',
        slot: undefined,
        receipts: undefined,
        stopping: new AbortController().signal,
      },
    )
    assert.ok(claim.kind === 'run')
    const seen: string[] = []
    const dispose = deleteSlice(claim.run.batch, () => Promise.resolve([]), clock)
    for (const takesMs of [undefined, 3 * MINUTE, SECOND, undefined]) await dispose(slice(takesMs, seen))
    assert.deepEqual(seen, ['5s', '3min', '5s', '5s'])
    await claim.run.finish({ outcome: 'succeeded', cutoff: undefined, undated: 0, unreadable: 0, locked: 0, error: undefined })
  })

test('rows that went with their table are no measure of how many fit into a batch', async () => {
  await using fixture = await migrated(ENGINES[0]!)
  const measured = async (whole: Pick<Tally, 'whole'>): Promise<number> => {
    const slow: Database = new Proxy(fixture.database, {
      get: (target, name) => (name === 'heldMs' ? () => 2 * SECOND : Reflect.get(target, name)) as unknown,
    })
    const pacer = await adaptivePacer(slow, { ...clock, sleep: () => Promise.resolve() }, new AbortController().signal)
    const before = pacer.rows
    await pacer.pause({ affected: 250_000, deletingMs: 2 * SECOND, ...whole })
    return pacer.rows - before
  }
  assert.equal(await measured({ whole: true }), 0)
  assert.notEqual(await measured({}), 0)
})
