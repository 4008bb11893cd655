import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MOST_COUNTED, type Estimate, type ExpiredRows } from '../../src/database/purging.ts'
import type { Policy } from '../../src/policy/rules.ts'
import { estimateWaiting, waitingWindows, withoutKept, type Before, type Waiting } from '../../src/runs/waiting-rows.ts'
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
  const waiting: Waiting = {
    holds: [{ id: 1, name: 'h', spared: { match: {}, from: undefined, until: undefined } }],
    spared: [{ match: {}, from: undefined, until: undefined }],
    windows: undefined,
    counted: { id: 1, held: 300_000 },
  }

  /** Answers by the end of the rows. */
  function answering(answers: Readonly<Record<number, Estimate>>, asked: unknown[] = []): (until: number) => ExpiredRows {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- all of it that is asked
    return (until) => ({ estimate: (since?: number) => (asked.push([until, since]), Promise.resolve(answers[until]!)) }) as ExpiredRows
  }

  const none: Estimate = { rows: 0, more: false, planned: undefined, oldest: null }

  it('is the sum of the windows, each of which is counted from its beginning, and is overdue by the time of its own end', async () => {
    const asked: unknown[] = []
    const two = { ...waiting, windows: [{ from: 10, until: 20 }, { from: 50, until: 70 }] } // prettier-ignore
    const answers = { 20: { ...none, rows: 2, oldest: 15 }, 70: { ...none, rows: 3, oldest: 61 } }
    assert.deepEqual(await estimateWaiting(answering(answers, asked), 70, two), {
      rows: 5,
      more: false,
      planned: undefined,
      oldest: 15,
      overdueMs: 9,
    })
    assert.deepEqual(asked, [[20, 10], [70, 50]]) // prettier-ignore
    const many = await estimateWaiting(answering({ ...answers, 70: { ...none, rows: MOST_COUNTED } }), 70, two)
    assert.deepEqual([many.rows, many.more], [MOST_COUNTED, true])
    const half = await estimateWaiting(answering({ ...answers, 70: { ...none, rows: undefined, more: true } }), 70, two)
    assert.deepEqual([half.rows, half.more, half.oldest], [undefined, true, 15])
  })

  it('takes the rows that holds kept in the last run from what the planner expects, and never makes less of what was counted', async () => {
    const cut = { rows: 0, more: true, planned: 310_000, oldest: null }
    assert.deepEqual(await estimateWaiting(answering({ 70: cut }), 70, waiting), { ...cut, planned: 10_000 })
    assert.equal(withoutKept({ ...cut, rows: 20_000 }, 300_000).planned, 20_000)
    // With nothing spared it is as it was.
    assert.deepEqual(await estimateWaiting(answering({ 70: cut }), 70, { ...waiting, holds: [], spared: [] }), cut)
  })

  it('does without the planner where counting ended among rows that are kept and nobody knows how many they are', async () => {
    const cut = { rows: 7, more: true, planned: 310_000, oldest: null }
    const ruled = { ...waiting, spared: [...waiting.spared, ...waiting.spared] }
    assert.deepEqual(await estimateWaiting(answering({ 70: cut }), 70, ruled), { ...cut, planned: undefined })
    const full = { ...cut, rows: MOST_COUNTED }
    assert.deepEqual(await estimateWaiting(answering({ 70: full }), 70, ruled), full)
    const windowed = { ...waiting, windows: [{ from: 10, until: 70 }] }
    assert.equal((await estimateWaiting(answering({ 70: cut }), 70, windowed)).planned, undefined)
  })
})
