import { DatabaseError } from '../database/database-error.ts'
import type { Database } from '../database/database.ts'
import type { Ahead, MakingStep, MissingPartition, Partitions } from '../database/partitioning.ts'
import { messageOf } from '../errors.ts'
import { plural } from '../number-text.ts'
import { SECOND, type Clock } from '../time/clock.ts'
import { HeldLease } from './held-lease.ts'
import { claimLease, LeaseLost } from './lease.ts'
import { partitionTerms, type KeptRows } from './partition-terms.ts'
import { LEASES } from './run-records.ts'
import { withRetry } from './with-retry.ts'

/** Whoever holds it makes partitions; it belongs to no job, and has no record of runs. */
export const MAKING = 'make-partitions'

export interface MakingContext {
  readonly database: Database
  readonly clock: Clock
  /** `host:process` */
  readonly worker: string
  readonly stopping: AbortSignal
}

export type MadeAhead =
  /** All are there, or the table was not turned into partitions. */
  | { readonly kind: 'nothing' }
  /** Another worker is at it. */
  | { readonly kind: 'elsewhere' }
  | {
      readonly kind: 'done'
      readonly made: readonly string[]
      /** Days that get none, and where their rows go; each a clause. */
      readonly skipped: readonly string[]
      readonly failed: readonly NotMade[]
    }

/** What was to be made and was not. */
export interface NotMade {
  /** The same for the same trouble, whatever ages or processes are named. */
  readonly kind: string
  /** Why, as a clause or a sentence. */
  readonly text: string
}

/** Between tries behind a lock, after the quick ones of `withRetry`. Then it is left to the next hour: there are days left. */
const BUSY_PAUSES_MS = [2 * SECOND, 4 * SECOND]

/** Makes the partitions that the next days of the job's table need, one a transaction or a few, under a lease of their own. Never rejects. */
export async function makeAhead(context: MakingContext, kept: KeptRows, aheadMs: number): Promise<MadeAhead> {
  const report: Report = { made: [], skipped: [], failed: [] }
  try {
    const isElsewhere = await makeInto(report, context, kept, aheadMs)
    if (isElsewhere) return { kind: 'elsewhere' }
  } catch (error) {
    if (error instanceof LeaseLost && report.made.length === 0) return { kind: 'elsewhere' }
    // Losing the connection while the worker stops is part of stopping.
    if (!context.stopping.aborted)
      report.failed.push({ kind: kindOf(error), text: `partitions of ${kept.job.table} cannot be made ahead: ${messageOf(error)}` })
  }
  return Object.values(report).every(({ length }: readonly unknown[]) => length === 0) ? { kind: 'nothing' } : { kind: 'done', ...report }
}

interface Report {
  readonly made: string[]
  readonly skipped: string[]
  readonly failed: NotMade[]
}

/** Returns whether another worker is at it. */
async function makeInto(report: Report, context: MakingContext, kept: KeptRows, aheadMs: number): Promise<boolean> {
  const { database } = context
  const partitions = database.partitions(kept.job)
  if (partitions === undefined) return false
  const glance = await retried(context, () => glanceAhead(database, partitions, aheadMs))
  if (!hasWork(glance)) {
    note(report, glance)
    return false
  }
  const held = await takeLease(context)
  if (held === undefined) return true
  try {
    await makeUnder(held, report, context, partitions, kept, aheadMs)
  } finally {
    await held.end()
    await retried(context, () => database.transaction((tx) => held.release(tx))).catch(() => undefined)
  }
  return false
}

function note(report: Report, ahead: Ahead): void {
  if (ahead.kind === 'refused') report.failed.push(...ahead.reasons.map((text) => ({ kind: text, text })))
  if (ahead.kind === 'missing') report.skipped.push(...ahead.skipped)
}

function retried<T>({ database, clock, stopping }: MakingContext, work: () => Promise<T>): Promise<T> {
  return withRetry({ database, clock, stopping }, work)
}

