import { DatabaseError } from '../database/database-error.ts'
import type { Slice, Slices, Tally } from '../database/purging.ts'
import { MaintenanceError, messageOf } from '../errors.ts'
import type { Pacer } from './pacer.ts'

/** What is done to a slice; chosen once, outside the loop, which never asks. */
export type Dispose = (slice: Slice) => Promise<Tally>

/** Told after every batch. */
export type Report = (progress: Progress) => void

export interface Progress {
  readonly batches: number
  readonly affected: number
  /** Rows another transaction held to the end. */
  readonly locked: number
  /** Rows that a constraint or trigger of their own kept, and what it said of the first. */
  readonly refused: number
  readonly refusal: string | undefined
}

/** More rows than this that refuse to go, and the cause is not a row's. */
const MOST_REFUSED = 100
/** Slices with locked rows that are remembered for a second try; of any beyond, the locked rows wait for the next run. */
const MOST_REVISITED = 1_000

/**
 * The one loop: next slice, dispose, report, pause, until no slice is left or `stopping` aborts. A slice that a row of its own refuses is
 * halved until the row stands alone and is set aside. Trouble that may pass is tried again, smaller, as the pacer says.
 * Rejects when the pacer gives up or too many rows refuse; `report` was told of everything done before.
 */
export async function purge(rows: Slices, dispose: Dispose, pacer: Pacer, report: Report, stopping: AbortSignal): Promise<void> {
  let progress: Progress = { batches: 0, affected: 0, locked: 0, refused: 0, refusal: undefined }
  const revisit: { slice: Slice; locked: number }[] = []
  const tell = (change: Partial<Progress>): void => {
    progress = { ...progress, ...change }
    report(progress)
  }

  let after: Slice | undefined
  // Below the pacer's size while a row that refuses is being singled out; grows back by doubling.
  let narrow = Infinity
  while (!stopping.aborted) {
    const size = Math.min(pacer.rows, narrow)
    let slice: Slice | undefined
    try {
      slice = await rows.next(size, after)
      if (slice === undefined) break
      const tally = await dispose(slice)
      if (tally.locked > 0 && revisit.length < MOST_REVISITED) revisit.push({ slice, locked: tally.locked })
      after = slice
      narrow = wider(narrow, pacer.rows)
      tell({ batches: progress.batches + 1, affected: progress.affected + tally.affected, locked: progress.locked + tally.locked })
      await pacer.pause(tally.affected)
    } catch (error) {
      if (slice === undefined || !(error instanceof DatabaseError) || error.kind !== 'row-refused') {
        await pacer.retry(error)
      } else if (size > 1) {
        narrow = Math.ceil(size / 2)
      } else {
        after = slice
        narrow = 2
        tell({ refused: progress.refused + 1, refusal: progress.refusal ?? messageOf(error) })
        if (progress.refused > MOST_REFUSED) throw tooManyRefused(progress, error)
      }
    }
  }

  for (const { slice, locked } of revisit) {
    if (stopping.aborted) return
    try {
      const tally = await dispose(slice)
      tell({ affected: progress.affected + tally.affected, locked: progress.locked - locked + tally.locked })
    } catch (error) {
      // They were counted as locked, and so they stay for the next run.
      await pacer.retry(error)
    }
  }
}

function wider(narrow: number, rows: number): number {
  return narrow * 2 >= rows ? Infinity : narrow * 2
}

function tooManyRefused(progress: Progress, cause: unknown): MaintenanceError {
  return new MaintenanceError(
    'JOB_FAILED',
    `more than ${MOST_REFUSED} rows refuse to be deleted, so the run stopped after ${progress.affected} rows; the first said: ${progress.refusal}`,
    { cause },
  )
}
