import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MOST_COUNTED, type Estimate } from '../../src/database/purging.ts'
import type { Policy } from '../../src/policy/rules.ts'
import { added, partOf, waitingWindows, withoutKept, type Before } from '../../src/runs/waiting-rows.ts'
import { DAY, HOUR, MINUTE } from '../../src/time/clock.ts'

const NOW = 20_000 * DAY
const RAN = NOW - 20 * HOUR
const BASE: Policy = { retentionMs: 90 * DAY, rules: [] }
const LAST = { outcome: 'succeeded', startedAt: RAN, cutoff: RAN - 90 * DAY, locked: 0, error: undefined } as const

function windows(changes: Partial<Before> = {}, policy: Policy = BASE): ReturnType<typeof waitingWindows> {
  return waitingWindows({ last: LAST, isPolicyTheSame: true, releasedAt: undefined, ...changes }, policy, NOW)
}

function rule(days: number | undefined): Policy['rules'][number] {
  return { name: `r${days}`, match: { user: ['a'] }, retentionMs: days === undefined ? undefined : days * DAY }
}

describe('the times of rows that can wait', () => {
  it('are those since the last run, if it went well and its policy is still that of now', () => {
    assert.deepEqual(windows(), [{ from: RAN - 90 * DAY - 2 * HOUR, until: NOW - 90 * DAY }])
    assert.deepEqual(windows({ releasedAt: RAN - 2 * DAY }), windows())
  })

  it('are not known after a run that did not go well, met rows that it left, or lost commits, nor if it went by another policy or before a hold was released', () => {
    for (const [what, changes] of Object.entries<Partial<Before>>({
      'no run': { last: undefined },
      failed: { last: { ...LAST, outcome: 'failed' } },
      interrupted: { last: { ...LAST, outcome: 'interrupted' } },
      'no cutoff': { last: { ...LAST, cutoff: undefined } },
      locked: { last: { ...LAST, locked: 1 } },
      'came back': { last: { ...LAST, error: '3 rows came back' } },
      'other policy': { isPolicyTheSame: false },
      released: { releasedAt: RAN + MINUTE },
      // It may have waited for the lease of the run, which then did not know of it.
      'released just before': { releasedAt: RAN - MINUTE },
    }))
      assert.equal(windows(changes), undefined, what)
  })

  it('also are those since then for each rule that ends, because its rows are older than the cutoff', () => {
    assert.deepEqual(windows({}, { ...BASE, rules: [rule(undefined), rule(365), rule(730)] }), [
      { from: RAN - 730 * DAY - 2 * HOUR, until: NOW - 730 * DAY },
      { from: RAN - 365 * DAY - 2 * HOUR, until: NOW - 365 * DAY },
      { from: RAN - 90 * DAY - 2 * HOUR, until: NOW - 90 * DAY },
    ])
    // A rule that the retention covers changes nothing, and times are never counted twice.
    assert.deepEqual(windows({}, { ...BASE, rules: [rule(30)] }), windows())
    assert.deepEqual(windows({}, { ...BASE, rules: [rule(90.5)] }), [{ from: RAN - 90.5 * DAY - 2 * HOUR, until: NOW - 90 * DAY }])
  })
})

describe('an estimate of what waits', () => {
  const none: Estimate = { rows: 0, more: false, planned: undefined, oldest: null }
  const sum = (early: Partial<Estimate>, late: Partial<Estimate>): ReturnType<typeof added> =>
    added(partOf({ ...none, ...early }, 20), partOf({ ...none, ...late }, 70))

  it('is the sum of the windows, each of which is overdue by the time of its own end', () => {
    assert.deepEqual(sum({ rows: 2, oldest: 15 }, { rows: 3, oldest: 61 }), {
      rows: 5,
      more: false,
      planned: undefined,
      oldest: 15,
      overdueMs: 9,
    })
    const many = sum({ rows: 2 }, { rows: MOST_COUNTED })
    assert.deepEqual([many.rows, many.more], [MOST_COUNTED, true])
    const half = sum({ rows: 2, oldest: 15 }, { rows: undefined, more: true })
    assert.deepEqual([half.rows, half.more, half.oldest], [undefined, true, 15])
    assert.deepEqual([sum({}, {}).oldest, sum({}, {}).overdueMs], [null, null])
    assert.equal(sum({ rows: 2 }, { rows: MOST_COUNTED, more: true, planned: 300_000 }).planned, 300_002)
  })

  it('takes the rows that holds kept in the last run from what the planner expects, and never makes less of what was counted', () => {
    const cut = { rows: 0, more: true, planned: 310_000, oldest: null }
    assert.deepEqual(withoutKept(cut, 300_000), { ...cut, planned: 10_000 })
    assert.equal(withoutKept({ ...cut, rows: 20_000 }, 300_000).planned, 20_000)
  })

  it('does without the planner where counting ended among rows that are kept and nobody knows how many they are', () => {
    const cut = { rows: 7, more: true, planned: 310_000, oldest: null }
    assert.deepEqual(withoutKept(cut, undefined), { ...cut, planned: undefined })
    const full = { ...cut, rows: MOST_COUNTED }
    assert.deepEqual(withoutKept(full, undefined), full)
  })
})
