import { DatabaseError } from '../database/database-error.ts'
import type { Database } from '../database/database.ts'
import type { ExportedRows, StoredColumn } from '../database/exporting.ts'
import type { Slice } from '../database/purging.ts'
import type { Transaction } from '../database/query.ts'
import type { EpochMs } from '../time/clock.ts'
import type { Source } from './format.ts'
import { ArchiveRecord, type ArchiveState } from './state.ts'
import { pathsOf, type Step } from './step.ts'
import { ArchiveFolder } from './store/folder.ts'
import type { ArchivePath } from './store/path.ts'
import { DayFiles } from './write/day-files.ts'
import { Draft, firstReadSize, MOST_ROWS } from './write/draft.ts'
import { Part } from './write/part.ts'
import { mustBeInPlace } from './write/published.ts'

/*
 * The life of a file of rows, with one name for each state:
 *
 *   draft         being written under a temporary name, and of no account (`Draft`, `DayFiles`)
 *     │           its part is complete and on the disk; the database notes its files as the step in hand, under the lease (`ArchiveRecord.begin`)
 *   in hand       on the way to its place or there, while its rows are deleted (`Step`, `Part`)
 *     │           the last row of the part is deleted; the same transaction makes it a link (`ArchiveRecord.close`)
 *   in the chain  the next link and the database vouch for it (`Manifest`)
 *     │           its day ended longer ago than the archive is kept (`expireFiles`)
 *   removed       its manifest stays, and a removal in the chain names it
 *
 * A crash leaves files in hand to the next run (`settle`). Where no row of them is deleted they are discarded; where all are, they become links; where
 * some are, they are written again with these rows alone, and what was written is in hand in their place.
 */

/** Where the engine works beside us it has something to delete the sooner the smaller the first part is. */
const FIRST_PART_ROWS = 12_500
const PART_GROWTH = 2

export interface ArchiveOptions {
  readonly database: Database
  /** Absolute. */
  readonly directory: string
  /** Who this process is. */
  readonly uid: number | undefined
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
  /** A transaction that holds the job's lease. */
  readonly underLease: <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>
  readonly stopping: AbortSignal
}

/** The archive of one table, as one run works on it. */
export class Archive {
  readonly options: ArchiveOptions
  readonly folder: ArchiveFolder
  readonly record: ArchiveRecord
  readonly source: Source
  #columns: readonly StoredColumn[] | undefined
  /** The first manifest of the step that this run put in hand. */
  #begun: ArchivePath | undefined
  readonly #readSize = firstReadSize()
  #mostRows: number
  /** Of the part behind the one in hand; `copied` never rejects. */
  #next: { readonly draft: Draft; readonly copied: Promise<boolean> } | undefined

  constructor(options: ArchiveOptions) {
    const { database, directory, uid, table, timeColumn } = options
    this.options = options
    this.#mostRows = database.worksElsewhere ? FIRST_PART_ROWS : MOST_ROWS
    this.folder = new ArchiveFolder(directory, table, uid, options.drafts)
    this.record = new ArchiveRecord((name) => database.named(name), table)
    this.source = { table, timeColumn, engine: database.label.engine, database: database.label.name }
  }

  /** From here on a crash finishes the step. */
  async begin(step: Step, position: number, removed: string): Promise<void> {
    await this.options.underLease((tx) => this.record.begin(tx, step, position, removed))
    this.#begun = step.files[0]?.manifest
  }

  /** Whether this run wrote the step's files, and so knows by itself what became of their rows. */
  hasBegun({ files }: Step): boolean {
    return files.length > 0 && files[0]!.manifest === this.#begun
  }

  /** Copies the next rows behind `after` to files that are complete and in their places when it resolves. `undefined`: there are none. */
  async writePart(rows: ExportedRows, after: Slice | undefined): Promise<Part | undefined> {
    const { database, stopping } = this.options
    const state = await this.record.load(database)
    const draft = (await this.#drafted(state)) ?? (await this.#begin(state.position))
    try {
      if (draft.last === undefined) await draft.copy(rows, after)
      if (draft.rows === 0 || stopping.aborted) {
        await draft.abandon()
        return undefined
      }
      const { step, position } = await draft.finish(state.head)
      await this.begin(step, position, '')
      await database.durable()
      await this.#publish(step.files.flatMap(pathsOf))
      await mustBeInPlace(this.folder, step, () => this.confirmLease())
      if (draft.full && database.worksElsewhere) await this.#draftNext(rows, draft.last, position)
      return new Part(step, draft.places)
    } catch (error) {
      await draft.abandon()
      throw error
    }
  }

  /** What was written ahead goes. Never rejects. */
  async dropDraft(): Promise<void> {
    const next = this.#next
    this.#next = undefined
    if (next === undefined) return
    next.draft.giveUp()
    await next.copied
    await next.draft.abandon()
    // Where the folder cannot be cleaned, whatever comes next says so.
    await this.folder.clean(`${this.options.run}-`).catch(() => undefined)
  }

  /** The rows behind this part are copied while the engine deletes its own: whatever comes of it is looked at when they are wanted. */
  async #draftNext(rows: ExportedRows, after: Slice | undefined, position: number): Promise<void> {
    const draft = await this.#draft(position)
    const copied = draft.copy(rows, after).then(
      () => true,
      () => false,
    )
    this.#next = { draft, copied }
  }

  /**
   * What was written ahead, if it is what comes next: the part before it went as a whole, and nobody has given numbers to files since. What failed is
   * done again, and then says why.
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

  async #begin(position: number): Promise<Draft> {
    await this.folder.clean(`${this.options.run}-`)
    return this.#draft(position)
  }

  async #draft(position: number): Promise<Draft> {
    const { folder, source, options } = this
    const files = new DayFiles({ ...options, position, folder, source, columns: await this.columns() })
    const mostRows = this.#mostRows
    this.#mostRows = Math.min(PART_GROWTH * mostRows, MOST_ROWS)
    return new Draft({ files, position, mostRows, size: this.#readSize, stopping: options.stopping })
  }

  /** Who was stopped for longer than the lease lasts comes too late: another worker has taken these files for discarded, and then nobody else removes them. */
  async #publish(paths: readonly ArchivePath[]): Promise<void> {
    await this.folder.publish(paths)
    try {
      await this.confirmLease()
    } catch (error) {
      if (!(error instanceof DatabaseError)) await this.folder.remove(paths)
      throw error
    }
  }

  /** Rejects where the lease is lost. */
  confirmLease(): Promise<void> {
    return this.options.underLease(() => Promise.resolve())
  }

  async columns(): Promise<readonly StoredColumn[]> {
    this.#columns ??= await this.options.database.columnsOf(this.source.table)
    return this.#columns
  }
}
