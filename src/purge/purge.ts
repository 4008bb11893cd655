import { DatabaseError } from '../database/database-error.ts'
import type { Slice, Slices, Tally } from '../database/purging.ts'
import { MaintenanceError, messageOf } from '../errors.ts'
import type { Pacer } from './pacer.ts'

/** What is done to a slice. The caller picks it: the loop does not know whether it deletes or counts. */
export type Dispose = (slice: Slice) => Promise<Tally>

/** Called after every batch. */
export type Report = (progress: Progress) => void

export interface Progress {
  readonly batches: number
  readonly affected: number
  /** Rows that were skipped because another transaction holds them; final once `purge` resolves. */
  readonly locked: number
  /** Rows that a constraint or trigger refused to delete, and the first error. */
  readonly refused: number
  readonly refusal: string | undefined
}

/** With more refused rows than this the cause is not a single row, and the run gives up. */
const MOST_REFUSED = 100
/** How many slices with locked rows are retried at the end; locked rows of further slices wait for the next run. */
const MOST_REVISITED = 1_000

/**
 * The one loop: next slice, dispose, report, pause, until no slice is left or `stopping` aborts. If a row cannot be deleted, its slice is halved until the
 * row is alone, and then skipped. Transient errors are retried as the pacer decides, with a smaller slice when deleting. Slices with locked rows get one
 * more try at the end. Rejects when the pacer gives up or too many rows are refused; by then `report` has seen everything that was done.
 */
export async function purge(rows: Slices, dispose: Dispose, pacer: Pacer, report: Report, stopping: AbortSignal): Promise<void> {
  let progress: Progress = { batches: 0, affected: 0, locked: 0, refused: 0, refusal: undefined }
  const revisit: { slice: Slice; locked: number }[] = []
  const update = (change: Partial<Progress>): void => {
    progress = { ...progress, ...change }
    report(progress)
  }

  let after: Slice | undefined
  // Smaller than the pacer's size while a refused row is being isolated; then grows back by doubling.
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
      update({ batches: progress.batches + 1, affected: progress.affected + tally.affected, locked: progress.locked + tally.locked })
      await pacer.pause(tally.affected)
    } catch (error) {
      if (slice === undefined || !(error instanceof DatabaseError) || error.kind !== 'row-refused') {
        await pacer.retry(error)
      } else if (size > 1) {
        narrow = Math.ceil(size / 2)
      } else {
        after = slice
        narrow = 2
        update({ refused: progress.refused + 1, refusal: progress.refusal ?? messageOf(error) })
        if (progress.refused > MOST_REFUSED) throw tooManyRefused(progress, error)
      }
    }
  }

  for (const { slice, locked } of revisit) {
    if (stopping.aborted) return
    try {
      const tally = await dispose(slice)
      update({ affected: progress.affected + tally.affected, locked: progress.locked - locked + tally.locked })
    } catch (error) {
      if (error instanceof DatabaseError && error.kind === 'row-refused')
        update({ locked: progress.locked - locked, refused: progress.refused + locked, refusal: progress.refusal ?? messageOf(error) })
      // After a transient error these rows stay counted as locked and are left to the next run.
      else await pacer.retry(error)
    }
  }
}

function wider(narrow: number, rows: number): number {
  return narrow * 2 >= rows ? Infinity : narrow * 2
}

function tooManyRefused(progress: Progress, cause: unknown): MaintenanceError {
  return new MaintenanceError(
    'JOB_FAILED',
    `A constraint or trigger prevented more than ${MOST_REFUSED} rows from being deleted. The run gave up after deleting ${progress.affected} rows. Fix the cause, then run again. The first error: ${progress.refusal}`,
    { cause },
  )
}
