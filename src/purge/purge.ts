import { DatabaseError } from '../database/database-error.ts'
import type { Slice, Slices, Tally } from '../database/purging.ts'
import { messageOf } from '../errors.ts'
import type { Pacer } from './pacer.ts'
import {
  afterBatch,
  afterLeap,
  afterLeapTooFar,
  afterRefusal,
  mustLeap,
  nearTheEnd,
  NONE_REFUSED,
  sampled,
  triedRows,
  WEIGHT_OF_SLOW,
} from './refusals.ts'
import type { Turns } from './turns.ts'

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
  /** Rows that were left because each of them, by itself, takes longer than a statement may, and the first of them. */
  readonly slow: number
  readonly slowest: SlowRow | undefined
}

export interface SlowRow {
  readonly name: string
  readonly error: string
}

export const NO_PROGRESS: Progress = {
  batches: 0,
  affected: 0,
  locked: 0,
  refused: 0,
  refusal: undefined,
  passedOver: 0,
  slow: 0,
  slowest: undefined,
}

/** After so many rows, each of which takes longer than a statement may, the run ends: the next ones would take all day. */
export const MOST_SLOW = 20

/** How many slices with locked rows are retried at the end; locked rows of further slices wait for the next run. */
const MOST_REVISITED = 1_000

/**
 * The one loop: next slice, dispose, report, pause, until no slice is left or `stopping` aborts. If a row cannot be deleted, or takes too long, its slice is
 * divided until the row is alone, and then skipped; among very many such rows, only samples are tried, others on each run. Transient errors are
 * retried as the pacer decides, with a smaller slice when deleting. Slices with locked rows get one more try at the end. Rejects when the pacer gives
 * up; by then `report` has seen everything that was done. Each step is taken in a turn.
 */
export async function purge(options: PurgeOptions): Promise<void> {
  const { pacer, turns, stopping } = options
  const walk = new PurgeWalk(options)
  for (let ended = false; !ended && !stopping.aborted;) {
    try {
      ended = await turns.take(async () => stopping.aborted || (await walk.step()))
    } catch (error) {
      await pacer.retry(error)
    }
  }
  for (const visit of walk.revisits) {
    if (stopping.aborted) return
    try {
      await turns.take(() => walk.revisit(visit))
    } catch (error) {
      // These rows stay counted as locked and are left to the next run.
      await pacer.retry(error)
    }
  }
}

export interface PurgeOptions {
  readonly rows: Slices
  readonly dispose: Dispose
  readonly pacer: Pacer
  readonly turns: Turns
  readonly report: Report
  readonly stopping: AbortSignal
  /** From 0 to below 1. */
  readonly random?: () => number
}

/** Why a slice was left. */
interface Left {
  readonly left: 'refused' | 'slow'
  readonly error: DatabaseError
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
  /** Whether a row by itself took too long and nothing was deleted since. The first such row is tried again: the database may have been held up. */
  #heldUp = false

  constructor(options: PurgeOptions) {
    this.#options = options
  }

