import type { Query, Transaction } from '../database/query.ts'
import { readBack } from '../database/read-back.ts'
import { orNothing, storedCount, storedTime } from '../database/stored-values.ts'
import { archiveShrinkingMessage, smallPartOf } from '../purge/safety.ts'
import { formatDay, type EpochMs } from '../time/clock.ts'
import type { Link } from './format.ts'
import { firstKeptDay, holdingsOf, oldestDay, type Dated } from './holdings.ts'
import { RunCounts } from './run-counts.ts'
import type { Growth } from './step.ts'
import type { Store } from './store/store.ts'

/** Made by migration 006. */
export const RETENTIONS = 'maintenance_archive_retention'
export const REMOVED = 'maintenance_archive_removed'

/** How long files are kept, as it was last settled: a longer retention is taken as it comes, a shorter one only from a person. */
export interface AcceptedRetention {
  /** `undefined`: for ever. */
  readonly keptMs: number | undefined
  /** Files of earlier rows may have gone by a retention that was accepted before. */
  readonly completeFrom: EpochMs
}

export interface Expiry {
  readonly job: string
  readonly table: string
  readonly store: Store
  /** The newest link of its chain. */
  readonly head: Link | null
  readonly now: EpochMs
  /** As it is configured; `undefined`: for ever. */
  readonly keptMs: number | undefined
  /** `undefined`: none is on record. */
  readonly accepted: AcceptedRetention | undefined
  /** A person wants the shorter one. */
  readonly shorter: boolean
}

export type Verdict =
  /** What has expired may go, once `accept` is on record; `undefined`: it is already. */
  { readonly kind: 'remove'; readonly accept: AcceptedRetention | undefined } | { readonly kind: 'stop'; readonly message: string }

/**
 * Whether what has expired may go. By a shorter retention than the accepted one a tenth of the archive may, all in all: what went by it before counts
 * too, so that neither a second worker's settings nor many small steps take more. Such a retention does not become the accepted one by itself.
 */
export async function judgeExpiry(expiry: Expiry): Promise<Verdict> {
  const { store, head, now, keptMs, accepted, table, job, shorter } = expiry
  if (accepted !== undefined && !isShorter(keptMs, accepted.keptMs)) {
    return {
      kind: 'remove',
      accept: isShorter(accepted.keptMs, keptMs) ? { keptMs, completeFrom: Math.min(completeSince(accepted, now), now) } : undefined,
    }
  }
  if (accepted !== undefined && shorter) return { kind: 'remove', accept: startOf(keptMs, now) }
  const oldest = await oldestDay(store)
  const before = keptMs === undefined ? undefined : firstKeptDay(now, keptMs)
  const believed = accepted === undefined ? undefined : believable(accepted, oldest, now)
  const accept =
    accepted === undefined ? firstOf(oldest, keptMs, now) : believed!.completeFrom === accepted.completeFrom ? undefined : believed
  if (shorter || oldest === undefined || before === undefined || oldest >= before) return { kind: 'remove', accept }

  const { there, gone } = await holdingsOf(store, head)
  // Without a record nobody knows by what the files went that are gone.
  const from = believed === undefined ? oldest : formatDay(completeSince(believed, now))
  const ofDays = (files: readonly Dated[], until = '~'): number => files.filter(({ day }) => day >= from && day < until).length
  const going = ofDays(there, before)
  const goneBefore = accepted === undefined ? 0 : ofDays(gone)
  const files = ofDays(there) + goneBefore
  if (going === 0 || going + goneBefore <= smallPartOf(files)) return { kind: 'remove', accept }
  return { kind: 'stop', message: archiveShrinkingMessage({ job, table, keptMs, accepted, going, files }) }
}

/** Of an archive that holds nothing yet, and where a person has shortened it. */
export function startOf(keptMs: number | undefined, now: EpochMs): AcceptedRetention {
  return { keptMs, completeFrom: keptMs === undefined ? 0 : Math.max(0, now - keptMs) }
}

/** Of an archive that is older than the record: nobody knows what went before its oldest file. */
function firstOf(oldest: string | undefined, keptMs: number | undefined, now: EpochMs): AcceptedRetention {
  return { keptMs, completeFrom: Math.max(startOf(keptMs, now).completeFrom, oldest === undefined ? now : Date.parse(oldest)) }
}

/**
 * A clock that was ahead when the record was made may have written a time to come into it, and then nothing that goes would count: an archive is
 * complete from its oldest file on at the latest. Put on record before that file goes, or the next step would count from the one behind it.
 */
function believable({ keptMs, completeFrom }: AcceptedRetention, oldest: string | undefined, now: EpochMs): AcceptedRetention {
  return { keptMs, completeFrom: Math.min(completeFrom, now, oldest === undefined ? now : Math.max(0, Date.parse(oldest))) }
}

/** From here on every file should be there. */
function completeSince({ keptMs, completeFrom }: AcceptedRetention, now: EpochMs): EpochMs {
  return keptMs === undefined ? completeFrom : Math.max(completeFrom, now - keptMs)
}

export function isShorter(a: number | undefined, b: number | undefined): boolean {
  return (a ?? Infinity) < (b ?? Infinity)
}

/** What is on record of one table's archive and of what left it. */
export class RetentionRecord {
  readonly #retentions: string
  readonly #removed: RunCounts
  readonly #source: string

  constructor(named: (table: string) => string, source: string) {
    this.#retentions = named(RETENTIONS)
    this.#removed = new RunCounts(named(REMOVED))
    this.#source = source
  }

  async load(query: Query): Promise<AcceptedRetention | undefined> {
    const { rows } = await query.query<{ retention: number | null; complete_from: number }>(
      `SELECT retention, complete_from FROM ${this.#retentions} WHERE source = $1`,
      [this.#source],
    )
    const [row] = rows
    if (row === undefined) return undefined
    return {
      keptMs: orNothing(storedCount, row.retention, `${RETENTIONS}.retention`),
      completeFrom: storedTime(row.complete_from, `${RETENTIONS}.complete_from`),
    }
  }

  async accept(tx: Transaction, { keptMs, completeFrom }: AcceptedRetention, run: number): Promise<void> {
    await tx.query(
      `INSERT INTO ${this.#retentions} (source, retention, complete_from, accepted_at, run)
       VALUES ($1, CAST($2 AS bigint), CAST($3 AS bigint), CAST($4 AS bigint), CAST($5 AS bigint))
       ON CONFLICT (source) DO UPDATE SET retention = excluded.retention, complete_from = excluded.complete_from,
         accepted_at = excluded.accepted_at, run = excluded.run`,
      [this.#source, keptMs ?? null, completeFrom, tx.now, run],
    )
    const accepted = { retention: keptMs ?? null, complete_from: completeFrom, accepted_at: tx.now, run }
    await readBack(tx, this.#retentions, { source: this.#source }, accepted)
  }

  /** In the transaction from which on the files will go, whatever happens to the worker. */
  noteRemoved(tx: Transaction, run: number, removed: Growth): Promise<void> {
    return this.#removed.add(tx, run, removed)
  }

  removedBy(query: Query, run: number): Promise<Growth> {
    return this.#removed.of(query, run)
  }

  /** Of runs that are no longer on record. */
  forgetRuns(tx: Transaction, runs: string): Promise<void> {
    return this.#removed.forget(tx, runs)
  }
}
