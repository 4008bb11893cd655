import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { createTask } from 'node-cron'
import { scheduleProblem } from '../../src/schedule/expression.ts'
import { overdueSlot, slotsOf } from '../../src/schedule/slots.ts'
import { DAY, HOUR, MINUTE, type EpochMs } from '../../src/time/clock.ts'
import { transitions, wallClock } from '../../src/time/zones.ts'

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
    'a time of day in the hour that spring leaves out comes an hour later by the clock',
    '30 2 * * *',
    'Europe/Berlin',
    '2026-03-28T12:00',
    '2026-03-29T12:00',
    '2026-03-29T01:30',
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
  [
    'in autumn a time of day comes at the first of two readings',
    '30 2 * * *',
    'Europe/Berlin',
    '2026-10-24T12:00',
    '2026-10-25T12:00',
    '2026-10-25T00:30',
  ],
  ['in autumn it does not come again at the second', '30 2 * * *', 'Europe/Berlin', '2026-10-25T00:30:01', '2026-10-25T12:00', undefined],
  [
    'what repeats comes in the first of two hours',
    '*/15 * * * *',
    'Europe/Berlin',
    '2026-10-24T12:00',
    '2026-10-25T00:20',
    '2026-10-25T00:15',
  ],
  [
    'what repeats comes in the second of two hours',
    '*/15 * * * *',
    'Europe/Berlin',
    '2026-10-24T12:00',
    '2026-10-25T01:20',
    '2026-10-25T01:15',
  ],
  [
    'what repeats within some hours comes in both of them',
    '*/15 1-2 * * *',
    'Europe/Berlin',
    '2026-10-24T12:00',
    '2026-10-25T12:00',
    '2026-10-25T01:45',
  ],
  ['and in no hour that is not named', '*/15 3 * * *', 'Europe/Berlin', '2026-10-24T12:00', '2026-10-25T01:59', undefined],
  [
    'on Lord Howe, where half an hour is changed, a time of day comes at the first of two readings',
    '45 1 * * *',
    'Australia/Lord_Howe',
    '2026-04-04T12:00',
    '2026-04-05T00:00',
    '2026-04-04T14:45',
  ],
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

const ZONES = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Africa/Casablanca',
  'Africa/Cairo',
  'America/Havana',
  'America/St_Johns',
  'Asia/Beirut',
  'Asia/Kathmandu',
  'Pacific/Chatham',
]
const [FIRST, END] = [Date.UTC(2024, 0, 1), Date.UTC(2028, 0, 1)]

/** The days around each change of the clocks, and some without. */
const WINDOWS = new Map(
  ZONES.map((zone) => {
    const reading = wallClock(zone)
    const changes = transitions((instant) => reading(instant) - instant, FIRST, END)
    return [zone, [[FIRST, FIRST + 3 * DAY], ...changes.map(({ at }) => [at - 2 * DAY, at + 2 * DAY])] as [EpochMs, EpochMs][]]
  }),
)

function slotsBetween(schedule: string, zone: string, from: EpochMs, to: EpochMs): EpochMs[] {
  const slots = slotsOf(schedule, zone)
  const found: EpochMs[] = []
  for (let slot = slots.after(from); slot !== undefined && slot <= to; slot = slots.after(slot)) found.push(slot)
  return found
}

