import type { Query, Transaction } from '../database/query.ts'
import { readBack } from '../database/read-back.ts'
import { orNothing, storedCount, storedTime } from '../database/stored-values.ts'
import { archiveShrinkingMessage, smallPartOf } from '../purge/safety.ts'
import { formatDay, type EpochMs } from '../time/clock.ts'
import type { Link } from './format.ts'
import { firstKeptDay, holdingsOf, oldestDay, type Dated, type Stays } from './holdings.ts'
import { RunCounts } from './run-counts.ts'
import type { Growth } from './step.ts'
import type { Store } from './store/store.ts'
import { REMOVED, RETENTIONS } from './tables.ts'

/** How long archived files are kept, as last accepted. A longer retention is accepted automatically, a shorter one only by a person. */
export interface AcceptedRetention {
  /** `undefined`: for ever. */
  readonly keptMs: number | undefined
  /** The archive should be complete from here on: files of earlier rows may have been removed under an earlier retention. */
  readonly completeFrom: EpochMs
}

export interface Expiry {
  readonly job: string
  readonly table: string
  readonly store: Store
  /** The newest link of its chain. */
  readonly head: Link | null
  readonly now: EpochMs
  /** As configured; `undefined`: for ever. */
  readonly keptMs: number | undefined
  /** `undefined`: nothing is recorded yet. */
  readonly accepted: AcceptedRetention | undefined
  /** A person has accepted a shorter retention for this run. */
  readonly shorter: boolean
  /** Files that do not go now, whatever is decided. */
  readonly stays: Stays
}

export type Verdict =
  /** Expired files may be removed, after `accept` is recorded; `undefined`: the record is right already. */
  { readonly kind: 'remove'; readonly accept: AcceptedRetention | undefined } | { readonly kind: 'stop'; readonly message: string }

/**
 * Decides whether expired files may be removed. A retention shorter than the accepted one may remove at most a tenth of the archive in
 * total: files that were removed under it before count too, so that neither another worker's settings nor many small reductions remove
 * more. Such a retention is not accepted automatically.
 */
export async function judgeExpiry(expiry: Expiry): Promise<Verdict> {
  const { store, head, now, keptMs, accepted, table, job, shorter, stays } = expiry
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
  // Without a record we cannot know which retention removed the files that are gone, so none of them counts.
  const from = believed === undefined ? oldest : formatDay(completeSince(believed, now))
  const ofDays = (files: readonly Dated[], until = '~'): readonly Dated[] => files.filter(({ day }) => day >= from && day < until)
  const going = ofDays(there, before).filter((file) => !stays(file)).length
  const goneBefore = accepted === undefined ? 0 : ofDays(gone).length
  const files = ofDays(there).length + goneBefore
  if (going === 0 || going + goneBefore <= smallPartOf(files)) return { kind: 'remove', accept }
  return { kind: 'stop', message: archiveShrinkingMessage({ job, table, keptMs, accepted, going, files }) }
}

/** For an archive that is still empty, and when a person shortens the retention. */
export function startOf(keptMs: number | undefined, now: EpochMs): AcceptedRetention {
  return { keptMs, completeFrom: keptMs === undefined ? 0 : Math.max(0, now - keptMs) }
}

/**
 * For an archive that is older than its record: what was removed before its oldest file is unknown, so it is complete from that file on.
 */
function firstOf(oldest: string | undefined, keptMs: number | undefined, now: EpochMs): AcceptedRetention {
  return { keptMs, completeFrom: Math.max(startOf(keptMs, now).completeFrom, oldest === undefined ? now : Date.parse(oldest)) }
}

/**
 * If the clock was ahead when the record was written, `completeFrom` may lie in the future, and then no removed file would count. An
 * archive is complete from its oldest file on at the latest. The corrected value must be recorded before that file is removed; otherwise
 * the next step would count from the file after it.
 */
function believable({ keptMs, completeFrom }: AcceptedRetention, oldest: string | undefined, now: EpochMs): AcceptedRetention {
  return { keptMs, completeFrom: Math.min(completeFrom, now, oldest === undefined ? now : Math.max(0, Date.parse(oldest))) }
}

/** From here on no file should be missing. */
function completeSince({ keptMs, completeFrom }: AcceptedRetention, now: EpochMs): EpochMs {
  return keptMs === undefined ? completeFrom : Math.max(completeFrom, now - keptMs)
}

export function isShorter(a: number | undefined, b: number | undefined): boolean {
  return (a ?? Infinity) < (b ?? Infinity)
}

/** The recorded retention of one table's archive, and the counts of what was removed from it. */
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

  /** Call this in the transaction after which the files will be removed, even if the worker dies. */
  noteRemoved(tx: Transaction, run: number, removed: Growth): Promise<void> {
    return this.#removed.add(tx, run, removed)
  }

  removedBy(query: Query, run: number): Promise<Growth> {
    return this.#removed.of(query, run)
  }

  /** Deletes the counts of runs that are no longer recorded. */
  forgetRuns(tx: Transaction, runs: string): Promise<void> {
    return this.#removed.forget(tx, runs)
  }
}
