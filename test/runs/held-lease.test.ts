import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { HeldLease } from '../../src/runs/held-lease.ts'
import { claimLease, TERM_MS } from '../../src/runs/lease.ts'
import { LEASES } from '../../src/runs/run-records.ts'
import { hostClock, SECOND, type Clock } from '../../src/time/clock.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { migrated, opened } from './support.ts'

const SQLITE = BOTH_ENGINES[0]!

test('a lease is renewed while batches that are rolled back use up its time', async () => {
  await using fixture = await migrated(SQLITE)
  const hands = handClock()
  await using database = await opened(fixture.outside.url, hands.clock)
  const leases = database.named(LEASES)
  const lease = await database.transaction((tx) =>
    claimLease(tx, leases, { job: 'purge-sessions', holder: 'host-a:1', knowsHolds: false, again: false }),
  )
  assert.ok(lease !== undefined)
  const held = new HeldLease({ database, clock: hands.clock, leases, lease })
  for (let ms = 0; ms < 3 * TERM_MS; ms += 4 * SECOND) {
    await assert.rejects(
      held.transaction(() => Promise.reject(new Error('too slow'))),
      /too slow/,
    )
    hands.advance(4 * SECOND)
    for (let at = 0; at < 20; at += 1) await turn()
  }
  assert.equal(await held.transaction(() => Promise.resolve('kept')), 'kept')
  await held.end()
})

/** Its time passes only when it is told to. */
function handClock(): { readonly clock: Clock; advance(ms: number): void } {
  const host = hostClock()
  let passedMs = 0
  const waiting = new Set<{ readonly untilMs: number; readonly wake: () => void }>()
  return {
    clock: {
      now: () => host.now() + passedMs,
      monotonicMs: () => passedMs,
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          const waiter = { untilMs: passedMs + ms, wake: resolve }
          waiting.add(waiter)
          signal?.addEventListener('abort', () => resolve(), { once: true })
          if (ms <= 0 || signal?.aborted === true) resolve()
        }),
    },
    advance(ms) {
      passedMs += ms
      for (const waiter of waiting)
        if (waiter.untilMs <= passedMs) {
          waiting.delete(waiter)
          waiter.wake()
        }
    },
  }
}
