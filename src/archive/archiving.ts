import {
  DatabaseError,
  DIGEST_BYTES,
  type Census,
  type Estimate,
  type ExpiredRows,
  type Slice,
  type Tally,
  type TellDay,
  type TooLarge,
  type Transaction,
} from '../database/database.ts'
import type { EpochMs } from '../time.ts'
import type { Archive } from './archive.ts'
import { archiveFailed } from './damage.ts'
import { viewOf } from './digests.ts'
import type { Part } from './part.ts'
import { rangesText, readRanges } from './ranges.ts'

/**
 * Expired rows that are in the archive by the time the loop gets them. Each slice lies within one part, in files that are complete and durable;
 * when it is removed, every row that went must be one of the part's, equal in every byte, or nothing of the batch is kept and the part is
 * written again.
 */
export class Archiving implements ExpiredRows {
  readonly #archive: Archive
  readonly #rows: ExpiredRows
  #part: Part | undefined

  constructor(archive: Archive, rows: ExpiredRows) {
    this.#archive = archive
    this.#rows = rows
  }

  async next(size: number, after: Slice | undefined): Promise<Slice | undefined> {
    const before = after instanceof ArchivedSlice ? after : undefined
    let left = before?.part === this.#part ? (before?.left ?? this.#part?.rows ?? 0) : (this.#part?.rows ?? 0)
    if (this.#part === undefined || this.#part.spoiled || left <= 0) {
      this.#part = undefined
      await this.#archive.settle()
      this.#part = await this.#archive.writePart(this.#rows, before?.slice)
      if (this.#part === undefined) return undefined
      left = this.#part.rows
    }
    // No further than the part goes: so many rows of it lie behind `after`.
    const slice = await this.#rows.next(Math.min(size, left), before?.slice)
    return slice === undefined ? undefined : new ArchivedSlice(this.#archive, this.#part, () => this.#part, slice, left)
  }

  /** What is in the archive then is exactly what was deleted. */
  async finish(): Promise<void> {
    this.#part = undefined
    await this.#archive.dropDraft()
    await this.#archive.settle()
  }

  estimate(): Promise<Estimate> {
    return this.#rows.estimate()
  }

  census(thorough: boolean): Promise<Census> {
    return this.#rows.census(thorough)
  }

  keptUntil(until: EpochMs, most: number): Promise<number> {
    return this.#rows.keptUntil(until, most)
  }

  daysSince(from: EpochMs, most: number): Promise<number> {
    return this.#rows.daysSince(from, most)
  }

  tooLarge(among?: number): Promise<TooLarge> {
    return this.#rows.tooLarge(among)
  }
}

class ArchivedSlice implements Slice {
  readonly part: Part
  readonly slice: Slice
  readonly #archive: Archive
  readonly #inHand: () => Part | undefined
  /** Of the part, when this slice was chosen. */
  readonly #leftBefore: number
  #tally: Tally | undefined

  constructor(archive: Archive, part: Part, inHand: () => Part | undefined, slice: Slice, leftBefore: number) {
    this.#archive = archive
    this.part = part
    this.#inHand = inHand
    this.slice = slice
    this.#leftBefore = leftBefore
  }

  /** How many rows of the part lie behind it. One that never got through is a single row that was set aside. */
  get left(): number {
    return this.#leftBefore - (this.#tally === undefined ? 1 : this.#tally.affected + this.#tally.locked)
  }

  count(tell?: TellDay): Promise<number> {
    return this.slice.count(tell)
  }

  async remove(tx: Transaction): Promise<Tally> {
    const { part } = this
    const { record } = this.#archive
    // A second try at rows that were locked comes when their part is settled: they wait for the next run.
    if (this.#inHand() !== part) return { affected: 0, locked: this.#tally?.locked ?? 0 }
    const [{ step, removed: text }] = await Promise.all([record.load(tx), this.#mustBeThere()])
    if (step?.files[0]?.manifest !== part.step.files[0]?.manifest) throw this.#spoiled('the files in hand are no longer those of this run')
    const removed = readRanges(text, part.rows)
    let told = 0
    const tally = await this.slice.remove(tx, (digests) => {
      const view = viewOf(digests)
      for (let offset = 0; offset < view.byteLength; offset += DIGEST_BYTES) {
        const number = part.numberOf(view, offset, removed)
        if (number === undefined) throw this.#spoiled('a row came or changed between being archived and being deleted')
        removed[number] = 1
        told += 1
      }
    })
    // A statement whose rows were told of may have been taken back for a lock that came after it.
    if (told !== tally.affected) throw this.#spoiled('a lock was in the way')
    if (told > 0) await this.#note(tx, removed)
    this.#tally = tally
    return tally
  }

  /** A volume can go at any time. */
  async #mustBeThere(): Promise<void> {
    const { folder } = this.#archive
    const [file] = this.part.step.files
    if (file?.path === undefined || (await folder.exists(file.path))) return
    throw archiveFailed(`${folder.absolute(file.path)} was written, and is gone`)
  }

  /** The last batch of a part makes it a part of the chain, in its own transaction. */
  async #note(tx: Transaction, removed: Uint8Array): Promise<void> {
    const { record } = this.#archive
    if (removed.includes(0)) await record.noteRemoved(tx, rangesText(removed))
    else await record.close(tx, this.part.step)
  }

  #spoiled(why: string): DatabaseError {
    this.part.spoiled = true
    return new DatabaseError('busy', `${why}; nothing of this batch was deleted, and it is archived and tried again`)
  }
}
