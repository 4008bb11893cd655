import assert from 'node:assert/strict'
import type { ConversionListener } from '../../../src/database/partitioning.ts'
import type { Fixture } from '../../runs/support.ts'
import type { TestDatabase } from '../../support/engines.ts'
import { midnight } from '../../support/partitioned.ts'

/** So many rows on each of these days from today, by number of the day `t1`, `t2`, … */
export async function fill(outside: TestDatabase, days: readonly (number | 'infinity' | '-infinity')[], each = 3): Promise<void> {
  for (const day of days) {
    const time = typeof day === 'number' ? midnight(day).replace('00:00:00', '11:12:13.141516') : day
    await outside.sql(
      `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") SELECT 't' || n, 'u', 'invoke', 'success', $1::timestamp FROM generate_series(1, ${each}) AS n`,
      [time],
    )
  }
}

export async function rowsOf(outside: TestDatabase): Promise<readonly string[]> {
  const rows = await outside.sql<{ row: string }>('SELECT a::text AS row FROM audit_logs AS a ORDER BY id, a::text')
  return rows.map(({ row }) => row)
}

export interface Told {
  readonly steps: readonly string[]
  /** Of those that locked others out, for how long, in milliseconds. */
  readonly locks: readonly number[]
}

/** Waits at the beginning of each step for `at`, which looks or interferes. */
export async function undo(
  { database }: Pick<Fixture, 'database'>,
  at: (step: string) => Promise<void> = () => Promise.resolve(),
  { signal } = new AbortController(),
): Promise<Told> {
  const [steps, locks]: [string[], number[]] = [[], []]
  const interfering: Promise<void>[] = []
  const listener: ConversionListener = {
    step: (sentence) => {
      steps.push(sentence)
      interfering.push(at(sentence))
    },
    done: (_, lockedMs) => void (lockedMs !== undefined && locks.push(lockedMs)),
    blocked: () => {},
  }
  const partitions = database.partitions({ table: 'audit_logs', column: 'timestamp' })!
  await partitions.undo({ lock: { timeoutMs: 20_000, signal, waiting: () => {} }, listener, signal })
  await Promise.all(interfering)
  return { steps, locks }
}

/** Begins an undo and stops it once the table is plain and its children still have their rows. */
export async function halfUndone(fixture: Pick<Fixture, 'database'>): Promise<void> {
  const stopping = new AbortController()
  const at = (step: string): Promise<void> => Promise.resolve(step.startsWith('moves') ? stopping.abort() : undefined)
  await assert.rejects(
    undo(fixture, at, stopping),
    /Interrupted while rows were moved back\. All of them are read through public\.audit_logs/,
  )
}
