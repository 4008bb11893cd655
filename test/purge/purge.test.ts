import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DatabaseError, type ErrorKind } from '../../src/database/database-error.ts'
import type { Slice, Slices, Tally } from '../../src/database/purging.ts'
import type { Pacer } from '../../src/purge/pacer.ts'
import { NO_PROGRESS, purge, type Progress } from '../../src/purge/purge.ts'
import { Turns } from '../../src/purge/turns.ts'

/** Rows 0 … n-1 in a row, handed out forwards like an engine does. */
function numbered(total: number): Slices & { readonly slices: (readonly number[])[] } {
  const bounds = new WeakMap<Slice, { from: number; to: number }>()
  const slices: (readonly number[])[] = []
  return {
    slices,
    next: (size, after) => {
      const from = after === undefined ? 0 : bounds.get(after)!.to
      const to = Math.min(from + size, total)
      if (from >= to) return Promise.resolve(undefined)
      const slice: Slice = {
        name: () => `row ${from}`,
        count: () => Promise.resolve(to - from),
        countByDay: () => Promise.reject(new Error('not asked for')),
        remove: () => Promise.reject(new Error('not asked for')),
      }
      bounds.set(slice, { from, to })
      slices.push([from, to])
      return Promise.resolve(slice)
    },
  }
}

function removal(rows: ReturnType<typeof numbered>, act: (from: number, to: number) => Tally): { dispose: () => Promise<Tally> } {
  return {
    dispose: () => {
      const [from, to] = rows.slices.at(-1)! as [number, number]
      return new Promise((resolve) => resolve(act(from, to)))
    },
  }
}

const failure = (kind: ErrorKind, text = 'x'): DatabaseError => new DatabaseError(kind, text)

function steady(rows: number, onRetry: (error: unknown) => void = (error) => rethrow(error)): Pacer {
  return {
    rows,
    pause: () => Promise.resolve(),
    retry: (error) => new Promise((resolve) => resolve(onRetry(error))),
  }
}

function rethrow(error: unknown): never {
  throw error
}

async function outcome(
  rows: Slices,
  dispose: () => Promise<Tally>,
  pacer: Pacer,
  signal = new AbortController().signal,
): Promise<Progress> {
  let last = NO_PROGRESS
  await purge({ rows, dispose, pacer, turns: new Turns(), report: (progress) => (last = progress), stopping: signal })
  return last
}

test('a row that cannot be deleted is isolated and skipped, and every other row is deleted', async () => {
  for (const total of [1, 2, 7, 1_000]) {
    for (const poison of [
      [0],
      [total - 1],
      [0, total - 1],
      [...new Set([0, Math.floor(total / 2), Math.floor(total / 2) + 1])].filter((at) => at < total),
    ]) {
      const bad = new Set(poison)
      const gone = new Set<number>()
      const rows = numbered(total)
      const { dispose } = removal(rows, (from, to) => {
        for (let at = from; at < to; at++) if (bad.has(at)) throw failure('row-refused', 'the row is referenced')
        for (let at = from; at < to; at++) {
          assert.ok(!gone.has(at), `row ${at} was disposed of twice`)
          gone.add(at)
        }
        return { affected: to - from, locked: 0 }
      })
      const last = await outcome(rows, dispose, steady(64))
      assert.equal(last.refused, bad.size)
      assert.equal(last.affected, total - bad.size)
      assert.equal(last.refusal, 'the row is referenced')
    }
  }
})

test('locked rows are tried once more at the end, and only those still locked are counted', async () => {
  const rows = numbered(100)
  let visits = 0
  const { dispose } = removal(rows, (from, to) => {
    visits += 1
    if (visits <= 10) return { affected: to - from - 1, locked: 1 }
    return visits % 2 === 0 ? { affected: 1, locked: 0 } : { affected: 0, locked: 1 }
  })
  const last = await outcome(rows, dispose, steady(10))
  assert.deepEqual({ affected: last.affected, locked: last.locked, batches: last.batches }, { affected: 95, locked: 5, batches: 10 })
})

test('a batch that meets a transient error is retried from the same place', async () => {
  const rows = numbered(50)
  let failures = 3
  const { dispose } = removal(rows, (from, to) => {
    if (from === 20 && failures-- > 0) throw failure('busy')
    return { affected: to - from, locked: 0 }
  })
  const retried: unknown[] = []
  const last = await outcome(
    rows,
    dispose,
    steady(10, (error) => retried.push(error)),
  )
  assert.equal(last.affected, 50)
  assert.equal(retried.length, 3)
})

test('an abort ends the run after the current batch', async () => {
  const rows = numbered(1_000)
  const stopping = new AbortController()
  const { dispose } = removal(rows, (from, to) => {
    if (from === 100) stopping.abort()
    return { affected: to - from, locked: 0 }
  })
  const last = await outcome(rows, dispose, steady(100), stopping.signal)
  assert.equal(last.affected, 200)
})

test('everything done before the pacer gives up has been reported', async () => {
  const rows = numbered(50)
  const { dispose } = removal(rows, (from, to) => (from === 30 ? rethrow(failure('lost')) : { affected: to - from, locked: 0 }))
  let last: Progress | undefined
  const stopping = new AbortController().signal
  const report = (progress: Progress): void => void (last = progress)
  await assert.rejects(purge({ rows, dispose, pacer: steady(10), turns: new Turns(), report, stopping }))
  assert.equal(last?.affected, 30)
})
