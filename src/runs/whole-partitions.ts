import type {
  DetachedPartition,
  Detaching,
  Detachment,
  Dropped,
  ExpiredPartition,
  Partitions,
  Removable,
} from '../database/partitioning.ts'
import type { Slice, Slices, Tally } from '../database/purging.ts'
import type { Transaction } from '../database/query.ts'
import { DatabaseError } from '../database/database-error.ts'
import type { SparedRows } from '../policy/spared.ts'
import { SECOND, type Clock, type EpochMs } from '../time/clock.ts'

export interface WholePartitionsOptions {
  readonly partitions: Partitions
  /** Of the partitions. */
  readonly table: string
  readonly cutoff: EpochMs
  /** The rows that go one by one, or part by part into the archive. */
  readonly rows: Slices
  /** Rows are archived: a partition goes only once they have gone. */
  readonly archiving: boolean
  /** What stays by now; see `Detaching` for the second. */
  readonly spared: () => SparedRows
  readonly lasting: () => SparedRows
  readonly clock: Clock
  readonly stopping: AbortSignal
  /** From 0 to below 1. */
  readonly random?: () => number
  readonly warn: (message: string) => void
  /** Warns of what lasts. */
  readonly note: (message: string) => void
}

/** A partition that is busy is tried so often, so far apart; whoever waits behind us for a lock does so for a tenth of a second each time. */
const MOST_TRIES = 3
const APART_MS = SECOND

/**
 * The rows of a run that deletes, with partitions as slices of their own, each of which goes with all of its rows at once. What an earlier run has left goes first; then, unless rows
 * are archived, the partitions that have expired; then the rows that are left, one by one; then partitions that have become empty. A partition is first taken out of its table and then
 * dropped, in a transaction each, and only the second counts its rows: what is killed in between is ended by the next run. One that is busy does not fail the run: its rows go with
 * the others.
 */
export class WholePartitions implements Slices {
  readonly #options: WholePartitionsOptions
  #stage: 'whole' | 'rows' | 'empty' | 'over' = 'whole'
  /** The slice that was handed out last, if it was one of a partition. */
  #last: WholeSlice | undefined
  #expired: Removable<ExpiredPartition> | undefined
  /** Tables that have been taken out and not dropped. `undefined`, as above: they have to be looked up. */
  #detached: readonly DetachedPartition[] | undefined
  /** Partitions that are not taken out in this stage, and tables that were and are not dropped in it. */
  #staying = new Set<string>()
  #waiting = new Set<string>()
  readonly #noted = new Set<string>()
  readonly #tries = new Map<string, number>()
  /** No more partitions are taken out in this run. */
  #gaveUp = false

  constructor(options: WholePartitionsOptions) {
    this.#options = options
  }

