import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { lastCutoffIn, wallClockCeiling, wallClockThreshold } from '../../src/time/zones.ts'
import { DAY, HOUR, MINUTE, type EpochMs } from '../../src/time/clock.ts'

const STEP = 15 * MINUTE

/** Each zone with a moment near which its clocks change, or simply some moment. */
const MOMENTS: readonly (readonly [zone: string, around: string])[] = [
  ['Europe/Berlin', '2026-10-25T01:00Z'],
  ['Europe/Berlin', '2026-03-29T01:00Z'],
  ['America/New_York', '2026-11-01T06:00Z'],
  ['America/New_York', '2027-03-14T07:00Z'],
  ['Asia/Kathmandu', '2026-06-01T00:00Z'],
  ['Australia/Lord_Howe', '2026-04-04T15:00Z'],
  ['Australia/Lord_Howe', '2026-10-03T15:30Z'],
  ['Pacific/Apia', '2011-12-30T10:00Z'],
  ['Pacific/Kwajalein', '1993-08-21T12:00Z'],
  ['America/Juneau', '1983-10-30T10:00Z'],
  ['UTC', '2026-06-01T00:00Z'],
  ['Etc/UTC', '2026-06-01T00:00Z'],
]

describe('wallClockThreshold', () => {
  for (const [zone, around] of MOMENTS) {
    it(`agrees with every reading of ${zone} near ${around}`, () => {
      const shown = readings(zone, Date.parse(around))
      for (let cutoff = Date.parse(around) - 30 * HOUR; cutoff <= Date.parse(around) + 30 * HOUR; cutoff += STEP) {
        assert.equal(wallClockThreshold(cutoff, zone), earliestKept(shown, cutoff), `cutoff ${new Date(cutoff).toISOString()}`)
      }
    })
  }

  it('a reading of the repeated hour is kept until its second occurrence has passed', () => {
    const reading = Date.parse('2026-10-25T02:30Z')
    assert.ok(reading >= wallClockThreshold(Date.parse('2026-10-25T01:30:00.000Z'), 'Europe/Berlin'))
    assert.ok(reading < wallClockThreshold(Date.parse('2026-10-25T01:30:00.001Z'), 'Europe/Berlin'))
  })

  it('a reading that the clocks skipped means the later instant', () => {
    const reading = Date.parse('2026-03-29T02:30Z')
    assert.ok(reading >= wallClockThreshold(Date.parse('2026-03-29T01:30:00.000Z'), 'Europe/Berlin'))
    assert.ok(reading < wallClockThreshold(Date.parse('2026-03-29T01:30:00.001Z'), 'Europe/Berlin'))
  })

  it('a change of the clocks is found to the millisecond', () => {
    const change = Date.parse('2026-10-25T01:00Z')
    for (const off of [-1, -0, 1]) {
      const expected = off < 0 ? Date.parse('2026-10-25T02:00Z') : change + off + HOUR
      assert.equal(wallClockThreshold(change + off, 'Europe/Berlin'), expected)
    }
  })

  it('cutoffs may be far from today, fractional or beyond the calendar', () => {
    assert.equal(wallClockThreshold(0.5, 'Asia/Kolkata'), 0.5 + 5.5 * HOUR)
    assert.equal(wallClockThreshold(Date.parse('-000005-01-01T00:00Z'), 'Etc/GMT-3'), Date.parse('-000005-01-01T03:00Z'))
    assert.ok(wallClockThreshold(-1e17, 'Europe/Berlin') < -1e17 - 12 * HOUR)
  })

  it('a zone that does not exist is refused', () => {
    assert.throws(() => wallClockThreshold(0, 'Mars/Olympus'), RangeError)
  })
})

