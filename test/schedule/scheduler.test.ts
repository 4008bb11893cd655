import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startScheduler, type Scheduled, type SchedulerOptions } from '../../src/schedule/scheduler.ts'
import { hostClock, type Clock, type EpochMs } from '../../src/time/clock.ts'

const NEVER = '0 0 1 1 *'

interface Watched extends Scheduled {
  readonly runs: { slot: EpochMs; trigger: string; at: number }[]
  due: EpochMs | undefined
  looks: number
}

function job(schedule: string, due?: EpochMs, lastsMs = 0): Watched {
  return {
    name: schedule,
    schedule,
    runs: [],
    due,
    looks: 0,
    async run(slot, trigger) {
      this.runs.push({ slot, trigger, at: Date.now() })
      this.due = undefined
      await sleep(lastsMs)
    },
    overdue() {
      this.looks += 1
      return Promise.resolve(this.due)
    },
  }
}

const options = (overrides: Partial<SchedulerOptions> = {}): SchedulerOptions => ({
  timeZone: 'UTC',
  clock: hostClock(),
  catchUp: true,
  random: () => 0,
  ...overrides,
})

/** Waits for what must come, and no longer. */
async function until(holds: () => boolean, limitMs = 10_000): Promise<void> {
  for (const end = Date.now() + limitMs; !holds(); await sleep(10)) assert.ok(Date.now() < end, 'it did not come to pass')
}

test('an overdue job is run once at the start, and one that is not overdue is left alone', async (t) => {
  const overdue = job(NEVER, 1_000)
  const current = job(NEVER)
  const scheduler = startScheduler([overdue, current], options())
  t.after(() => scheduler.stop())
  await until(() => overdue.runs.length > 0 && current.looks > 0)
  await scheduler.stop()
  assert.deepEqual(
    overdue.runs.map(({ slot, trigger }) => [slot, trigger]),
    [[1_000, 'catch-up']],
  )
  assert.deepEqual(current.runs, [])
})

test('with schedule.catchUp off missed slots are not looked up', async (t) => {
  const overdue = job('* * * * * *', 1_000)
  const scheduler = startScheduler([overdue], options({ catchUp: false }))
  t.after(() => scheduler.stop())
  await until(() => overdue.runs.length > 0)
  await scheduler.stop()
  assert.equal(overdue.looks, 0)
  assert.ok(overdue.runs.every(({ trigger }) => trigger === 'schedule'))
})

test('the delay is random and at most 20 seconds, and a stop cuts it short', async (t) => {
  const delays: number[] = []
  const host = hostClock()
  const clock: Clock = {
    ...host,
    sleep: (ms, signal) => {
      delays.push(ms)
      return host.sleep(ms, signal)
    },
  }
  const overdue = job(NEVER, 1_000)
  const started = Date.now()
  const scheduler = startScheduler([overdue], options({ clock, random: () => 0.9999 }))
  t.after(() => scheduler.stop())
  await scheduler.stop()
  assert.ok(Date.now() - started < 1_000)
  assert.ok(delays.some((ms) => ms > 19_000 && ms < 20_000))
  assert.deepEqual(overdue.runs, [])
})

test('a slot missed by a blocked loop is made up for by one run', async (t) => {
  const blocked = job('*/5 * * * * *')
  const scheduler = startScheduler([blocked], options())
  t.after(() => scheduler.stop())
  await until(() => blocked.runs.length > 0)
  blocked.due = 42
  // Until more than two seconds behind the next slot, and well before the one after it.
  const sinceSlot = Date.now() - blocked.runs[0]!.slot
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 8_200 - sinceSlot)
  await until(() => blocked.runs.length > 1)
  await scheduler.stop()
  assert.deepEqual(
    blocked.runs.slice(1).map(({ slot, trigger }) => [slot, trigger]),
    [[42, 'catch-up']],
  )
})

for (const [what, ms] of [
  ['set forward', 86_400_000],
  ['set back', -86_400_000],
] as const) {
  test(`a clock that is ${what} is noticed within one look, and the jobs are looked at again`, async (t) => {
    const host = hostClock()
    let shift = 0
    let looked: (() => void) | undefined
    const clock: Clock = {
      ...host,
      now: () => host.now() + shift,
      // The watch of the clocks sleeps until it is woken; what else sleeps does so as ever.
      sleep: (duration, signal) =>
        duration !== 30_000
          ? host.sleep(duration, signal)
          : new Promise((resolve) => {
              looked = resolve
              signal?.addEventListener('abort', () => resolve(), { once: true })
            }),
    }
    const watched = job(NEVER)
    const scheduler = startScheduler([watched], options({ clock }))
    t.after(() => scheduler.stop())
    await until(() => watched.looks === 1)
    looked!()
    await sleep(50)
    assert.equal(watched.looks, 1, 'clocks that agree are no reason to look')
    shift = ms
    watched.due = 7
    looked!()
    await until(() => watched.runs.length === 1)
    assert.deepEqual([watched.runs[0]!.slot, watched.runs[0]!.trigger], [7, 'catch-up'])
    await scheduler.stop()
  })
}

test('a job never overlaps itself, and a long run keeps no other job waiting', async (t) => {
  const running = new Set<Watched>()
  const release = Promise.withResolvers<void>()
  const watched = (long: boolean): Watched => ({
    ...job('* * * * * *'),
    async run(slot, trigger) {
      assert.ok(!running.has(this))
      running.add(this)
      this.runs.push({ slot, trigger, at: Date.now() })
      if (long) await release.promise
      running.delete(this)
    },
  })
  const [long, short] = [watched(true), watched(false)]
  const scheduler = startScheduler([long, short], options())
  t.after(() => scheduler.stop())
  await until(() => short.runs.length >= 3)
  assert.equal(long.runs.length, 1)
  let stopped = false
  const stop = scheduler.stop().then(() => (stopped = true))
  await sleep(20)
  assert.equal(stopped, false, 'a stop waits for the run')
  release.resolve()
  await stop
})
