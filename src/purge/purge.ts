import { DatabaseError } from '../database/database-error.ts'
import type { Slice, Slices, Tally } from '../database/purging.ts'
import { messageOf } from '../errors.ts'
import type { Pacer } from './pacer.ts'
import { afterBatch, afterLeap, afterLeapTooFar, afterRefusal, mustLeap, nearTheEnd, NONE_REFUSED, sampled, triedRows } from './refusals.ts'

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
  /** Rows that were not tried, because the rows around them were refused. */
  readonly passedOver: number
}

export const NO_PROGRESS: Progress = { batches: 0, affected: 0, locked: 0, refused: 0, refusal: undefined, passedOver: 0 }

/** How many slices with locked rows are retried at the end; locked rows of further slices wait for the next run. */
const MOST_REVISITED = 1_000

/**
 * The one loop: next slice, dispose, report, pause, until no slice is left or `stopping` aborts. If a row cannot be deleted, its slice is halved until the
 * row is alone, and then skipped; among very many such rows, only samples are tried, others on each run. Transient errors are retried as the pacer decides,
 * with a smaller slice when deleting. Slices with locked rows get one more try at the end. Rejects when the pacer gives up; by then `report` has seen
 * everything that was done.
 */
export async function purge(
  rows: Slices,
  dispose: Dispose,
  pacer: Pacer,
  report: Report,
  stopping: AbortSignal,
  random: () => number = Math.random,
): Promise<void> {
  const walk = new PurgeWalk({ rows, dispose, pacer, report, random })
  for (let ended = false; !ended && !stopping.aborted;) {
    try {
      ended = await walk.step()
    } catch (error) {
      await pacer.retry(error)
    }
  }
  for (const visit of walk.revisits) {
    if (stopping.aborted) return
    try {
      await walk.revisit(visit)
    } catch (error) {
      // These rows stay counted as locked and are left to the next run.
      await pacer.retry(error)
    }
  }
}

interface PurgeOptions {
  readonly rows: Slices
  readonly dispose: Dispose
  readonly pacer: Pacer
  readonly report: Report
  /** From 0 to below 1. */
  readonly random: () => number
}

/** A slice with locked rows. */
interface Visit {
  readonly after: Slice | undefined
  readonly slice: Slice
  readonly locked: number
}

class PurgeWalk {
  readonly revisits: Visit[] = []
  readonly #options: PurgeOptions
  #progress = NO_PROGRESS
  #after: Slice | undefined
  #refusals = NONE_REFUSED

  constructor(options: PurgeOptions) {
    this.#options = options
  }

  /** Resolves to true if no row is left. After an error it can be repeated. */
  step(): Promise<boolean> {
    return mustLeap(this.#refusals) ? this.#leap() : this.#batch()
  }

  async revisit({ after, slice, locked }: Visit): Promise<void> {
    const tally = await this.#disposed(slice)
    if (tally !== undefined) return this.#update({ affected: tally.affected, locked: tally.locked - locked })
    const { rows } = this.#options
    const left = await slice.count()
    this.#update({ locked: left - locked })
    let before = after
    for (let at = 0; at < left; at += 1) {
      const row = await rows.next(1, before)
      if (row === undefined) return
      const one = (await this.#disposed(row)) ?? { affected: 0, locked: 0, refused: 1 }
      this.#update({ ...one, locked: one.locked - 1 })
      before = row
    }
  }

  async #batch(): Promise<boolean> {
    const { rows, pacer } = this.#options
    const size = triedRows(this.#refusals, pacer.rows)
    const slice = await rows.next(size, this.#after)
    if (slice === undefined) return true
    const tally = await this.#disposed(slice)
    if (tally === undefined) {
      this.#refusals = afterRefusal(this.#refusals, size)
      if (size === 1) {
        this.#after = slice
        this.#update({ refused: 1 })
      }
    } else {
      this.#refusals = afterBatch(this.#refusals, size)
      this.#count(tally, this.#after, slice)
      this.#after = slice
    }
    await pacer.pause(tally?.affected ?? 0)
    return false
  }

  /** Passes over a range of rows if all samples of it are refused. */
  async #leap(): Promise<boolean> {
    const { rows, pacer, random } = this.#options
    const { leap } = this.#refusals
    const range = await rows.next(leap, this.#after)
    if (range === undefined) return true
    const size = await range.count()
    if (size < leap) {
      this.#refusals = nearTheEnd(this.#refusals, size)
      return false
    }
    const samples = sampled(size, random)
    for (const place of samples) {
      const before = place === 0 ? this.#after : await rows.next(place, this.#after)
      const row = await rows.next(1, before)
      const tally = row === undefined ? undefined : await this.#disposed(row)
      if (row === undefined || tally !== undefined) {
        this.#refusals = afterLeapTooFar()
        if (row !== undefined && tally !== undefined) this.#count(tally, before, row)
        await pacer.pause(tally?.affected ?? 0)
        return false
      }
      await pacer.pause(0)
    }
    this.#after = range
    this.#refusals = afterLeap(this.#refusals)
    this.#update({ refused: samples.length, passedOver: size - samples.length })
    return false
  }

  /** `undefined`: one of its rows was refused, and none was deleted. */
  async #disposed(slice: Slice): Promise<Tally | undefined> {
    try {
      return await this.#options.dispose(slice)
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.kind !== 'row-refused') throw error
      const refusal = this.#progress.refusal ?? messageOf(error)
      this.#progress = { ...this.#progress, refusal }
      return undefined
    }
  }

  #count(tally: Tally, after: Slice | undefined, slice: Slice): void {
    if (tally.locked > 0 && this.revisits.length < MOST_REVISITED) this.revisits.push({ after, slice, locked: tally.locked })
    this.#update({ batches: 1, ...tally })
  }

  #update(more: Partial<Record<'batches' | 'affected' | 'locked' | 'refused' | 'passedOver', number>>): void {
    const { batches, affected, locked, refused, passedOver, refusal } = this.#progress
    this.#progress = {
      batches: batches + (more.batches ?? 0),
      affected: affected + (more.affected ?? 0),
      locked: locked + (more.locked ?? 0),
      refused: refused + (more.refused ?? 0),
      passedOver: passedOver + (more.passedOver ?? 0),
      refusal,
    }
    this.#options.report(this.#progress)
  }
}
