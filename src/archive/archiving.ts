import { DatabaseError } from '../database/database-error.ts'
import { DIGEST_BYTES, type ExportedRows, type ExportedSlice } from '../database/exporting.ts'
import type { Slice, Slices, Tally } from '../database/purging.ts'
import type { Transaction } from '../database/query.ts'
import type { EpochMs } from '../time/clock.ts'
import type { Archive } from './archive.ts'
import { archiveFailed } from './damage.ts'
import { viewOf } from './digests.ts'
import { rangesText, readRanges } from './ranges.ts'
import { settle } from './settle.ts'
import type { Part } from './write/part.ts'

/**
 * Expired rows that are in the archive before the loop gets them. Each slice lies within one part, whose files are complete and durable.
 * When a slice is removed, each deleted row must be one of the part's, equal in every byte; otherwise the batch is rolled back and the part
 * is written again.
 */
export class Archiving implements Slices {
  readonly #archive: Archive
  readonly #rows: ExportedRows
  #part: Part | undefined
  /** The slice after which the next part begins. */
  #after: Slice | undefined

  constructor(archive: Archive, rows: ExportedRows) {
    this.#archive = archive
    this.#rows = rows
  }

  async next(size: number, after: Slice | undefined): Promise<Slice | undefined> {
    const before = after instanceof ArchivedSlice ? after : undefined
    for (;;) {
      const part = this.#part ?? (await this.#nextPart())
      if (part === undefined) return undefined
      const reached = before?.part === part ? before.slice : part.after
      const spoiled = part.state === 'spoiled'
      const slice = spoiled ? undefined : await this.#rows.next(size, reached, part.until)
      if (slice !== undefined) return new ArchivedSlice(this.#archive, part, slice)
      // The rest of a spoiled part is written again, in the next part.
      this.#after = spoiled ? reached : part.until
      this.#close()
    }
  }

  /** Settles the archive, so that it holds exactly what was deleted. */
  async finish(): Promise<void> {
    this.#close()
    await this.#archive.dropDraft()
    await settle(this.#archive)
  }

  async #nextPart(): Promise<Part | undefined> {
    await settle(this.#archive)
    this.#part = await this.#archive.writePart(this.#rows, this.#after)
    return this.#part
  }

  #close(): void {
    if (this.#part !== undefined) this.#part.state = 'closed'
    this.#part = undefined
  }
}

class ArchivedSlice implements Slice {
  readonly part: Part
  readonly slice: ExportedSlice
  readonly #archive: Archive
  /** How many of its rows were locked at the last attempt. */
  #locked = 0

  constructor(archive: Archive, part: Part, slice: ExportedSlice) {
    this.#archive = archive
    this.part = part
    this.slice = slice
  }

  name(): string {
    return this.slice.name()
  }

  count(): Promise<number> {
    return this.slice.count()
  }

  countByDay(): Promise<ReadonlyMap<EpochMs, number>> {
    return this.slice.countByDay()
  }

  async remove(tx: Transaction): Promise<Tally> {
    const { part } = this
    const { record } = this.#archive
    // Locked rows are retried only after their part has been settled, so they wait for the next run.
    if (part.state === 'closed') return { affected: 0, locked: this.#locked }
    const [{ step, removed: text }] = await Promise.all([record.load(tx), this.#mustBeThere()])
    if (step?.files[0]?.manifest !== part.step.files[0]?.manifest) throw this.#spoiled('the pending files are no longer those of this run')
    const removed = readRanges(text, part.rows)
    const { digests, ...tally } = await this.slice.removeRead(tx)
    const view = viewOf(digests)
    for (let offset = 0; offset < view.byteLength; offset += DIGEST_BYTES) {
      const number = part.numberOf(view, offset, removed)
      if (number === undefined) throw this.#spoiled('a row was added or changed between being archived and being deleted')
      removed[number] = 1
    }
    if (view.byteLength !== tally.affected * DIGEST_BYTES) throw this.#spoiled('the database returned no digest of some deleted rows')
    if (tally.affected > 0) await this.#note(tx, removed)
    this.#locked = tally.locked
    return tally
  }

  /** The volume may disappear at any time. */
  async #mustBeThere(): Promise<void> {
    const { store } = this.#archive
    const [file] = this.part.step.files
    if (file?.path === undefined || (await store.exists(file.path))) return
    throw archiveFailed(`${store.absolute(file.path)} was written, and is gone`)
  }

  /** The last batch of a part adds it to the chain, in its own transaction. */
  async #note(tx: Transaction, removed: Uint8Array): Promise<void> {
    const { record } = this.#archive
    if (removed.includes(0)) await record.noteRemoved(tx, rangesText(removed))
    else await record.close(tx, this.part.step)
  }

  #spoiled(why: string): DatabaseError {
    this.part.state = 'spoiled'
    return new DatabaseError('busy', `${why}; nothing of this batch was deleted; its rows are archived again and retried`)
  }
}