for (const zone of ZONES) {
  for (const [schedule, most] of [
    ['*/15 * * * *', 15 * MINUTE],
    ['7,22,37,52 * * * *', 15 * MINUTE],
    ['0 * * * *', HOUR],
    ['@hourly', HOUR],
    ['40 * * * *', HOUR],
    ['10 0-23 * * *', HOUR],
  ] as const)
    test(`in ${zone} nothing that comes at ${schedule} pauses for longer when clocks are changed`, () => {
      for (const [from, to] of WINDOWS.get(zone)!) {
        const slots = slotsBetween(schedule, zone, from, to)
        for (const [at, slot] of slots.entries()) {
          const gap = slot - (slots[at - 1] ?? from)
          assert.ok(gap <= most && (at === 0 || gap > 0), `${gap / MINUTE} min before ${new Date(slot).toISOString()}`)
        }
        assert.ok(to - slots.at(-1)! <= most)
      }
    })

  for (const schedule of ['30 2 * * *', '0 0 * * *', '@daily', '15 1 * * *', '59 23 * * *', '0 3 * * *', '30 0 * * *'])
    test(`in ${zone} a job of ${schedule} runs once on every day of the calendar`, () => {
      const reading = wallClock(zone)
      for (const [from, to] of WINDOWS.get(zone)!) {
        const begin = Math.floor(from / DAY) * DAY
        const days = slotsBetween(schedule, zone, begin - DAY, to + DAY).map((slot) => Math.floor(reading(slot) / DAY))
        for (let day = begin / DAY; day < Math.floor(to / DAY); day += 1)
          assert.equal(days.filter((each) => each === day).length, 1, new Date(day * DAY).toISOString())
      }
    })
}

const timeField = (most: number) =>
  fc.oneof(
    fc.constant('*'),
    fc.integer({ min: 0, max: most }).map(String),
    fc.integer({ min: 2, max: most }).map((step) => `*/${step}`),
    fc.tuple(fc.integer({ min: 0, max: most }), fc.integer({ min: 0, max: most })).map(([from, to]) => `${from}-${to}`),
    fc.uniqueArray(fc.integer({ min: 0, max: most }), { minLength: 2, maxLength: 4 }).map(String),
  )
const monthDay = fc.oneof(
  fc.constantFrom('*', 'L', 'LW', 'L-3', '1W', '15W', '30W', '1,15', '29-31', '*/7'),
  fc.integer({ min: 1, max: 31 }).map(String),
)
const weekday = fc.oneof(fc.constantFrom('*', '7', 'mon-fri', '5L', '0L', '1#2', 'sun#5', '6,0', 'fri-mon'))
const expressions = fc
  .tuple(timeField(59), timeField(23), fc.oneof(fc.tuple(monthDay, fc.constant('*')), fc.tuple(fc.constant('*'), weekday)), timeField(11))
  .map(([minute, hour, [day, name], month]) =>
    [minute, hour, day, month.replaceAll(/(?<!\/)\d+/g, (each) => String(Number(each) + 1)), name].join(' '),
  )
  .filter((expression) => scheduleProblem(expression) === undefined)
const instants = fc.integer({ min: FIRST, max: END })

test('in UTC a schedule comes when node-cron says that it does', () => {
  fc.assert(
    fc.property(expressions, instants, (expression, instant) => {
      const task = createTask(expression, () => {}, { timezone: 'UTC', logger: { info() {}, warn() {}, error() {}, debug() {} } })
      try {
        const slots = slotsOf(expression, 'UTC')
        const next = slots.after(instant)!
        for (const each of [next, next - MINUTE, next + MINUTE, next - DAY, next + DAY, Math.floor(instant / MINUTE) * MINUTE])
          assert.equal(slots.after(each - 1) === each, task.match(new Date(each)), new Date(each).toISOString())
      } finally {
        void task.destroy()
      }
    }),
    { numRuns: 500 },
  )
})

test('what comes next and what came last agree, also when clocks are changed', () => {
  const within = fc.constantFrom(...ZONES).chain((zone) => fc.tuple(fc.constant(zone), fc.constantFrom(...WINDOWS.get(zone)!)))
  fc.assert(
    fc.property(expressions, within, fc.double({ min: 0, max: 1, noNaN: true }), (expression, [zone, [from, to]], part) => {
      const slots = slotsOf(expression, zone)
      const between = slotsBetween(expression, zone, from, to)
      const instant = Math.round(from + part * (to - from))
      assert.equal(
        slots.last(from, instant),
        between.findLast((slot) => slot <= instant),
      )
      assert.equal(slots.after(instant) ?? Infinity, between.find((slot) => slot > instant) ?? slots.after(to) ?? Infinity)
    }),
    { numRuns: 200 },
  )
})
