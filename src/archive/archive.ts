import { DatabaseError } from '../database/database-error.ts'
import type { Database } from '../database/database.ts'
import type { ExportedSlices, StoredColumn } from '../database/exporting.ts'
import type { Transaction } from '../database/query.ts'
import type { EpochMs } from '../time/clock.ts'
import type { ArchivePlace } from './archive-location.ts'
import { DiscardedFiles } from './discarded-files.ts'
import type { Source } from './format.ts'
import type { Stretch } from './late-rows.ts'
import { ArchiveRecord, type ArchiveState } from './state.ts'
import { NO_STEP, pathsOf, type Step } from './step.ts'
import { storeAt } from './store/store-at.ts'
import type { ArchivePath } from './store/path.ts'
import type { Spool, Store } from './store/store.ts'
import { DayFiles } from './write/day-files.ts'
import { Draft, firstReadSize, MOST_ROWS } from './write/draft.ts'
import { mustKnow } from './unknown-files.ts'
import type { Part } from './write/part.ts'
import { mustBeInPlace } from './write/published.ts'

/*
 * The life of a file of rows, with one name for each state:
 *
 *   draft         being written in the spool, ignored by readers (`Draft`, `DayFiles`)
 *     │           its part is complete and on the disk; the database notes its files as the pending step, under the lease (`ArchiveRecord.begin`)
 *   pending       being published to the store, or published, while its rows are deleted (`Step`, `Part`)
 *     │           the transaction that deletes the last row of the part adds it to the chain (`ArchiveRecord.close`)
 *   in the chain  the next link and the database vouch for it (`Manifest`)
 *     │           its whole day is past the archive's retention (`expireFiles`)
 *   removed       its manifest stays, and a removal in the chain names it
 *
 * A crash leaves pending files to the next run (`settle`). If none of their rows is deleted, they are discarded; if all are, they join the
 * chain; if some are, the files are rewritten with only the deleted rows, and the rewritten files become the pending ones (`Archive.replace`). No row
 * depends on the spool: it may be lost with the machine at any time.
 */

/** If the engine runs in another process, a small first part lets deleting start earlier. */
const FIRST_PART_ROWS = 12_500
const PART_GROWTH = 2

export interface ArchiveOptions {
  readonly database: Database
  readonly place: ArchivePlace
  /** See `draftsOf`. */
  readonly drafts: string
  readonly table: string
  readonly timeColumn: string
  /** `maintenance_runs.id` */
  readonly run: number
  readonly program: string
  readonly now: EpochMs
  readonly cutoff: EpochMs
  readonly retentionMs: number
  /** How many rows a part has at most; absent: as many as suit the engine. */
  readonly partRows?: number | undefined
  /** A transaction that holds the job's lease. */
  readonly underLease: <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>
  /** Called between two reads of a run's turn, so that other runs go first; absent: there are none. */
  readonly pass?: () => Promise<void>
  readonly stopping: AbortSignal
}

export interface Replacement {
  /** The highest file number allocated so far, including those of the step. */
  readonly position: number
  /** See `ArchiveState.removed`. */
  readonly removed: string
  /** Further changes for the same transaction. */
  readonly also?: (tx: Transaction) => Promise<void>
}

/** The archive of one table, as one run works on it. */
export class Archive {
  readonly options: ArchiveOptions
  readonly store: Store
  readonly spool: Spool
  readonly record: ArchiveRecord
  /** `undefined`: what is discarded is gone for good. */
  readonly discarded: DiscardedFiles | undefined
  readonly source: Source
  #columns: readonly StoredColumn[] | undefined
  /** The first manifest of the pending step, if this run wrote it. */
  #begun: ArchivePath | undefined
  /** The highest file number that this run has allocated, committed. */
  #position = 0
  readonly #readSize = firstReadSize()
  readonly #partRows: number
  #mostRows: number
  /** The draft of the part after the pending one; `copied` never rejects. */
  #next: { readonly draft: Draft; readonly copied: Promise<boolean> } | undefined

  constructor(options: ArchiveOptions) {
    const { database, place, table, timeColumn, partRows = MOST_ROWS, stopping } = options
    this.options = options
    this.#partRows = partRows
    this.#mostRows = Math.min(database.worksElsewhere ? FIRST_PART_ROWS : MOST_ROWS, partRows)
    this.store = storeAt(place, table, stopping)
    this.spool = this.store.spool(options.drafts)
    this.record = new ArchiveRecord((name) => database.named(name), table)
    this.discarded = this.store.publishesLate ? new DiscardedFiles((name) => database.named(name), table) : undefined
    this.source = { table, timeColumn, engine: database.label.engine, database: database.label.name }
  }

