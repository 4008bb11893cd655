import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pacing, Pressure } from '../../src/database/database.ts'
import { afterBatch, afterTrouble, FAILURES_TO_GIVE_UP, firstPace, type Pace } from '../../src/retention/pace.ts'

const PACING: Pacing = {
  firstRows: 500,
  leastRows: 20,
  mostRows: 10_000,
  alone: { holdMs: 40, pauseMs: 0, pauseShare: 0 },
  polite: { holdMs: 15, pauseMs: 10, pauseShare: 1 },
}
const CALM: Pressure = { heldMs: 15, others: false, contended: false, hold: undefined }

/** Lets the controller run against a database that deletes `rowsPerMs`. */
function settle(
  batches: number,
  rowsPerMs: number,
  pressure: Partial<Pressure>,
  from: Pace = firstPace(PACING),
): { pace: Pace; pauseMs: number; heldMs: number } {
  let pace = from
  let pauseMs = 0
  let heldMs = 0
  for (let at = 0; at < batches; at++) {
    heldMs = pace.rows / rowsPerMs
    const step = afterBatch(pace, PACING, pace.rows, { ...CALM, ...pressure, heldMs })
    pace = step.pace
    pauseMs = step.pauseMs
  }
  return { pace, pauseMs, heldMs }
}

test('it shrinks at once when somebody waits on us', () => {
  const before = settle(50, 100, {}).pace
  const after = afterBatch(before, PACING, before.rows, { ...CALM, contended: true, heldMs: 40 })
  assert.ok(after.pace.rows <= before.rows / 2)
  assert.ok(after.pauseMs >= PACING.polite.pauseMs)
})

test('with others at work the hold settles below the polite target and each batch is followed by a pause', () => {
  const { heldMs, pauseMs } = settle(60, 50, { others: true })
  assert.ok(heldMs > 10 && heldMs < 16, `${heldMs}`)
  assert.ok(pauseMs >= PACING.polite.pauseMs)
})

test('alone it opens up to the larger hold and stops pausing', () => {
  const { heldMs, pauseMs } = settle(80, 50, {})
  assert.ok(heldMs > 30 && heldMs <= 41, `${heldMs}`)
  assert.equal(pauseMs, 0)
})

test('one sign of somebody else makes it polite again', () => {
  const alone = settle(80, 50, {}).pace
  const step = afterBatch(alone, PACING, alone.rows, { ...CALM, others: true, heldMs: 40 })
  assert.ok(step.pauseMs >= PACING.polite.pauseMs)
  assert.ok(step.pace.rows < alone.rows)
})

test('the size never leaves its bounds, whatever a batch took', () => {
  for (const heldMs of [0, 0.001, 1, 1e6]) {
    let pace = firstPace(PACING)
    for (let at = 0; at < 50; at++) pace = afterBatch(pace, PACING, pace.rows, { ...CALM, heldMs }).pace
    assert.ok(pace.rows >= PACING.leastRows && pace.rows <= PACING.mostRows, `${pace.rows}`)
    assert.ok(Number.isInteger(pace.rows))
  }
})

test('a last, nearly empty batch does not change the size', () => {
  const pace = settle(60, 50, { others: true }).pace
  assert.equal(afterBatch(pace, PACING, 3, { ...CALM, others: true, heldMs: 1 }).pace.rows, pace.rows)
})

test('trouble halves the size and doubles the wait; five in a row at the smallest give up', () => {
  let pace: Pace = { rows: 100, quiet: 50, failures: 0 }
  const pauses: number[] = []
  let tries = 0
  for (;;) {
    const step = afterTrouble(pace, PACING)
    if (step === undefined) break
    assert.ok(step.pace.rows <= pace.rows)
    pace = step.pace
    pauses.push(step.pauseMs)
    tries += 1
  }
  assert.equal(pace.rows, PACING.leastRows)
  assert.equal(tries, 3 + FAILURES_TO_GIVE_UP - 1)
  assert.ok(pauses.at(-1)! > pauses[0]!)
})

test('one good batch forgets the failures before it', () => {
  const troubled = { rows: 20, quiet: 0, failures: 4 }
  assert.equal(afterBatch(troubled, PACING, 20, CALM).pace.failures, 0)
})
