import assert from 'node:assert/strict'
import { test } from 'node:test'
import { latestStatus, type LatestStatus } from '../../src/status/latest.ts'
import type { Status } from '../../src/status/read-status.ts'
import { hostClock, SECOND } from '../../src/time/clock.ts'

const PATIENCE = { freshMs: 5 * SECOND, waitMs: SECOND, renewMs: SECOND }

interface Readings {
  readonly latest: LatestStatus
  /** How many were begun. */
  readonly begun: () => number
  readonly end: (version: string) => Promise<void>
  readonly fail: () => Promise<void>
  readonly pass: (ms: number) => void
}

/** Each reading ends when it is told to, on a clock that goes when it is told to. */
function readings(): Readings {
  let nowMs = 0
  const begun: PromiseWithResolvers<Status>[] = []
  const clock = { ...hostClock(), monotonicMs: () => nowMs, sleep: () => new Promise<void>(() => {}) }
  const latest = latestStatus(() => {
    const reading = Promise.withResolvers<Status>()
    begun.push(reading)
    return reading.promise
  }, clock)
  return {
    latest,
    begun: () => begun.length,
    end: async (version) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing looks into it
      begun.at(-1)!.resolve({ version } as Status)
      await settled()
    },
    fail: async () => {
      begun.at(-1)!.reject(new Error('the disk is on fire'))
      await settled()
    },
    pass: (ms) => void (nowMs += ms),
  }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve()
}

async function first(read: Readings): Promise<void> {
  const known = read.latest.within(PATIENCE)
  await read.end('first')
  assert.deepEqual(await known, { status: { version: 'first' }, current: true })
}

test('a status that is a little old is returned while the next one is read in the background, once for all callers', async () => {
  const read = readings()
  await first(read)
  read.pass(SECOND)
  await read.latest.within(PATIENCE)
  assert.equal(read.begun(), 1, 'it is fresh')
  read.pass(1)
  for (let look = 0; look < 3; look += 1)
    assert.deepEqual(await read.latest.within(PATIENCE), { status: { version: 'first' }, current: true })
  assert.equal(read.begun(), 2)
  await read.end('second')
  assert.deepEqual(await read.latest.within(PATIENCE), { status: { version: 'second' }, current: true })
  assert.equal(read.begun(), 2)
})

test('a status that is too old, or outdated, is read again before the answer', async () => {
  const read = readings()
  await first(read)
  read.pass(5 * SECOND + 1)
  const later = read.latest.within(PATIENCE)
  await read.end('later')
  assert.equal((await later).status?.version, 'later')
  read.latest.outdate()
  const last = read.latest.within(PATIENCE)
  await read.end('last')
  assert.equal((await last).status?.version, 'last')
})

test('a background reading that fails ends nothing, and fails for a caller that has to wait for one', async () => {
  const read = readings()
  await first(read)
  read.pass(2 * SECOND)
  await read.latest.within(PATIENCE)
  await read.fail()
  assert.equal((await read.latest.within(PATIENCE)).status?.version, 'first')
  read.pass(5 * SECOND)
  const waiting = read.latest.within(PATIENCE)
  await read.fail()
  await assert.rejects(waiting, /on fire/)
})
