import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextSlot } from '../../src/schedule/cron.ts'
import { firstSlotAfter } from '../../src/schedule/due.ts'

const CASES: readonly [title: string, schedule: string, zone: string, since: string, now: string, slot: string][] = [
  ['of many slots that passed the first one counts', '*/15 * * * *', 'UTC', '2026-05-01T00:00', '2026-05-06T10:44:59', '2026-05-01T00:15'],
  ['one slot that passed', '0 3 * * *', 'UTC', '2026-05-05T03:10', '2026-05-06T09:00', '2026-05-06T03:00'],
  ['a slot that is just now', '0 3 * * *', 'UTC', '2026-05-05T03:10', '2026-05-06T03:00', '2026-05-06T03:00'],
  ['a night that is left out at the weekend', '0 3 * * 1-5', 'UTC', '2026-05-08T03:10', '2026-05-13T09:00', '2026-05-11T03:00'],
  ['in the zone of the schedule', '0 3 * * *', 'Asia/Kolkata', '2026-05-05T00:00', '2026-05-09T22:00', '2026-05-05T21:30'],
  ['months ago', '0 0 1 * *', 'UTC', '2026-01-01T00:00:01', '2026-11-11T12:00', '2026-02-01T00:00'],
]

for (const [title, schedule, zone, since, now, slot] of CASES) {
  test(`the first slot after a moment: ${title}`, () => {
    const found = firstSlotAfter(schedule, zone, Date.parse(`${since}Z`), Date.parse(`${now}Z`))
    assert.equal(found === undefined ? undefined : new Date(found).toISOString(), new Date(`${slot}Z`).toISOString())
  })
}

test('where none has passed, the first slot is the next one', () => {
  const now = Date.now()
  assert.equal(firstSlotAfter('0 0 1 1 *', 'UTC', now, now), nextSlot('0 0 1 1 *', 'UTC'))
})