  /** Once this is committed, recovery after a crash completes the step. */
  async #begin(from: number, step: Step, { position, removed, also }: Replacement): Promise<void> {
    await this.options.underLease(async (tx) => {
      await this.record.begin(tx, step, { from, position, removed })
      await also?.(tx)
    })
    this.#begun = step.files[0]?.manifest
    this.#position = position
  }

  /**
   * Whether the database has lost a step that this run had committed, as in a failover to a server that had not received it. Its files may be published, so
   * none may be numbered or settled before that has been looked at.
   */
  isAhead({ position }: ArchiveState): boolean {
    return position < this.#position
  }

  /**
   * Replaces the pending step `before` by complete drafts that replace or remove its files. The drafts are recorded by name and published
   * first: as soon as they alone vouch for deleted rows they are in the store, so the spool may be lost.
   */
  async replace(before: ArchiveState, step: Step, replacement: Replacement): Promise<void> {
    const { database, underLease } = this.options
    const paths = step.files.flatMap(pathsOf)
    const noted: Step = { ...(before.step ?? { ...NO_STEP, run: step.run, drafts: step.drafts }), successors: paths }
    const { position } = replacement
    await underLease((tx) => this.record.begin(tx, noted, { from: before.position, position, removed: before.removed ?? '' }))
    this.#position = position
    await database.durable()
    await this.#publish(paths)
    await this.#begin(position, step, replacement)
  }

  /** Whether this run wrote the step's files, and so knows which of their rows it deleted. */
  hasBegun({ files }: Step): boolean {
    return files.length > 0 && files[0]!.manifest === this.#begun
  }

  /** In a turn of the run. Writes the first rows of a stretch; resolves once their files are complete and published. `undefined`: there are none. */
  async writePart(rows: ExportedSlices, stretch: Stretch): Promise<Part | undefined> {
    const { database, pass, stopping } = this.options
    const state = await this.record.load(database)
    if (this.isAhead(state)) await mustKnow(this, state)
    const draft = (await this.#drafted(state)) ?? (await this.#newDraft(state.position))
    try {
      if (draft.last === undefined) await draft.copy(rows, stretch, pass)
      if (draft.rows === 0 || stopping.aborted) {
        await draft.abandon()
        return undefined
      }
      const { step, position } = await draft.finish(state.head)
      await this.#begin(state.position, step, { position, removed: '' })
      await database.durable()
      await this.#publish(step.files.flatMap(pathsOf))
      await mustBeInPlace(this.store, step, () => this.confirmLease())
      if (draft.full && database.worksElsewhere) await this.#draftNext(rows, { ...stretch, after: draft.last }, position)
      return draft.part(step)
    } catch (error) {
      await draft.abandon()
      throw error
    }
  }

  /** Discards the draft that was written ahead. Never rejects. */
  async dropDraft(): Promise<void> {
    const next = this.#next
    this.#next = undefined
    if (next === undefined) return
    next.draft.giveUp()
    await next.copied
    await next.draft.abandon()
    // If cleaning fails, the next operation on the folder reports it.
    await this.spool.clean(`${this.options.run}-`).catch(() => undefined)
  }

  /** Copies the rows after this part while the engine deletes it; an error surfaces when the draft is used. */
  async #draftNext(rows: ExportedSlices, stretch: Stretch, position: number): Promise<void> {
    const draft = await this.#draft(position)
    const copied = draft.copy(rows, stretch).then(
      () => true,
      () => false,
    )
    this.#next = { draft, copied }
  }

  /**
   * Reuses the draft that was written ahead, if the part before it was deleted as a whole and no file numbers were allocated since. One that failed is
   * written again, which surfaces the error.
   */
  async #drafted({ step, position }: ArchiveState): Promise<Draft | undefined> {
    const next = this.#next
    if (next !== undefined && step === undefined && position === next.draft.position && (await next.copied) && next.draft.rows > 0) {
      this.#next = undefined
      return next.draft
    }
    await this.dropDraft()
    return undefined
  }

  async #newDraft(position: number): Promise<Draft> {
    await this.spool.clean(`${this.options.run}-`)
    return this.#draft(position)
  }

  async #draft(position: number): Promise<Draft> {
    const { spool, store, source, options } = this
    const files = new DayFiles({ ...options, position, spool, store, source, columns: await this.columns() })
    const mostRows = this.#mostRows
    this.#mostRows = Math.min(PART_GROWTH * mostRows, this.#partRows)
    return new Draft({ files, position, mostRows, size: this.#readSize, stopping: options.stopping })
  }

  /** If we were suspended past the lease, another worker has already discarded this step and nobody else will remove these files, so we do. */
  async #publish(paths: readonly ArchivePath[]): Promise<void> {
    await this.spool.publish(paths)
    try {
      await this.confirmLease()
    } catch (error) {
      if (!(error instanceof DatabaseError)) await this.store.remove(paths)
      throw error
    }
  }

  /** Rejects if the lease is lost. */
  confirmLease(): Promise<void> {
    return this.options.underLease(() => Promise.resolve())
  }

  async columns(): Promise<readonly StoredColumn[]> {
    this.#columns ??= await this.options.database.columnsOf({ table: this.source.table, column: this.source.timeColumn })
    return this.#columns
  }
}
