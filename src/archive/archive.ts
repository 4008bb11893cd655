import { DatabaseError, type Database, type ExpiredRows, type Slice, type StoredColumn, type Transaction } from '../database/database.ts'
import type { EpochMs } from '../time.ts'
import { DayFiles } from './day-files.ts'
import { ArchiveFolder } from './folder.ts'
import type { Source } from './format.ts'
import { Part, Places } from './part.ts'
import { ArchiveRecord } from './state.ts'
import { settle } from './settle.ts'

/** A part is no larger, so that what a crash leaves to be settled stays small. */
const MOST_ROWS = 50_000
const MOST_BYTES = 64 * 2 ** 20
/** Rows read at a time: as many as make so many bytes, by those before, and no more than so many times as many. */
const READ_BYTES = 4 * 2 ** 20
const FIRST_READ_ROWS = 16
const READ_GROWTH = 8
const MOST_READ_ROWS = 5_000

export interface ArchiveOptions {
  readonly database: Database
  /** Absolute. */
  readonly directory: string
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

  constructor(options: ArchiveOptions) {
    const { database, directory, table, timeColumn } = options
    this.options = options
    this.folder = new ArchiveFolder(directory, table)
    this.record = new ArchiveRecord((name) => database.named(name), table)
    this.source = { table, timeColumn, engine: database.label.engine, database: database.label.name }
  }

  /** Brings what is in hand, by whomever, to its end. */
  settle(): Promise<void> {
    return settle(this)
  }

  /** Copies the next rows behind `after` to files that are complete and in their places when it resolves. `undefined`: there are none. */
  async writePart(rows: ExpiredRows, after: Slice | undefined): Promise<Part | undefined> {
    const { database, underLease, stopping } = this.options
    const state = await this.record.load(database)
    await this.folder.clean(`${this.options.run}-`)
    const files = new DayFiles({ ...this.options, ...state, folder: this.folder, source: this.source, columns: await this.columns() })
    const places = new Places()
    try {
      const count = await this.#copy(rows, after, files, places)
      if (count === 0 || stopping.aborted) {
        await files.abandon()
        return undefined
      }
      const { step, position } = await files.finish([])
      await underLease((tx) => this.record.begin(tx, step, position, ''))
      await database.durable()
      await this.#publish(step.files.flatMap(pathsOf))
      return new Part(step, places)
    } catch (error) {
      await files.abandon()
      throw error
    }
  }

  /** Who was stopped for longer than the lease lasts comes too late: another worker has taken these files for discarded, and then nobody else removes them. */
  async #publish(paths: readonly string[]): Promise<void> {
    await this.folder.publish(paths)
    try {
      await this.options.underLease(() => Promise.resolve())
    } catch (error) {
      if (!(error instanceof DatabaseError)) await this.folder.remove(paths)
      throw error
    }
  }

  async columns(): Promise<readonly StoredColumn[]> {
    this.#columns ??= await this.options.database.columnsOf(this.source.table)
    return this.#columns
  }

  /** Ends with a slice, so that the next part begins with the next one. */
  async #copy(rows: ExpiredRows, after: Slice | undefined, files: DayFiles, places: Places): Promise<number> {
    const { stopping } = this.options
    let last = after
    const copied = { rows: 0, bytes: 0 }
    let size = FIRST_READ_ROWS
    while (copied.rows < MOST_ROWS && copied.bytes < MOST_BYTES && !stopping.aborted) {
      const slice = await rows.next(Math.min(size, MOST_ROWS - copied.rows), last)
      if (slice === undefined) break
      await slice.read!(async (batch) => {
        for (const row of batch) {
          const { file, line, written } = files.add(row)
          if (written !== undefined) await written
          places.add(row, file, line)
          copied.bytes += row.size
        }
        copied.rows += batch.length
      })
      last = slice
      const affordable = copied.rows === 0 ? size : Math.floor((READ_BYTES * copied.rows) / copied.bytes)
      size = Math.max(1, Math.min(size * READ_GROWTH, affordable, MOST_READ_ROWS))
    }
    return copied.rows
  }
}

export function pathsOf({ path, manifest }: { readonly path?: string; readonly manifest: string }): string[] {
  return path === undefined ? [manifest] : [path, manifest]
}
