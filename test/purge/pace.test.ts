import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pacing, Pressure } from '../../src/database/purging.ts'
import { paceAfterBatch, paceAfterFailure, FAILURES_TO_GIVE_UP, firstPace, type Pace } from '../../src/purge/pace.ts'

const PACING: Pacing = {
  firstRows: 500,
  leastRows: 20,
  mostRows: 10_000,
  listenMs: 120,
  alone: { holdMs: 40, pauseMs: 0, pauseShare: 0 },
  polite: { holdMs: 15, pauseMs: 10, pauseShare: 1 },
}
const CALM: Pressure = { heldMs: 15, others: false, contended: false, backpressure: undefined }

/** Lets the controller run against a database that deletes `rowsPerMs`. */
function settle(
  batches: number,
  rowsPerMs: number,
  pressure: Partial<Pressure>,
): { pace: Pace; pauseMs: number; heldMs: number; atMs: number } {
  let pace = firstPace(PACING, CALM, 0)
  let pauseMs = 0
  let heldMs = 0
  let atMs = 0
  for (let at = 0; at < batches; at++) {
    heldMs = pace.rows / rowsPerMs
    atMs += pauseMs + heldMs
    const step = paceAfterBatch(pace, PACING, { rows: pace.rows, endedAtMs: atMs }, { ...CALM, ...pressure, heldMs })
    pace = step.pace
    pauseMs = step.pauseMs
  }
  return { pace, pauseMs, heldMs, atMs }
}

test('a batch shrinks at once when another client waits for our lock', () => {
  const { pace, atMs } = settle(50, 100, {})
  const after = paceAfterBatch(pace, PACING, { rows: pace.rows, endedAtMs: atMs }, { ...CALM, contended: true, heldMs: 40 })
  assert.ok(after.pace.rows <= pace.rows / 2)
  assert.ok(after.pauseMs >= 2 * PACING.polite.pauseMs)
})

test('while others are active, holds settle below the polite target and each batch is followed by a pause', () => {
  const { heldMs, pauseMs } = settle(60, 50, { others: true })
  assert.ok(heldMs > 10 && heldMs < 16, `${heldMs}`)
  assert.ok(pauseMs >= PACING.polite.pauseMs)
})

test('while nobody else is active, holds grow to the larger target and pauses stop', () => {
  const { heldMs, pauseMs } = settle(80, 50, {})
  assert.ok(heldMs > 30 && heldMs <= 41, `${heldMs}`)
  assert.equal(pauseMs, 0)
})

test('a run begins politely, whether or not others are active', () => {
  const { pauseMs } = settle(2, 50, {})
  assert.ok(pauseMs >= PACING.polite.pauseMs)
})

test('a client that the first look shows is treated politely from the start if the engine need not listen first', () => {
  const knowing = { ...PACING, listenMs: 0 }
  const alone = paceAfterBatch(firstPace(knowing, CALM, 0), knowing, { rows: 500, endedAtMs: 1 }, CALM)
  assert.equal(alone.pauseMs, 0)
  const beside = paceAfterBatch(firstPace(knowing, { ...CALM, others: true }, 0), knowing, { rows: 500, endedAtMs: 1 }, CALM)
  assert.ok(beside.pauseMs >= PACING.polite.pauseMs)
})

test('one sign of another client makes the purge polite again, for longer than a slow writer pauses', () => {
  const { pace, atMs } = settle(80, 50, {})
  let step = paceAfterBatch(pace, PACING, { rows: pace.rows, endedAtMs: atMs }, { ...CALM, others: true, heldMs: 40 })
  assert.ok(step.pauseMs >= PACING.polite.pauseMs)
  assert.ok(step.pace.rows < pace.rows)
  step = paceAfterBatch(step.pace, PACING, { rows: step.pace.rows, endedAtMs: atMs + 1_500 }, CALM)
  assert.ok(step.pauseMs >= PACING.polite.pauseMs)
  step = paceAfterBatch(step.pace, PACING, { rows: step.pace.rows, endedAtMs: atMs + 2_500 }, CALM)
  assert.equal(step.pauseMs, 0)
})

test('the size never leaves its bounds, whatever a batch took', () => {
  for (const heldMs of [0, 0.001, 1, 1e6]) {
    let pace = firstPace(PACING, CALM, 0)
    for (let at = 0; at < 50; at++) pace = paceAfterBatch(pace, PACING, { rows: pace.rows, endedAtMs: at * 50 }, { ...CALM, heldMs }).pace
    assert.ok(pace.rows >= PACING.leastRows && pace.rows <= PACING.mostRows, `${pace.rows}`)
    assert.ok(Number.isInteger(pace.rows))
  }
})

test('a last, nearly empty batch does not change the size', () => {
  const { pace, atMs } = settle(60, 50, { others: true })
  assert.equal(paceAfterBatch(pace, PACING, { rows: 3, endedAtMs: atMs }, { ...CALM, others: true, heldMs: 1 }).pace.rows, pace.rows)
})

test('a failure halves the size and doubles the wait, and five in a row at the smallest size end the run', () => {
  let pace: Pace = { rows: 100, politeUntilMs: 0, failures: 0 }
  const pauses: number[] = []
  let tries = 0
  for (;;) {
    const step = paceAfterFailure(pace, PACING, 0)
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
  const troubled: Pace = { rows: 20, politeUntilMs: 0, failures: 4 }
  assert.equal(paceAfterBatch(troubled, PACING, { rows: 20, endedAtMs: 1 }, CALM).pace.failures, 0)
})
