import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PACING as POSTGRES } from '../../src/database/postgres/purging/pressure.ts'
import type { Pacing, Pressure } from '../../src/database/purging.ts'
import { pacingOf } from '../../src/database/sqlite/connection/pacing.ts'
import { paceAfterBatch, paceAfterFailure, paceAfterTimeout, FAILURES_TO_GIVE_UP, firstPace, type Pace } from '../../src/purge/pace.ts'

const PACING: Pacing = {
  firstRows: 500,
  leastRows: 20,
  mostRows: 10_000,
  listenMs: 120,
  alone: { holdMs: 40, pauseMs: 0, pauseShare: 0 },
  polite: { holdMs: 15, pauseMs: 10, pauseShare: 1 },
  longHoldPause: { share: 0.5, mostMs: 100 },
}
const CALM: Pressure = { others: false, contended: false, backpressure: undefined }

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
    const step = paceAfterBatch(pace, PACING, { rows: pace.rows, heldMs, endedAtMs: atMs }, { ...CALM, ...pressure })
    pace = step.pace
    pauseMs = step.pauseMs
  }
  return { pace, pauseMs, heldMs, atMs }
}

test('a batch shrinks at once when another client waits for our lock', () => {
  const { pace, atMs } = settle(50, 100, {})
  const after = paceAfterBatch(pace, PACING, { rows: pace.rows, heldMs: 40, endedAtMs: atMs }, { ...CALM, contended: true })
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

test('where most of a batch is not deleting, it may hold its locks for longer, but not for however long', () => {
  const pacing = { ...PACING, polite: { holdMs: 5, timesAround: 3, pauseMs: 2, pauseShare: 0 } }
  const settled = (aroundMs: number, rowsPerMs = 50): number => {
    let pace = firstPace(pacing, { ...CALM, others: true }, 0)
    let heldMs = 0
    for (let at = 1; at < 80; at += 1) {
      const deletingMs = pace.rows / rowsPerMs
      heldMs = aroundMs + deletingMs
      pace = paceAfterBatch(pace, pacing, { rows: pace.rows, heldMs, deletingMs, endedAtMs: at }, { ...CALM, others: true }).pace
    }
    return heldMs
  }
  assert.ok(Math.abs(settled(1) - 5) < 0.5, `${settled(1)}: the usual aim is enough`)
  assert.ok(Math.abs(settled(4) - 12) < 1, `${settled(4)}: a third of the hold is not deleting`)
  assert.ok(Math.abs(settled(20) - 30) < 3, `${settled(20)}: ten milliseconds are counted at most`)
})

/** Beside another client on PostgreSQL, if a row takes so long to delete, and so much stands around it. */
function settledBeside(rowMs: number, aroundMs: number): Pace {
  const noise = seeded(7)
  let pace = firstPace(POSTGRES, { ...CALM, others: true }, 0)
  for (let at = 1; at < 120; at += 1) {
    const deletingMs = (1 + pace.rows * rowMs) * (1 + noise())
    const heldMs = deletingMs + aroundMs * (1 + 3 * noise())
    pace = paceAfterBatch(pace, POSTGRES, { rows: pace.rows, heldMs, deletingMs, endedAtMs: at }, { ...CALM, others: true }).pace
  }
  return pace
}

test('rows are not dear because the machine is busy, and those that are dear go a few at a time, but not for less than what stands around them', () => {
  // A machine twenty times as slow, on which each answer takes as long as a batch should.
  const slow = settledBeside(0.2, 100)
  assert.equal(slow.dear, 0)
  assert.ok(slow.rows >= 250, `${slow.rows}`)
  const dear = settledBeside(10, 100)
  assert.ok(dear.dear > 0)
  assert.ok(dear.rows >= 1 && dear.rows <= 8, `${dear.rows}`)
})

test('a run begins politely, whether or not others are active', () => {
  const { pauseMs } = settle(2, 50, {})
  assert.ok(pauseMs >= PACING.polite.pauseMs)
})

test('a client that the first look shows is treated politely from the start if the engine need not listen first', () => {
  const knowing = { ...PACING, listenMs: 0 }
  const alone = paceAfterBatch(firstPace(knowing, CALM, 0), knowing, { rows: 500, heldMs: 15, endedAtMs: 1 }, CALM)
  assert.equal(alone.pauseMs, 0)
  const beside = paceAfterBatch(firstPace(knowing, { ...CALM, others: true }, 0), knowing, { rows: 500, heldMs: 15, endedAtMs: 1 }, CALM)
  assert.ok(beside.pauseMs >= PACING.polite.pauseMs)
})

test('one sign of another client makes the purge polite again, for longer than a slow writer pauses', () => {
  const { pace, atMs } = settle(80, 50, {})
  let step = paceAfterBatch(pace, PACING, { rows: pace.rows, heldMs: 40, endedAtMs: atMs }, { ...CALM, others: true })
  assert.ok(step.pauseMs >= PACING.polite.pauseMs)
  assert.ok(step.pace.rows < pace.rows)
  step = paceAfterBatch(step.pace, PACING, { rows: step.pace.rows, heldMs: 15, endedAtMs: atMs + 1_500 }, CALM)
  assert.ok(step.pauseMs >= PACING.polite.pauseMs)
  step = paceAfterBatch(step.pace, PACING, { rows: step.pace.rows, heldMs: 15, endedAtMs: atMs + 2_500 }, CALM)
  assert.equal(step.pauseMs, 0)
})

test('the size never leaves its bounds, whatever a batch took', () => {
  for (const heldMs of [0, 0.001, 1, 1e6]) {
    let pace = firstPace(PACING, CALM, 0)
    for (let at = 0; at < 50; at++) pace = paceAfterBatch(pace, PACING, { rows: pace.rows, heldMs, endedAtMs: at * 50 }, CALM).pace
    assert.ok(pace.rows >= (heldMs < 100 ? PACING.leastRows : 1) && pace.rows <= PACING.mostRows, `${pace.rows}`)
    assert.ok(Number.isInteger(pace.rows))
  }
})

test('a last, nearly empty batch does not change the size', () => {
  const { pace, atMs } = settle(60, 50, { others: true })
  assert.equal(paceAfterBatch(pace, PACING, { rows: 3, heldMs: 1, endedAtMs: atMs }, { ...CALM, others: true }).pace.rows, pace.rows)
})

test('a failure halves the size and doubles the wait, and five in a row at the smallest size end the run', () => {
  let pace: Pace = { rows: 100, politeUntilMs: 0, failures: 0, rising: false, cost: undefined, aroundMs: 0, dear: 0 }
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
  const troubled: Pace = { rows: 20, politeUntilMs: 0, failures: 4, rising: false, cost: undefined, aroundMs: 0, dear: 0 }
  assert.equal(paceAfterBatch(troubled, PACING, { rows: 20, heldMs: 15, endedAtMs: 1 }, CALM).pace.failures, 0)
})

/** A database in which a transaction takes so long, whatever it deletes, and a row so long, more or less. */
interface Costs {
  readonly fixedMs: number
  readonly rowMs: number
}

/** How long each of the first batches of a run holds its locks, and how many rows each has. */
function batchesOf(
  pacing: Pacing,
  { fixedMs, rowMs }: Costs,
  others: boolean,
  batches: number,
  noise: () => number,
): { rows: number; heldMs: number }[] {
  let pace = firstPace(pacing, { ...CALM, others }, 0)
  let atMs = 0
  return Array.from({ length: batches }, () => {
    const { rows } = pace
    const heldMs = (fixedMs + rows * rowMs) * (1 + noise() / 4)
    atMs += heldMs
    const step = paceAfterBatch(pace, pacing, { rows, heldMs, endedAtMs: atMs }, { ...CALM, others })
    atMs += step.pauseMs
    pace = step.pace
    return { rows, heldMs }
  })
}

/** Between 0 and 1, the same numbers on every run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state / 2 ** 31
  }
}

for (const [engine, pacing] of [
  ['postgres', POSTGRES],
  ['sqlite', pacingOf(true)],
] as const)
  test(`${engine}: whatever a row costs, no batch holds its locks for much longer than one row or what is promised, and cheap rows go by hundreds`, () => {
    let seed = 1
    for (const rowMs of [0.001, 0.01, 0.05, 1, 10, 60, 100, 600, 3_000])
      for (const fixedMs of [0.2, 4, 15, 60])
        for (const others of [false, true]) {
          const told = JSON.stringify({ rowMs, fixedMs, others })
          const batches = batchesOf(pacing, { fixedMs, rowMs }, others, 120, seeded((seed += 1)))
          const longest = Math.max(...batches.map(({ heldMs }) => heldMs))
          const alone = 1.5 * (fixedMs + rowMs)
          const aimed = pacing[others ? 'polite' : 'alone'].holdMs
          assert.ok(longest < 2 * Math.max(alone, 1.5 * (100 + fixedMs), aimed + fixedMs), `${told}: ${longest} ms`)
          const settled = batches.slice(20)
          const dear = rowMs * pacing.leastRows > 150
          if (dear && fixedMs < 60) {
            const few = Math.max(1, aimed / rowMs)
            const mean = settled.reduce((sum, { rows }) => sum + rows, 0) / settled.length
            assert.ok(mean <= 3 * few, `${told}: ${mean} rows`)
          } else if (rowMs * pacing.leastRows < 50) {
            assert.ok(
              settled.every(({ rows }) => rows >= pacing.leastRows),
              `${told}: ${Math.min(...settled.map(({ rows }) => rows))} rows`,
            )
          }
        }
  })

test('a run has its first full size after two small batches if rows are cheap', () => {
  for (const pacing of [POSTGRES, pacingOf(true)])
    assert.deepEqual(
      batchesOf(pacing, { fixedMs: 2, rowMs: 0.005 }, false, 3, () => 0).map(({ rows }) => rows),
      [1, 32, 500],
    )
})

test('when dear rows give way to cheap ones, and cheap ones to dear ones, batches follow', () => {
  let pace = firstPace(PACING, CALM, 0)
  const after = (rowMs: number, batches: number): number => {
    for (let at = 0; at < batches; at += 1)
      pace = paceAfterBatch(pace, PACING, { rows: pace.rows, heldMs: 2 + pace.rows * rowMs, endedAtMs: 1_000 }, CALM).pace
    return pace.rows
  }
  assert.equal(after(100, 5), 1)
  assert.ok(after(0.01, 20) > 1_000)
  assert.equal(after(100, 3), 1)
})

test('after dear rows there is a pause in which a waiting client gets in', () => {
  const { pace } = paceAfterBatch(firstPace(PACING, CALM, 0), PACING, { rows: 1, heldMs: 140, endedAtMs: 1_000 }, CALM)
  const { pauseMs } = paceAfterBatch(pace, PACING, { rows: pace.rows, heldMs: 280, endedAtMs: 2_000 }, CALM)
  assert.equal(pauseMs, 100)
})

test('a batch that takes longer than a statement may is followed by a much smaller one', () => {
  const pace: Pace = { rows: 5_000, politeUntilMs: 0, failures: 0, rising: false, cost: undefined, aroundMs: 0, dear: 0 }
  const first = paceAfterTimeout(pace, 5_000, 0)
  assert.ok(first.pace.rows < 200)
  assert.equal(paceAfterTimeout(first.pace, 20, 0).pace.rows, 1)
})

test('a batch that the database held up by itself does not leave small ones behind', () => {
  for (const pacing of [POSTGRES, pacingOf(true)])
    for (const others of [false, true])
      for (const hiccupMs of [150, 300, 1_000, 4_000]) {
        let pace = firstPace(pacing, { ...CALM, others }, 0)
        for (let at = 0; at < 60; at += 1) {
          const heldMs = at === 20 ? hiccupMs : 5 + pace.rows * 0.01
          pace = paceAfterBatch(pace, pacing, { rows: pace.rows, heldMs, endedAtMs: 1_000 }, { ...CALM, others }).pace
        }
        assert.ok(pace.rows >= pacing.leastRows, JSON.stringify({ others, hiccupMs, rows: pace.rows }))
      }
})
