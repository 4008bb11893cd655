import { DatabaseError } from '../database/database-error.ts'
import type { Session, Transaction } from '../database/query.ts'
import { JUMP_MS } from '../purge/safety.ts'
import { formatTime, type Clock, type EpochMs } from '../time/clock.ts'
import { HeldLease } from './held-lease.ts'
import { claimLease, holderOf, lastHolder, lockLease, releaseLease, type Lease } from './lease.ts'
import { cameBackSentence, type Trigger } from './result.ts'
import {
  acceptRun,
  addToRun,
  closeDeadRuns,
  countsOf,
  finishRun,
  forgetOwnRun,
  lastRunAt,
  LEASES,
  openRun,
  precedentOf,
  RUNS,
  type Precedent,
  type RunKey,
} from './run-records.ts'
import type { RunReceipts } from './run-receipts.ts'
import type { Bracket, HoldsOfRun, NoteAccepted, Run } from './run.ts'
import { withRetry, type RetryOptions } from './with-retry.ts'

export interface ClaimOptions {
  readonly database: Session
  readonly clock: Clock
  /** `host:process`, for people and for the lease. */
  readonly worker: string
  readonly version: string
  /** The tables, besides that of the runs, that count something for each run by its number. */
  readonly countedRuns: readonly string[]
}

export interface ClaimRequest {
  readonly job: string
  readonly holds: HoldsOfRun
  readonly trigger: Trigger
  /** The point in the schedule that the run is for, on the host's clock. */
  readonly slot: EpochMs | undefined
  /** `undefined`: runs of the job leave none. */
  readonly receipts: RunReceipts | undefined
  readonly stopping: AbortSignal
}

export type Claim =
  | { readonly kind: 'run'; readonly run: Run }
  /** Why not, as a clause. */
  | { readonly kind: 'skipped'; readonly reason: string }

type Claimed = Extract<Claim, { kind: 'skipped' }> | ({ readonly kind: 'opened' } & Opened)

interface Opened {
  readonly lease: Lease
  readonly id: number
  readonly now: EpochMs
  readonly clockSkewMs: number
}

/** Host clocks differ slightly: a run for this slot may appear to have started up to this long before it. */
export const SLOT_TOLERANCE_MS = 500

/** Takes the job's lease and inserts the run's row, unless another worker is running the job or has already run this slot. */
export function claimRun(options: ClaimOptions, request: ClaimRequest): Promise<Claim> {
  const { database, clock, worker } = options
  const persistence = { database, clock, stopping: request.stopping }
  const tables = { runs: database.named(RUNS), leases: database.named(LEASES) }
  return withRetry(persistence, async (again) => {
    try {
      const claimed = await database.transaction(async (tx): Promise<Claimed> => {
        const clockSkewMs = clock.now() - tx.now
        const before = await lastHolder(tx, tables.leases, request.job)
        const lease = await claimLease(tx, tables.leases, {
          job: request.job,
          holder: worker,
          knowsHolds: request.holds !== 'unmade',
          again,
        })
        if (lease === undefined) return await heldByAnother(tx, tables.leases, request.job, tx.now)
        if (again) await forgetOwnRun(tx, tables.runs, request.job, worker)
        const dead = await closeDeadRuns(tx, tables.runs, request.job, worker, before)
        await request.receipts?.write(tx, dead)
        const done = request.slot === undefined ? undefined : await doneSlot(tx, tables.runs, request.job, request.slot - clockSkewMs)
        if (done !== undefined) {
          await releaseLease(tx, tables.leases, lease)
          return { kind: 'skipped', reason: `this slot was already done by the run that began at ${formatTime(done)}` }
        }
        const id = await openRun(tx, database, options.countedRuns, { ...request, ...options })
        return { kind: 'opened', lease, id, now: tx.now, clockSkewMs }
      })
      // Only after COMMIT: constructing it starts the lease's heartbeat.
      return claimed.kind === 'skipped'
        ? claimed
        : { kind: 'run', run: new RecordedRun({ ...persistence, ...tables, ...claimed, holds: request.holds, receipts: request.receipts }) }
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.kind !== 'busy') throw error
      // The holder locks its lease during a batch, and a batch may last longer than we wait for a lock.
      const holder = await holderOf(database, tables.leases, request.job, await database.now())
      if (holder === undefined) throw error
      return { kind: 'skipped', reason: runningElsewhere(holder) }
    }
  })
}