  /** Resolves to true if no row is left. After an error it can be repeated. */
  async step(): Promise<boolean> {
    if (this.#progress.slow >= MOST_SLOW) return true
    return mustLeap(this.#refusals) ? this.#leap() : this.#batch()
  }

  async revisit({ after, slice, locked }: Visit): Promise<void> {
    const tally = await this.#disposed(slice)
    if (!('left' in tally)) return this.#update({ affected: tally.affected, locked: tally.locked - locked })
    const { rows } = this.#options
    const left = await slice.count()
    this.#update({ locked: left - locked })
    let before = after
    for (let at = 0; at < left && this.#progress.slow < MOST_SLOW; at += 1) {
      const row = await rows.next(1, before)
      if (row === undefined) return
      const one = await this.#disposed(row)
      if ('left' in one) this.#leave(row, one, { locked: -1 })
      else this.#update({ affected: one.affected, locked: one.locked - 1 })
      before = row
    }
  }

  async #batch(): Promise<boolean> {
    const { rows, pacer } = this.#options
    const size = triedRows(this.#refusals, pacer.rows)
    const slice = await rows.next(size, this.#after)
    if (slice === undefined) return true
    const tally = await this.#disposed(slice)
    if (!('left' in tally)) {
      this.#refusals = afterBatch(this.#refusals, size)
      this.#count(tally, this.#after, slice)
      this.#after = slice
      this.#heldUp = false
      await pacer.pause(tally)
      return false
    }
    const again = tally.left === 'slow' && size === 1 && !this.#heldUp
    if (again) this.#heldUp = true
    else this.#refusals = afterRefusal(this.#refusals, size, tally.left === 'slow' ? WEIGHT_OF_SLOW : 1)
    if (size === 1 && !again) {
      this.#after = slice
      this.#leave(slice, tally)
    }
    await (tally.left === 'slow' ? pacer.retry(tally.error, size) : pacer.pause(NOTHING))
    return false
  }

  /** Passes over a range of rows if all samples of it are left. */
  async #leap(): Promise<boolean> {
    const { rows, pacer, random = Math.random } = this.#options
    const { leap } = this.#refusals
    const range = await rows.next(leap, this.#after)
    if (range === undefined) return true
    const size = await range.count()
    if (size < leap) {
      this.#refusals = nearTheEnd(this.#refusals, size)
      return false
    }
    const samples: [Slice, Left][] = []
    for (const place of sampled(size, random)) {
      const before = place === 0 ? this.#after : await rows.next(place, this.#after)
      const row = await rows.next(1, before)
      const tally = row === undefined ? NOTHING : await this.#disposed(row)
      if (row !== undefined && 'left' in tally) {
        samples.push([row, tally])
        await pacer.pause(NOTHING)
        continue
      }
      this.#refusals = afterLeapTooFar()
      if (row !== undefined && !('left' in tally)) this.#count(tally, before, row)
      await pacer.pause('left' in tally ? NOTHING : tally)
      return false
    }
    this.#after = range
    this.#refusals = afterLeap(this.#refusals)
    for (const [row, left] of samples) this.#leave(row, left)
    this.#update({ passedOver: size - samples.length })
    return false
  }

  /** One of its rows may be refused or take too long; then none was deleted. */
  async #disposed(slice: Slice): Promise<Tally | Left> {
    try {
      return await this.#options.dispose(slice)
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      if (error.kind === 'row-refused') return { left: 'refused', error }
      if (error.kind === 'slow') return { left: 'slow', error }
      throw error
    }
  }

  /** A row by itself. */
  #leave(row: Slice, { left, error }: Left, also: Counts = {}): void {
    const { refusal, slowest } = this.#progress
    this.#progress = {
      ...this.#progress,
      ...(left === 'slow'
        ? { slowest: slowest ?? { name: row.name(), error: messageOf(error) } }
        : { refusal: refusal ?? messageOf(error) }),
    }
    this.#update({ ...also, [left]: 1 })
  }

  #count(tally: Tally, after: Slice | undefined, slice: Slice): void {
    if (tally.locked > 0 && this.revisits.length < MOST_REVISITED) this.revisits.push({ after, slice, locked: tally.locked })
    this.#update({ batches: 1, affected: tally.affected, locked: tally.locked })
  }

  #update(more: Counts): void {
    const before = this.#progress
    const sums = COUNTS.map((name) => [name, before[name] + (more[name] ?? 0)])
    this.#progress = { ...before, ...Object.fromEntries(sums) }
    this.#options.report(this.#progress)
  }
}

const COUNTS = ['batches', 'affected', 'locked', 'refused', 'passedOver', 'slow'] as const
type Counts = Partial<Record<(typeof COUNTS)[number], number>>

const NOTHING: Tally = { affected: 0, locked: 0 }
