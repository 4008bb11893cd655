import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { shapeOf } from '../../../src/database/sqlite/purging/unreadable-rows.ts'
import { Cutoff, readText, type StoredTime } from '../../../src/database/sqlite/times.ts'

const NOON = Date.parse('2026-08-25T12:00:00Z')
const HOUR_AHEAD = NOON + 3_600_000

describe('a stored time', () => {
  const expired: readonly StoredTime[] = [
    '2026-08-25',
    '2026-08-25 11:59',
    '2026-08-25T11:59',
    '2026-08-25 11:59:59',
    '2026-08-25 11:59:59.999999',
    '2026-08-25T11:59:59.9999999999',
    '2026-08-25T11:59:59Z',
    '2026-08-25T11:59Z',
    '2026-08-25T13:59:59+02:00',
    '2026-08-26 02:59:59.9+15:00',
    '2026-08-25 07:29:59.999999-04:30',
    '2026-08-26+14:00',
    '2024-02-29',
    '2000-02-29 00:00',
    '1999-12-31 23:59:59',
    '0001-01-01 00:00:00',
    946_684_800,
    NOON / 1000 - 1,
    NOON / 1000 - 0.001,
    NOON - 1,
    NOON - 0.5,
    NOON * 1000 - 1,
    BigInt(NOON) * 1_000_000n - 1n,
    946_684_800_000n,
  ]
  const kept: readonly StoredTime[] = [
    '2026-08-26',
    '2026-08-25 12:00',
    '2026-08-25T12:00:00.000000',
    '2026-08-25T12:00:00Z',
    '2026-08-25T12:00:00.000001Z',
    '2026-08-25T14:00:00+02:00',
    '2026-08-25T07:30-04:30',
    '2026-08-25 00:00:00-12:00',
    '9999-12-31 23:59:59',
    NOON / 1000,
    NOON / 1000 + 0.001,
    NOON,
    NOON * 1000,
    BigInt(NOON) * 1_000_000n,
    4_133_980_799,
    4_133_980_799_999_999_999n,
  ]
  const unreadable: readonly StoredTime[] = [
    '',
    ' ',
    'yesterday',
    '20260101',
    '1787630478',
    '0000-00-00 00:00:00',
    '0000-01-01',
    '2026-13-01',
    '2026-00-10',
    '2026-02-30',
    '2026-02-29',
    '2100-02-29',
    '2026-04-31 10:00',
    '2026-01-00',
    '2026-8-25',
    '2026-08-25 ',
    ' 2026-08-25',
    '2026-08-25 24:00:00',
    '2026-08-25 23:60',
    '2026-08-25 23:59:60',
    '2026-08-25  11:00',
    '2026-08-25 1:00',
    '2026-08-25 11',
    '2026-08-25 11:00:',
    '2026-08-25 11:00:00.',
    '2026-08-25 11:00:00,5',
    '2026-08-25t11:00:00',
    '2026-08-25T11:00:00z',
    '2026-08-25T11:00:00 Z',
    '2026-08-25T11:00:00ZZ',
    '2026-08-25T11:00:00+02',
    '2026-08-25T11:00:00+0200',
    '2026-08-25T11:00:00+02:60',
    '2026-08-25T11:00:00+15:01',
    '2026-08-25T11:00:00-24:00',
    '2026-08-25T11:00:00.5+2:00',
    '2026-08-25 11:00:00 UTC',
    '2026-08-25\u0000',
    '２０２６-08-25',
    'Tue Aug 25 2026 11:00:00 GMT+0000',
    '1/2/2026',
    0,
    -1,
    20_260_101,
    946_684_799,
    946_684_799.999,
    4_133_980_800,
    4_133_980_800_000n,
    Infinity,
    -Infinity,
    2n ** 62n + 1n,
    new Uint8Array(),
    new TextEncoder().encode('2020-01-01'),
  ]
  for (const [name, values] of Object.entries({ expired, kept, unreadable })) {
    for (const value of values) {
      it(`${typeof value} ${JSON.stringify(String(value))} is ${name}`, () => assert.equal(new Cutoff(NOON, NOON).judge(value), name))
    }
  }

  it('NULL is undated', () => assert.equal(new Cutoff(NOON, NOON).judge(null), 'undated'))

  it('a time without a zone is compared with the wall clock, and one with a zone is not', () => {
    for (const text of ['2026-08-25 12:30', '2026-08-25T12:59:59.999']) {
      assert.equal(new Cutoff(NOON, HOUR_AHEAD).judge(text), 'expired')
      assert.equal(new Cutoff(NOON, HOUR_AHEAD).judge(`${text}Z`), 'kept')
      assert.equal(new Cutoff(NOON, HOUR_AHEAD).judge(`${text}-00:00`), 'kept')
    }
    assert.equal(new Cutoff(NOON, HOUR_AHEAD).judge('2026-08-25 13:00'), 'kept')
    assert.equal(new Cutoff(NOON, HOUR_AHEAD).judge(NOON), 'kept')
  })

  it('every form of every instant is read as an independent calendar reads it', () => {
    const forms = fc.record({
      day: fc.date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T00:00:00Z'), noInvalidDate: true }),
      separator: fc.constantFrom(' ', 'T'),
      seconds: fc.integer({ min: 0, max: 86_399 }),
      precision: fc.constantFrom('date', 'minute', 'second', 'fraction'),
      fraction: fc.stringMatching(/^\d{1,9}$/),
      zone: fc.constantFrom(undefined, 'Z', '+00:00', '-00:00', '+02:00', '-03:30', '+05:45', '+14:00', '-12:00', '+15:00', '-15:00'),
    })
    fc.assert(
      fc.property(forms, ({ day, separator, seconds, precision, fraction, zone }) => {
        const iso = day.toISOString().slice(0, 10)
        const clock = new Date(seconds * 1000).toISOString()
        const time = { date: '', minute: clock.slice(11, 16), second: clock.slice(11, 19), fraction: `${clock.slice(11, 19)}.${fraction}` }[
          precision
        ]
        const text = `${iso}${time === '' ? '' : separator}${time}${zone ?? ''}`
        const counted = time === '' ? 0 : seconds - (precision === 'minute' ? seconds % 60 : 0)
        const milliseconds = precision === 'fraction' ? Number(fraction.padEnd(3, '0').slice(0, 3)) : 0
        const sign = zone?.startsWith('-') === true ? -1 : 1
        const offset = zone === undefined || zone === 'Z' ? 0 : sign * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4)))
        const instant = Date.parse(`${iso}T00:00:00Z`) + counted * 1000 + milliseconds - offset * 60_000
        assert.deepEqual(readText(text), { instant, zoned: zone !== undefined })
      }),
      { numRuns: 2_000 },
    )
  })

  it('a date that does not exist on the calendar is unreadable', () => {
    for (const year of [1900, 2000, 2023, 2024, 2100]) {
      for (let month = 1; month <= 13; month++) {
        for (let day = 0; day <= 32; day++) {
          const text = `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`
          const date = new Date(Date.UTC(year, month - 1, day))
          const exists = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && month <= 12
          assert.equal(readText(text) !== undefined, exists, text)
        }
      }
    }
  })

  it('the shape of an unreadable time shows nothing of its content', () => {
    assert.equal(shapeOf('0000-00-00 00:00:00'), '9999-99-99 99:99:99')
    assert.equal(shapeOf('Yesterday, né?'), 'aaaaaaaaa, aa?')
    assert.equal(shapeOf(20_260_101), '99999999')
    assert.equal(shapeOf(''), 'empty text')
    assert.equal(shapeOf(new Uint8Array([1])), 'a BLOB')
    assert.equal(shapeOf('x'.repeat(1_000)), `${'a'.repeat(30)}…`)
  })
})