describe('wallClockCeiling', () => {
  for (const [zone, around] of MOMENTS) {
    it(`agrees with every reading of ${zone} near ${around}`, () => {
      const shown = readings(zone, Date.parse(around))
      for (let until = Date.parse(around) - 30 * HOUR; until <= Date.parse(around) + 30 * HOUR; until += STEP) {
        const ceiling = wallClockCeiling(until, zone)
        const before = new Set(shown.filter(({ instant }) => instant < until).map(({ reading }) => reading))
        for (const { instant, reading } of shown)
          assert.equal(
            reading < ceiling,
            instant < until || before.has(reading),
            `${new Date(reading).toISOString()}, until ${new Date(until).toISOString()}`,
          )
      }
    })
  }

  it('a reading of the repeated hour counts as before a time from its first occurrence on', () => {
    const reading = Date.parse('2026-10-25T02:30Z')
    assert.ok(reading >= wallClockCeiling(Date.parse('2026-10-25T00:30:00.000Z'), 'Europe/Berlin'))
    assert.ok(reading < wallClockCeiling(Date.parse('2026-10-25T00:30:00.001Z'), 'Europe/Berlin'))
    assert.ok(reading < wallClockCeiling(Date.parse('2026-10-25T01:00:00.000Z'), 'Europe/Berlin'))
  })

  it('a reading that the clocks skipped counts as before a time if the later instant is', () => {
    for (let reading = Date.parse('2026-03-29T02:00Z'); reading < Date.parse('2026-03-29T03:00Z'); reading += STEP)
      assert.ok(reading < wallClockCeiling(reading - HOUR + 1, 'Europe/Berlin'))
  })

  it('times may be far from today, fractional or beyond the calendar', () => {
    assert.equal(wallClockCeiling(0.5, 'Asia/Kolkata'), 0.5 + 5.5 * HOUR)
    assert.equal(wallClockCeiling(Date.parse('-000005-01-01T00:00Z'), 'Etc/GMT-3'), Date.parse('-000005-01-01T03:00Z'))
    assert.ok(wallClockCeiling(1e17, 'Europe/Berlin') > 1e17 + 12 * HOUR)
  })
})

describe('lastCutoffIn', () => {
  for (const [zone, around] of MOMENTS) {
    it(`of every reading of ${zone} near ${around}: that cutoff keeps it, and one a millisecond later does not`, () => {
      const lastCutoff = lastCutoffIn(zone)
      const moment = Date.parse(around)
      const times = Array.from({ length: 200 }, (_, at) => moment + (at - 100) * STEP * 1.3 + (at % 3) * 7)
      for (const reading of times.map(Math.floor)) {
        const cutoff = lastCutoff(reading)
        assert.ok(wallClockThreshold(cutoff, zone) <= reading, `${cutoff} would not keep ${new Date(reading).toISOString()}`)
        assert.ok(wallClockThreshold(cutoff + 1, zone) > reading, `${cutoff + 1} would still keep ${new Date(reading).toISOString()}`)
      }
    })
  }

  it('beyond the calendar it is as far off as the threshold is', () => {
    const reading = -1e17
    assert.ok(wallClockThreshold(lastCutoffIn('Europe/Berlin')(reading), 'Europe/Berlin') <= reading)
  })
})

interface Shown {
  readonly instant: EpochMs
  readonly reading: EpochMs
}

/** What the zone's clocks show, an instant each step, through another way of asking `Intl` than the code under test. */
function readings(zone: string, around: EpochMs): Shown[] {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' })
  const shown: Shown[] = []
  for (let instant = around - 5 * DAY; instant <= around + 5 * DAY; instant += STEP) {
    shown.push({ instant, reading: Date.parse(`${format.format(instant).replace(' ', 'T')}Z`) })
  }
  return shown
}

function earliestKept(shown: readonly Shown[], cutoff: EpochMs): EpochMs {
  let earliest = Infinity
  for (const [index, { instant, reading }] of shown.entries()) {
    if (instant >= cutoff) earliest = Math.min(earliest, reading)
    const previous = shown[index - 1]
    if (previous === undefined) continue
    for (let skipped = previous.reading + STEP; skipped < reading; skipped += STEP) {
      if (skipped - (previous.reading - previous.instant) >= cutoff) earliest = Math.min(earliest, skipped)
    }
  }
  return earliest
}
