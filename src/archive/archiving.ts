import { DatabaseError } from '../database/database-error.ts'
import { DIGEST_BYTES, type ExportedSlices, type ExportedSlice } from '../database/exporting.ts'
import type { Slice, Slices, Tally } from '../database/purging.ts'
import type { Transaction } from '../database/query.ts'
import type { SparedRows } from '../policy/spared.ts'
import type { EpochMs } from '../time/clock.ts'
import type { Archive } from './archive.ts'
import { archiveFailed } from './damage.ts'
import { viewOf } from './digests.ts'
import { LateRows, type Stretch } from './late-rows.ts'
import { rangesText, readRanges } from './ranges.ts'
import { settle } from './settle.ts'
import type { Part } from './write/part.ts'

/**
 * Expired rows that are in the archive before the loop gets them. Each slice lies within one part, whose files are complete and durable.
 * When a slice is removed, only rows of the part are deleted, each equal in every byte; rows that were added or changed since it was written
 * go into a later part. Whatever else does not match has the batch rolled back and the part written again.
 */
export class Archiving implements Slices {
  readonly #archive: Archive
  readonly #rows: ExportedSlices
  #part: Part | undefined
  /** What the next part is of. */
  #stretch: Stretch = { after: undefined, until: undefined }
  readonly #late = new LateRows()

  constructor(archive: Archive, rows: ExportedSlices) {
    this.#archive = archive
    this.#rows = rows
  }

  async next(size: number, after: Slice | undefined): Promise<Slice | undefined> {
    const before = after instanceof ArchivedSlice ? after : undefined
    // A row of it was refused.
    if (before?.removed === false) this.#late.interrupt()
    for (;;) {
      const part = this.#part ?? (await this.#nextPart())
      if (part === undefined) return undefined
      const reached = before?.part === part ? before.slice : part.after
      const spoiled = part.state === 'spoiled'
      const slice = spoiled ? undefined : await this.#rows.next(size, reached, part.until)
      if (slice !== undefined) return new ArchivedSlice(this.#archive, part, { after: reached, until: slice }, this.#late)
      // The rest of a spoiled part is written again, in the next part.
      this.#stretch = { ...this.#stretch, after: spoiled ? reached : part.until }
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
    for (let stretch: Stretch | undefined = this.#stretch; stretch !== undefined; stretch = this.#late.next()) {
      this.#stretch = stretch
      this.#part = await this.#archive.writePart(this.#rows, stretch)
      if (this.#part !== undefined) break
    }
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
  /** Whether its rows were deleted, but for those that were locked or not of the part. */
  removed = false
  readonly #archive: Archive
  readonly #after: Slice | undefined
  readonly #late: LateRows
  /** How many of its rows were locked at the last attempt. */
  #locked = 0

  constructor(archive: Archive, part: Part, { after, until }: Stretch & { readonly until: ExportedSlice }, late: LateRows) {
    this.#archive = archive
    this.part = part
    this.slice = until
    this.#after = after
    this.#late = late
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

  async remove(tx: Transaction, spared: SparedRows): Promise<Tally> {
    const { part } = this
    const { record } = this.#archive
    // Locked rows are retried only after their part has been settled, so they wait for the next run.
    if (part.state === 'closed') return { affected: 0, locked: this.#locked }
    const [{ step, removed: text }] = await Promise.all([record.load(tx), this.#mustBeThere()])
    if (step?.files[0]?.manifest !== part.step.files[0]?.manifest) throw this.#spoiled('the pending files are no longer those of this run')
    const removed = readRanges(text, part.rows)
    const { digests, unknown, ...tally } = await this.slice.removeRead(tx, spared, part.known(removed))
    const view = viewOf(digests)
    for (let offset = 0; offset < view.byteLength; offset += DIGEST_BYTES) {
      const number = part.numberOf(view, offset, removed)
      if (number === undefined) throw this.#spoiled('a row was added or changed between being archived and being deleted')
      removed[number] = 1
    }
    if (view.byteLength !== tally.affected * DIGEST_BYTES) throw this.#spoiled('the database returned no digest of some deleted rows')
    if (tally.affected > 0) await this.#note(tx, removed)
    this.#locked = tally.locked
    this.removed = true
    if (tally.locked > 0) this.#late.interrupt()
    else if (unknown > 0) this.#late.note({ after: this.#after, until: this.slice })
    return tally
  }

  /** The volume may disappear at any time. */
  async #mustBeThere(): Promise<void> {
    const { store } = this.#archive
    const [file] = this.part.step.files
    if (!store.mayVanish || file?.path === undefined || (await store.exists(file.path))) return
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
