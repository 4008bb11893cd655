import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DatabaseError } from '../../src/database/database-error.ts'
import type { Slice, Slices, Tally } from '../../src/database/purging.ts'
import type { Pacer } from '../../src/purge/pacer.ts'
import { NO_PROGRESS, purge, type Progress } from '../../src/purge/purge.ts'
import { LONGEST_LEAP, PATIENCE } from '../../src/purge/refusals.ts'
import { Turns } from '../../src/purge/turns.ts'

type Row = 'free' | 'stays' | 'gone'

class Place implements Slice {
  readonly from: number
  readonly to: number
  readonly #rows: readonly Row[]

  constructor(rows: readonly Row[], from: number, to: number) {
    this.#rows = rows
    this.from = from
    this.to = to
  }

  name = (): string => `row ${this.from}`
  count = (): Promise<number> => Promise.resolve(this.left().length)
  countByDay = (): Promise<never> => Promise.reject(new Error('not asked for'))
  remove = (): Promise<never> => Promise.reject(new Error('not asked for'))

  left(): number[] {
    const left: number[] = []
    for (let at = this.from; at < this.to; at += 1) if (this.#rows[at] !== 'gone') left.push(at)
    return left
  }
}

interface Outcome extends Progress {
  readonly left: readonly Row[]
  /** How often rows were refused. */
  readonly refusals: number
}

/** Purges a table in memory, which is walked as an engine walks its own. */
async function purged(rows: Row[], batch = 500, random: () => number = () => 0.5): Promise<Outcome> {
  let refusals = 0
  const slices: Slices = {
    next: (size, after) => {
      const from = after instanceof Place ? after.to : 0
      let [to, taken] = [from, 0]
      for (; to < rows.length && taken < size; to += 1) taken += rows[to] === 'gone' ? 0 : 1
      return Promise.resolve(taken === 0 ? undefined : new Place(rows, from, to))
    },
  }
  const dispose = (slice: Slice): Promise<Tally> => {
    const left = (slice as Place).left()
    if (left.some((at) => rows[at] === 'stays')) {
      refusals += 1
      return Promise.reject(new DatabaseError('row-refused', 'it is referenced'))
    }
    for (const at of left) rows[at] = 'gone'
    return Promise.resolve({ affected: left.length, locked: 0 })
  }
  const pacer: Pacer = { rows: batch, pause: () => Promise.resolve(), retry: (error) => rethrow(error) }
  let last = NO_PROGRESS
  const report = (progress: Progress): void => void (last = progress)
  await purge({ rows: slices, dispose, pacer, turns: new Turns(), report, stopping: new AbortController().signal, random })
  return { ...last, left: rows.filter((row) => row !== 'gone'), refusals }
}

function rethrow(error: unknown): never {
  throw error
}

const many = (row: Row, rows: number): Row[] => Array.from({ length: rows }, () => row)

/** Between 0 and 1, the same numbers on every run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state / 2 ** 31
  }
}

test('a few hundred refused rows in front are counted one by one, and everything behind them is deleted', async () => {
  const { affected, refused, passedOver, left } = await purged([...many('stays', 300), ...many('free', 5_000)])
  assert.deepEqual([affected, refused, passedOver, left.length], [5_000, 300, 0, 300])
})

test('of very many refused rows only samples are tried, and no row that could go in front, between or behind them stays', async () => {
  for (const free of [1, 700, 5_000]) {
    const block = many('free', free)
    const wide = many('free', LONGEST_LEAP)
    const rows = [...block, ...many('stays', 50_000), ...wide, ...many('stays', 50_000), ...block]
    const outcome = await purged(rows)
    assert.ok(outcome.left.every((row) => row === 'stays'))
    assert.equal(outcome.refused + outcome.passedOver, 100_000)
    assert.ok(outcome.refusals < 2 * PATIENCE + 4 * (100_000 / LONGEST_LEAP) + 1_000, `${outcome.refusals} refusals`)
  }
})

test('rows that are refused here and there keep no other row from being deleted', async () => {
  for (const every of [2, 3, 10, 97]) {
    const rows = Array.from({ length: 10_000 }, (_, at): Row => (at % every === 0 ? 'stays' : 'free'))
    const stay = rows.filter((row) => row === 'stays').length
    const { affected, refused, passedOver } = await purged(rows)
    assert.deepEqual([affected, refused, passedOver], [10_000 - stay, stay, 0])
  }
})

test('whatever rows are refused: no row is lost from the counts, and later runs find what an earlier one passed over', async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const random = seeded(seed)
    const rows: Row[] = []
    while (rows.length < 8_000) {
      const [share, length] = [random() ** 3, Math.ceil(random() * 3_000)]
      for (let at = 0; at < length; at += 1) rows.push(random() < share ? 'free' : 'stays')
    }
    const stay = rows.filter((row) => row === 'stays').length
    const first = await purged(rows, 500, random)
    assert.equal(first.affected + first.left.length, first.affected + first.refused + first.passedOver, `seed ${seed}`)
    assert.ok(first.left.length - stay < 0.1 * rows.length, `seed ${seed}: ${first.left.length - stay} rows that could go stayed`)
    for (let again = 1; again <= 5; again += 1) await purged(rows, 500, random)
    const last = await purged(rows, 500, random)
    assert.ok(last.left.length - stay < 0.03 * rows.length, `seed ${seed}: ${last.left.length - stay} rows that could go stayed`)
    assert.ok(last.refusals < 1_500, `seed ${seed}: ${last.refusals} refusals`)
  }
})
