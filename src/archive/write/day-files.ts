import type { RowLines, StoredColumn } from '../../database/exporting.ts'
import { DAY, formatDay, formatTime, type EpochMs } from '../../time/clock.ts'
import { concurrently } from '../concurrently.ts'
import { FORMAT, sha256, type DescribedFile, type Link, type RowsManifest, type Source } from '../format.ts'
import { manifestText } from '../manifest.ts'
import type { Step, StepFile } from '../step.ts'
import type { Spool, Store } from '../store/store.ts'
import { manifestOf, pathOf, ROWS_SUFFIX, type ArchivePath } from '../store/path.ts'
import { RowsWriter, type Written } from './rows-file.ts'

/** Each started file costs the memory of a compressor. Rows come nearly in the order of time, so more are hardly ever needed. */
const MOST_STARTED = 3
/** How many files are synced at a time. */
const MOST_ENDING = 8

export interface DayFilesOptions {
  readonly spool: Spool
  readonly store: Store
  readonly source: Source
  readonly run: number
  readonly program: string
  readonly columns: readonly StoredColumn[]
  readonly cutoff: EpochMs
  readonly retentionMs: number
  readonly now: EpochMs
  /** The last file number that was allocated. */
  readonly position: number
}

/** Rows `from` up to, not including, `to` were written to this file, beginning at this line. */
export interface Placed {
  readonly from: number
  readonly to: number
  readonly file: number
  readonly line: number
}

interface DayFile {
  readonly index: number
  readonly day: string
  readonly path: ArchivePath
  readonly writer: RowsWriter
  written?: Written
}

/** Writes rows to the spool, one file a day, and then their manifests. */
export class DayFiles {
  readonly #options: DayFilesOptions
  readonly #files: DayFile[] = []
  /** The least recently used file first. */
  readonly #open = new Map<string, DayFile>()
  #latest: DayFile | undefined
  #ending: Promise<void> | undefined
  #newestAt: EpochMs | null = null
  /** The day of the last row, which is nearly always that of the next one. */
  #day = { from: NaN, name: '' }

  constructor(options: DayFilesOptions) {
    this.#options = options
  }

  /** Writes the first of these rows, beginning at `from`: as many as are of one day, which is `day` if given. */
  async add(rows: RowLines, from = 0, day?: string): Promise<Placed> {
    const name = day ?? this.#dayOf(rows.at[from]!)
    let to = from + 1
    while (to < rows.count && this.#isOfDay(rows.at[to]!)) to += 1
    const file = this.#open.get(name) ?? this.#begin(name)
    if (this.#open.size > 1 && this.#latest !== file) {
      this.#open.delete(name)
      this.#open.set(name, file)
    }
    this.#latest = file
    for (let index = from; index < to; index += 1) {
      const at = rows.at[index]!
      if (this.#newestAt === null || at > this.#newestAt) this.#newestAt = at
    }
    const line = file.writer.rows
    const written = file.writer.add(rows, from, to)
    if (written !== undefined) {
      await written
      await this.#endOldest()
    }
    return { from, to, file: file.index, line }
  }

  /** No more rows follow. The rows are durable when it resolves. */
  async end(): Promise<void> {
    await this.#ending
    await concurrently(MOST_ENDING, [...this.#open.keys()], (day) => this.#end(day))
  }

  /**
   * Writes the manifests, which are durable when it resolves. `head`: the end of the chain. The growth does not include the files that are
   * replaced.
   */
  async finish(head: Link | null, obsolete: readonly ArchivePath[]): Promise<{ readonly step: Step; readonly position: number }> {
    const { spool, run, position } = this.#options
    let previous = head
    const files: StepFile[] = []
    const texts: [path: ArchivePath, text: string][] = []
    for (const file of this.#files) {
      const manifest = this.#manifestOf(file, previous)
      const text = manifestText(manifest)
      texts.push([manifest.manifest, text])
      previous = { manifest: manifest.manifest, sha256: sha256(text) }
      files.push({ ...previous, path: manifest.file.path, rows: manifest.file.rows })
    }
    await concurrently(MOST_ENDING, texts, ([path, text]) => spool.write(path, text))
    await spool.sync()
    const bytes = this.#files.reduce((sum, { written }) => sum + written!.fileBytes, 0)
    const rows = files.reduce((sum, file) => sum + file.rows, 0)
    const growth = { rows, bytes, files: files.length }
    return { step: { run, drafts: spool.prefix, files, obsolete, growth, newestAt: this.#newestAt }, position: position + files.length }
  }

  async abandon(): Promise<void> {
    await this.#ending?.catch(() => undefined)
    for (const { writer, written } of this.#files) if (written === undefined) await writer.abandon().catch(() => undefined)
    this.#open.clear()
  }

  #isOfDay(at: EpochMs): boolean {
    return at >= this.#day.from && at < this.#day.from + DAY
  }

  #dayOf(at: EpochMs): string {
    if (!this.#isOfDay(at)) this.#day = { from: Math.floor(at / DAY) * DAY, name: formatDay(at) }
    return this.#day.name
  }

  #begin(day: string): DayFile {
    const { spool, store, source, run, position } = this.#options
    const index = this.#files.length
    const path = pathOf(source.table, day, run, position + index + 1, ROWS_SUFFIX)
    const file = { index, day, path, writer: new RowsWriter(() => spool.create(path), store.absolute(path)) }
    this.#files.push(file)
    this.#open.set(day, file)
    return file
  }

  /** Ends it in the background, because syncing takes time. */
  async #endOldest(): Promise<void> {
    const started = [...this.#open].filter(([, { writer }]) => writer.started)
    const [oldest] = started
    if (oldest === undefined || started.length <= MOST_STARTED) return
    await this.#ending
    this.#ending = this.#end(oldest[0])
    // Reported where it is awaited; until then an unhandled rejection must not end the process.
    this.#ending.catch(() => undefined)
  }

  async #end(day: string): Promise<void> {
    const file = this.#open.get(day)!
    this.#open.delete(day)
    if (this.#latest === file) this.#latest = undefined
    file.written = await file.writer.finish()
  }

  #manifestOf({ index, day, path, written }: DayFile, previous: Link | null): RowsManifest {
    const { source, run, program, columns, cutoff, retentionMs, now, position } = this.#options
    const file: DescribedFile = {
      path,
      day,
      columns: columns.map(({ name, type, key }) => ({ name, type, key })),
      ...written!,
      cutoff: formatTime(cutoff),
      retention: retentionMs,
    }
    return {
      format: FORMAT,
      kind: 'rows',
      manifest: manifestOf(path),
      position: position + index + 1,
      previous,
      source,
      run,
      program,
      written: formatTime(now),
      file,
    }
  }
}