async function heldByAnother(tx: Transaction, leases: string, job: string, now: EpochMs): Promise<Claimed> {
  return { kind: 'skipped', reason: runningElsewhere((await holderOf(tx, leases, job, now)) ?? 'another worker') }
}

function runningElsewhere(holder: string): string {
  return `already running on ${holder}`
}

function doneSlot(tx: Transaction, runs: string, job: string, slot: EpochMs): Promise<EpochMs | undefined> {
  return lastRunAt(tx, runs, job, slot - SLOT_TOLERANCE_MS, tx.now)
}

interface Recorded extends RetryOptions, Opened {
  readonly runs: string
  readonly leases: string
  readonly holds: HoldsOfRun
  readonly receipts: RunReceipts | undefined
}

/** Holds the lease from construction until `finish`. */
class RecordedRun implements Run {
  readonly id: number
  readonly now: EpochMs
  readonly clockSkewMs: number
  readonly holds: HoldsOfRun
  readonly #recorded: Recorded
  readonly #lease: HeldLease
  readonly #key: RunKey
  /** The accepted cutoff and retention, and what is noted with them, until they are written to the run's row. */
  #acceptance: { readonly cutoff: EpochMs; readonly retentionMs: number | undefined; readonly note: NoteAccepted | undefined } | undefined
  /** How many deleted rows the record was last seen to hold, committed. Only compared with what it holds later, never written. */
  #seen = 0
  /** Rows of batches that were committed, and that the database then lost together with their counts. */
  #cameBack = 0

  constructor(recorded: Recorded) {
    this.id = recorded.id
    this.#key = { id: recorded.id, job: recorded.lease.job, worker: recorded.lease.holder }
    this.now = recorded.now
    this.clockSkewMs = recorded.clockSkewMs
    this.holds = recorded.holds
    this.#recorded = recorded
    this.#lease = new HeldLease(recorded)
  }

  readonly batch: Bracket = async (work, options) => {
    let deleted = this.#seen
    const tally = await this.#lease.transaction(async (tx) => {
      await this.#noteAcceptance(tx)
      const done = await work(tx)
      const { before, after } = await addToRun(tx, this.#recorded.runs, this.#key, done)
      // Whatever becomes of this batch: an earlier one whose answer was lost may be in it.
      this.#see(before.deleted)
      deleted = after.deleted
      return done
    }, options)
    this.#see(deleted)
    this.#acceptance = undefined
    return tally
  }

  readonly underLease: Run['underLease'] = (work) => this.#lease.transaction(work)

  precedent(): Promise<Precedent | undefined> {
    const { database, runs, lease } = this.#recorded
    return precedentOf(database, runs, lease.job, this.now, JUMP_MS)
  }

  /** Written with the first batch, or at the end, so that a run that is killed before it deletes anything sets no precedent. */
  accept: Run['accept'] = (cutoff, retentionMs, note) => {
    this.#acceptance = { cutoff, retentionMs, note }
  }

  finish: Run['finish'] = async (finished) => {
    const { database, runs, leases, receipts } = this.#recorded
    await this.#lease.end()
    return withRetry(this.#recorded, async () => {
      const ended = finished.error === undefined ? [] : [await database.storable(finished.error)]
      return database.transaction(async (tx) => {
        const counts = await countsOf(tx, runs, this.#key)
        const held = await this.#lease.release(tx)
        // Whoever has it now may be writing a receipt.
        if (!held && receipts !== undefined) await lockLease(tx, leases, this.#key.job)
        if (counts === undefined) return held ? { kind: 'unrecorded' } : { kind: 'forgotten', cameBack: this.#cameBack + this.#seen }
        this.#see(counts.deleted)
        await this.#noteAcceptance(tx)
        const error = [...ended, ...(this.#cameBack === 0 ? [] : [cameBackSentence(this.#cameBack)])].join('\n')
        await finishRun(tx, runs, this.#key, counts, { ...finished, error: error === '' ? undefined : error })
        const receipt = await receipts?.write(tx, [this.id])
        return { kind: 'recorded', counts, cameBack: this.#cameBack, receipt }
      })
    })
  }

  /** Call with each count that is committed, in this order. */
  #see(deleted: number): void {
    this.#cameBack += Math.max(0, this.#seen - deleted)
    this.#seen = deleted
  }

  async #noteAcceptance(tx: Transaction): Promise<void> {
    const { runs, id } = this.#recorded
    if (this.#acceptance === undefined) return
    const { cutoff, retentionMs, note } = this.#acceptance
    await acceptRun(tx, runs, id, cutoff, retentionMs)
    await note?.(tx, id)
  }
}