  async next(size: number, after: Slice | undefined): Promise<Slice | undefined> {
    await this.#learn(after)
    if (this.#stage === 'whole') {
      const slice = await this.#partition()
      if (slice !== undefined) return slice
      this.#stage = 'rows'
    }
    if (this.#stage !== 'empty') {
      const slice = await this.#options.rows.next(size, after instanceof WholeSlice ? undefined : after)
      // Rows that were locked are tried once more after the end.
      if (slice !== undefined || this.#stage === 'over') return slice
      this.#stage = 'empty'
      this.#staying = new Set()
      this.#waiting = new Set()
      this.#forget()
    }
    const slice = await this.#partition()
    if (slice === undefined) this.#stage = 'over'
    return slice
  }

  /** What came of the last partition. The loop says by the place it asks for whether that was committed. */
  async #learn(after: Slice | undefined): Promise<void> {
    const last = this.#last
    this.#last = undefined
    if (last === undefined) return
    // It was rolled back, or the answer was lost: what is there now is looked up.
    if (after !== last || last.outcome === undefined) return this.#forget()
    const { outcome, relation } = last
    // Nobody else takes partitions out while the lease is held: what is known of them stays true as long as all goes as it should.
    if (outcome.kind === 'detached') this.#detached = this.#detached && [...this.#detached, outcome.table]
    else if (outcome.kind === 'dropped') this.#detached = this.#detached?.filter(({ name }) => name !== relation)
    else this.#detached = undefined
    if (outcome.kind === 'busy') return this.#wasBusy(last, outcome.by)
    if (outcome.kind === 'gone')
      this.#options.warn(
        `${JSON.stringify(relation)}, which is on record as taken out of ${this.#options.table} to be dropped, is not there: somebody else has dropped or renamed it; none of its rows was counted, and its record has gone`,
      )
    // What has become a partition again would only be taken out again.
    if (outcome.kind === 'stays' || outcome.kind === 'detached' || outcome.kind === 'attached') this.#staying.add(relation)
    if (outcome.kind === 'attached' && outcome.because !== undefined)
      this.#options.warn(`partition ${this.#name(relation)} was not dropped: ${outcome.because}; its rows are deleted in batches`)
  }

  async #wasBusy({ relation, isOut }: WholeSlice, by: string): Promise<void> {
    const { clock, stopping, random = Math.random, warn, table } = this.#options
    const tries = (this.#tries.get(relation) ?? 0) + 1
    this.#tries.set(relation, tries)
    if (tries < MOST_TRIES) return clock.sleep(APART_MS * (1 + 2 * random()), stopping)
    if (isOut) this.#waiting.add(relation)
    else this.#staying.add(relation)
    // A table that is out already is tried once more at the end of the run.
    if (isOut && this.#stage === 'whole') this.#tries.set(relation, MOST_TRIES - 1)
    if (!this.#gaveUp) {
      const what = isOut ? `${relation}, which was taken out of ${table},` : `partition ${this.#name(relation)}`
      const rows = this.#stage === 'whole' ? `, and rows that are still in ${table} are deleted in batches` : ''
      warn(`${what} was not dropped: ${by}; a later run tries again${rows}`)
    }
    this.#gaveUp = true
  }

  /** The next one that can be dropped or taken out. */
  async #partition(): Promise<WholeSlice | undefined> {
    const { partitions, cutoff } = this.#options
    this.#detached ??= await this.#lookUpDetached()
    const out = this.#detached.find(({ name }) => !this.#waiting.has(name))
    if (out !== undefined) return (this.#last = this.#dropping(out))
    const onlyEmpty = this.#stage === 'empty'
    if (this.#gaveUp || (this.#options.archiving && !onlyEmpty)) return undefined
    this.#expired ??= await partitions.expired(cutoff)
    this.#note(this.#expired.notes)
    for (const part of this.#expired.tables) {
      if (this.#staying.has(part.name)) continue
      if (await this.#mayGo(part, onlyEmpty)) return (this.#last = this.#detaching(part, onlyEmpty))
      this.#staying.add(part.name)
    }
    return undefined
  }

  async #lookUpDetached(): Promise<readonly DetachedPartition[]> {
    const { tables, notes } = await this.#options.partitions.detached()
    this.#note(notes)
    return tables
  }

  #forget(): void {
    this.#expired = undefined
    this.#detached = undefined
  }

  async #mayGo(part: ExpiredPartition, onlyEmpty: boolean): Promise<boolean> {
    try {
      return await part.mayGo(this.#asked(this.#options.spared(), onlyEmpty))
    } catch (error) {
      // It cannot be read now, or not in the time that there is: then its rows go with the others.
      if (error instanceof DatabaseError && (error.kind === 'busy' || error.kind === 'slow')) return false
      throw error
    }
  }

  #detaching(part: ExpiredPartition, onlyEmpty: boolean): WholeSlice {
    return new WholeSlice(part.name, false, part.takesMs, (tx, spared) => part.detach(tx, this.#asked(spared, onlyEmpty)))
  }

  #dropping(table: DetachedPartition): WholeSlice {
    const { cutoff, archiving } = this.#options
    return new WholeSlice(table.name, true, table.takesMs, (tx, spared) => table.drop(tx, { ...this.#asked(spared, archiving), cutoff }))
  }

  #asked(spared: SparedRows, onlyEmpty: boolean): Detaching {
    return { spared, lasting: this.#options.lasting(), onlyEmpty }
  }

  #note(messages: readonly string[]): void {
    for (const message of messages) if (!this.#noted.has(message)) this.#options.note(message)
    for (const message of messages) this.#noted.add(message)
  }

  #name(relation: string): string {
    return `${relation} of ${this.#options.table}`
  }
}

/** A partition as a slice: it goes as a whole, or not at all. */
class WholeSlice implements Slice {
  readonly relation: string
  /** Whether it has been taken out of its table. */
  readonly isOut: boolean
  readonly takesMs: number | undefined
  /** Of the last attempt. */
  outcome: Detachment | Dropped | undefined
  readonly #work: (tx: Transaction, spared: SparedRows) => Promise<Detachment | Dropped>

  constructor(
    relation: string,
    isOut: boolean,
    takesMs: number | undefined,
    work: (tx: Transaction, spared: SparedRows) => Promise<Detachment | Dropped>,
  ) {
    this.relation = relation
    this.isOut = isOut
    this.takesMs = takesMs
    this.#work = work
  }

  name(): string {
    return `partition ${this.relation}`
  }

  /** No row of its own: those that it has are counted as they go. */
  count(): Promise<number> {
    return Promise.resolve(0)
  }

  countByDay(): Promise<ReadonlyMap<EpochMs, number>> {
    return Promise.resolve(new Map())
  }

  async remove(tx: Transaction, spared: SparedRows): Promise<Tally> {
    this.outcome = undefined
    const outcome = await this.#work(tx, spared)
    this.outcome = outcome
    return { affected: outcome.kind === 'dropped' ? outcome.rows : 0, locked: 0, whole: true }
  }
}
