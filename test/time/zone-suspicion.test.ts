import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { HOUR, MINUTE, SECOND } from '../../src/time/clock.ts'
import { zoneSuspicion } from '../../src/time/zone-suspicion.ts'

const NOON = Date.UTC(2026, 10, 23, 12)

/** Of a newest row so far behind a clock that shows UTC, and `BUSY_ROWS` that lie within so long. */
function suspicion(behindMs: number, spanMs: number, timeZone = 'UTC'): string {
  return zoneSuspicion({ table: 'audit_logs', column: 'timestamp', newest: NOON - behindMs, spanMs }, NOON, timeZone) ?? 'none'
}

describe('rows seem to be stamped in another zone', () => {
  it('a newest row more than a quarter of an hour in the future causes the warning, however seldom rows are written', () => {
    assert.equal(suspicion(-15 * MINUTE, NaN), 'none')
    assert.match(suspicion(-15 * MINUTE - 1, NaN), /15 min ahead of the clock/)
    assert.equal(suspicion(-2 * HOUR, NaN, 'Europe/Helsinki'), 'none')
    assert.match(
      suspicion(-9 * HOUR, MINUTE),
      /^The newest row of audit_logs is 9 h ahead of the clock when "timestamp" is read in time zone UTC: .*DATABASE_TIME_ZONE/,
    )
  })

  it('a newest row of a busy table that is a multiple of a quarter of an hour old causes the warning', () => {
    assert.match(suspicion(5 * HOUR + 3 * SECOND, MINUTE), /5 h behind the clock/)
    assert.match(suspicion(45 * MINUTE, MINUTE), /45 min behind/)
    assert.match(suspicion(5 * HOUR + 45 * MINUTE, MINUTE), /5 h 45 min behind/)
    assert.match(suspicion(15 * MINUTE - 5 * SECOND, MINUTE), /15 min behind/)
    assert.equal(suspicion(5 * HOUR, MINUTE, 'America/New_York'), 'none')
  })

  it('a current newest row causes no warning', () => {
    assert.equal(suspicion(0, MINUTE), 'none')
    assert.equal(suspicion(5 * SECOND, MINUTE), 'none')
    assert.equal(suspicion(14 * MINUTE, MINUTE), 'none')
  })

  it('a gateway that stopped at any other moment, or rows that are written seldom, cause no warning', () => {
    assert.equal(suspicion(52 * MINUTE, MINUTE), 'none')
    assert.equal(suspicion(5 * HOUR + 5 * MINUTE, MINUTE), 'none')
    assert.equal(suspicion(HOUR, 6 * MINUTE), 'none')
    assert.equal(suspicion(HOUR, NaN), 'none')
  })

  it('up to a minute off the multiple where rows come every quarter of a minute, and ten seconds where they come all the time', () => {
    assert.match(suspicion(HOUR + MINUTE, 5 * MINUTE), /behind/)
    assert.equal(suspicion(HOUR + MINUTE, MINUTE), 'none')
    assert.match(suspicion(HOUR + 9 * SECOND, 0), /behind/)
  })

  it('the warning reaches as far back as the westernmost zone, and no further', () => {
    assert.match(suspicion(12 * HOUR, MINUTE), /12 h behind/)
    assert.equal(suspicion(12 * HOUR + 15 * MINUTE, MINUTE), 'none')
    assert.match(suspicion(12 * HOUR, MINUTE, 'Pacific/Auckland'), /25 h|1 d 1 h behind/)
    assert.equal(suspicion(48 * HOUR, MINUTE), 'none')
  })

  it('a table without rows causes no warning', () => {
    assert.equal(suspicion(NaN, NaN), 'none')
  })
})
