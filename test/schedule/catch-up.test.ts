import assert from 'node:assert/strict'
import { test } from 'node:test'
import { overdueSlot } from '../../src/schedule/catch-up.ts'

const CASES: readonly [title: string, schedule: string, zone: string, since: string, now: string, slot: string | undefined][] = [
  [
    'a worker killed at 02:59 and started at 03:20 has missed 03:00',
    '0 3 * * *',
    'UTC',
    '2026-05-04T03:00:05',
    '2026-05-05T03:20',
    '2026-05-05T03:00',
  ],
  ['started again at 03:30 it has missed nothing', '0 3 * * *', 'UTC', '2026-05-05T03:20:10', '2026-05-05T03:30', undefined],
  ['before the first slot nothing was missed', '0 3 * * *', 'UTC', '2026-05-05T03:20', '2026-05-06T02:59:59', undefined],
  ['at the very slot it is due', '0 3 * * *', 'UTC', '2026-05-05T03:20', '2026-05-06T03:00', '2026-05-06T03:00'],
  ['a run at the very slot has done it', '0 3 * * *', 'UTC', '2026-05-06T03:00', '2026-05-06T03:20', undefined],
  ['of many missed slots the last one counts', '*/15 * * * *', 'UTC', '2026-05-01T00:00', '2026-05-06T10:44:59', '2026-05-06T10:30'],
  ['seconds are looked at where there are any', '*/20 * * * * *', 'UTC', '2026-05-06T10:00', '2026-05-06T10:44:59', '2026-05-06T10:44:40'],
  ['every second', '* * * * * *', 'UTC', '2026-05-06T10:44:57.5', '2026-05-06T10:44:59.9', '2026-05-06T10:44:59'],
  ['a clock set back behind the last run has missed nothing', '* * * * *', 'UTC', '2026-05-06T12:00', '2026-05-06T10:00', undefined],
  ['a clock set forward by ten years has missed one', '0 3 * * *', 'UTC', '2026-05-06T03:00', '2036-05-06T12:00', '2036-05-06T03:00'],
  ['weekdays only', '0 3 * * 1-5', 'UTC', '2026-05-08T03:00:01', '2026-05-10T12:00', undefined],
  ['weekdays only, on Monday', '0 3 * * 1-5', 'UTC', '2026-05-08T03:00:01', '2026-05-11T12:00', '2026-05-11T03:00'],
  ['the last day of the month', '0 3 L * *', 'UTC', '2026-04-15T00:00', '2026-05-11T12:00', '2026-04-30T03:00'],
  ['once a year', '0 0 1 1 *', 'UTC', '2025-06-01T00:00', '2026-05-11T12:00', '2026-01-01T00:00'],
  ['in the zone of the schedule', '0 3 * * *', 'Asia/Kolkata', '2026-05-05T00:00', '2026-05-05T22:00', '2026-05-05T21:30'],
  // Berlin: 2026-03-29 02:00 is 03:00, and 2026-10-25 03:00 is 02:00 once more.
  [
    'a slot in the hour that spring leaves out does not come',
    '30 2 * * *',
    'Europe/Berlin',
    '2026-03-28T12:00',
    '2026-03-29T12:00',
    undefined,
  ],
  [
    'the slot before the hour that spring leaves out',
    '59 1 * * *',
    'Europe/Berlin',
    '2026-03-28T12:00',
    '2026-03-29T12:00',
    '2026-03-29T00:59',
  ],
  [
    'the slot after the hour that spring leaves out',
    '0 3 * * *',
    'Europe/Berlin',
    '2026-03-28T12:00',
    '2026-03-29T12:00',
    '2026-03-29T01:00',
  ],
  ['in autumn the first of two readings is no slot', '30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00', '2026-10-25T00:45', undefined],
  [
    'in autumn the second of two readings is the slot',
    '30 2 * * *',
    'Europe/Berlin',
    '2026-10-24T12:00',
    '2026-10-25T01:45',
    '2026-10-25T01:30',
  ],
  ['in autumn it comes once', '30 2 * * *', 'Europe/Berlin', '2026-10-25T01:30:01', '2026-10-25T12:00', undefined],
  [
    'within the first of two hours a quarter-hourly job has missed what was before it',
    '*/15 * * * *',
    'Europe/Berlin',
    '2026-10-24T12:00',
    '2026-10-25T00:20',
    '2026-10-24T23:45',
  ],
  ['half an hour is changed on Lord Howe', '45 1 * * *', 'Australia/Lord_Howe', '2026-04-04T12:00', '2026-04-05T00:00', '2026-04-04T15:15'],
]

for (const [title, schedule, zone, since, now, slot] of CASES) {
  test(title, () => {
    const found = overdueSlot(schedule, zone, Date.parse(`${since}Z`), Date.parse(`${now}Z`))
    assert.equal(
      found === undefined ? undefined : new Date(found).toISOString(),
      slot === undefined ? undefined : new Date(`${slot}Z`).toISOString(),
    )
  })
}

test('a year without a slot is looked through within a moment', () => {
  const started = performance.now()
  for (const schedule of ['0 0 30 2-3 *', '0 0 29 2 *', '0 3 * * *', '* * * * * *'])
    overdueSlot(schedule, 'Europe/Berlin', Date.parse('2020-01-01T00:00Z'), Date.parse('2026-03-01T00:00Z'))
  assert.ok(performance.now() - started < 1_500)
})