/** Without asking which rules match rows, which takes long: mostly nothing is missing. */
async function glanceAhead(database: Database, partitions: Partitions, aheadMs: number): Promise<Ahead> {
  const now = await database.now()
  return partitions.ahead(now + aheadMs, { now, aheadMs, periods: [] })
}

function hasWork(ahead: Ahead): boolean {
  return ahead.kind === 'missing' && (ahead.partitions.length > 0 || ahead.leftover !== undefined)
}

function takeLease(context: MakingContext): Promise<HeldLease | undefined> {
  const { database, clock, worker, stopping } = context
  const leases = database.named(LEASES)
  return withRetry({ database, clock, stopping }, async (again) => {
    // It reads the holds nowhere, because it removes nothing, but a lease without that word is refused while there are holds.
    const lease = await database.transaction((tx) => claimLease(tx, leases, { job: MAKING, holder: worker, knowsHolds: true, again }))
    return lease === undefined ? undefined : new HeldLease({ database, clock, leases, lease })
  })
}

async function makeUnder(
  held: HeldLease,
  report: Report,
  context: MakingContext,
  partitions: Partitions,
  kept: KeptRows,
  aheadMs: number,
): Promise<void> {
  const terms = await retried(context, () => partitionTerms(context.database, kept, aheadMs))
  const ask = (): Promise<Ahead> => retried(context, () => partitions.ahead(terms.now + aheadMs, terms))
  const ahead = await ask()
  note(report, ahead)
  if (ahead.kind !== 'missing') return
  await takeBack(held, context, ahead)
  for (const [at, partition] of ahead.partitions.entries()) {
    if (context.stopping.aborted) break
    const { outcome, error } = await makeOne(held, context, partition)
    if (outcome === 'made') report.made.push(partition.name)
    if (outcome === 'failed')
      report.failed.push({
        kind: `${partition.name} ${kindOf(error)}`,
        text: `partition ${partition.name} was not made: ${messageOf(error)}`,
      })
    if (outcome === 'busy') {
      report.failed.push({ kind: 'busy', text: busyClause(kept.job.table, ahead.partitions.length - at, error) })
      break
    }
  }
  // Steps that did not end may have left something.
  if (report.failed.length > 0 || ahead.partitions.some(({ steps }) => steps.length > 1)) await takeBack(held, context, await ask())
}

async function takeBack(held: HeldLease, context: MakingContext, ahead: Ahead): Promise<void> {
  if (ahead.kind === 'missing' && ahead.leftover !== undefined) await stepped(held, context, ahead.leftover)
}

function stepped(held: HeldLease, context: MakingContext, step: MakingStep): Promise<'made' | 'there'> {
  return retried(context, () => held.transaction((tx) => step.run(tx), { takesMs: step.takesMs }))
}

interface One {
  readonly outcome: 'made' | 'there' | 'busy' | 'failed'
  readonly error?: unknown
}

/** A day whose partition cannot be made keeps no other from having one. */
async function makeOne(held: HeldLease, context: MakingContext, { steps }: MissingPartition): Promise<One> {
  const { clock, stopping } = context
  for (let tries = 0; ; tries += 1) {
    try {
      for (const step of steps) if ((await stepped(held, context, step)) === 'there') return { outcome: 'there' }
      return { outcome: 'made' }
    } catch (error) {
      if (error instanceof LeaseLost || !(error instanceof DatabaseError) || ENDING.has(error.kind)) throw error
      if (error.kind !== 'busy') return { outcome: 'failed', error }
      const pauseMs = BUSY_PAUSES_MS[tries]
      if (pauseMs === undefined || stopping.aborted) return { outcome: 'busy', error }
      await clock.sleep(pauseMs, stopping)
    }
  }
}

const ENDING: ReadonlySet<string> = new Set(['lost', 'unreachable'])

function kindOf(error: unknown): string {
  return error instanceof DatabaseError ? error.kind : 'failed'
}

function busyClause(table: string, left: number, error: unknown): string {
  return `${left} ${plural(left, 'partition')} of ${table} ${plural(left, 'was', 'were')} not made ahead, and will be tried again within the hour: ${messageOf(error)}`
}
