import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR, MINUTE } from '../../src/time/clock.ts'
import { openFor, parseWindow } from '../../src/time/daily-window.ts'

const at = (text: string): number => Date.parse(text)

test('a window is a time of day, also across midnight', () => {
  assert.deepEqual(parseWindow('02:00-04:30'), { from: 120, to: 270 })
  assert.deepEqual(parseWindow('23:00-01:00'), { from: 1380, to: 60 })
  for (const text of ['', '2:00-4:00', '02:00', '24:00-01:00', '02:60-03:00', '02:00-02:00', '02:00 - 04:00', '02:00-04:00 '])
    assert.equal(parseWindow(text), undefined, text)
})

test('a window is open from its first minute to its last, in its zone', () => {
  const night = parseWindow('02:00-04:00')!
  assert.equal(openFor(night, at('2026-07-01T01:59:59.999Z'), 'UTC'), 0)
  assert.equal(openFor(night, at('2026-07-01T02:00:00Z'), 'UTC'), 2 * HOUR)
  assert.equal(openFor(night, at('2026-07-01T03:59:00Z'), 'UTC'), MINUTE)
  assert.equal(openFor(night, at('2026-07-01T04:00:00Z'), 'UTC'), 0)
  assert.equal(openFor(night, at('2026-07-01T01:00:00Z'), 'Europe/Berlin'), HOUR)
  const late = parseWindow('23:00-01:00')!
  assert.equal(openFor(late, at('2026-07-01T23:30:00Z'), 'UTC'), 1.5 * HOUR)
  assert.equal(openFor(late, at('2026-07-02T00:30:00Z'), 'UTC'), 0.5 * HOUR)
  assert.equal(openFor(late, at('2026-07-02T22:30:00Z'), 'UTC'), 0)
  assert.equal(openFor(late, at('1969-07-02T00:30:00Z'), 'UTC'), 0.5 * HOUR)
})
