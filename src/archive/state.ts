import { DatabaseError } from '../database/database-error.ts'
import type { Query, Transaction } from '../database/query.ts'
import { readBack, rowOf } from '../database/read-back.ts'
import { boundedText, orNothing, storedCount, storedNumber, storedText, storedTime } from '../database/stored-values.ts'
import type { EpochMs } from '../time/clock.ts'
import { archiveFailed } from './damage.ts'
import { NO_RUN, type Link } from './format.ts'
import { RunCounts } from './run-counts.ts'
import type { Growth, Step } from './step.ts'
import { archivePath } from './store/path.ts'
import { archiveTexts, MOST_STEP_BYTES, parseStep, refuseLong } from './stored-step.ts'
import { ARCHIVED, ARCHIVES } from './tables.ts'

/**
 * What the database knows of an archive. It changes only in transactions that hold the job's lease, together with the rows. So whatever
 * happens to the worker, a row is either in the database, or recorded here as deleted and held by a file that is pending or in the chain up
 * to `head`.
 */
export interface ArchiveState {
  /** The highest file number allocated so far. */
  readonly position: number
  /** The newest manifest of the chain. */
  readonly head: Link | null
  readonly step: Step | undefined
  /** Which rows of the step's files are deleted; see `ranges.ts`. */
  readonly removed: string | null
}

/** All columns that are written under the lease; what `archive verify` records is not. */
type StoredState = {
  readonly [column in 'position' | 'rows' | 'bytes' | 'files']: number
} & {
  readonly [column in 'head' | 'head_file' | 'step' | 'removed']: string | null
} & { readonly newest_at: number | null }

const NO_STATE: StoredState = {
  position: 0,
  head: null,
  head_file: null,
  step: null,
  removed: null,
  rows: 0,
  bytes: 0,
  files: 0,
  newest_at: null,
}

const TEXTS = ['head', 'head_file', 'step', 'removed'] as const

function latest(added: number | null, before: number | undefined): number | null {
  return added === null ? (before ?? null) : Math.max(added, before ?? added)
}

interface Numbered {
  /** The highest file number when those of the step were allocated. */
  readonly from: number
  /** The highest one with them. */
  readonly position: number
  /** See `ArchiveState.removed`. */
  readonly removed: string
}

interface StateRow {
  readonly position: number
  readonly head: string | null
  readonly head_file: string | null
  readonly step: string | null
  readonly removed: string | null
}

/** The state of one table's archive in its database. */
export class ArchiveRecord {
  readonly #archives: string
  readonly #archived: RunCounts
  readonly #source: string

  constructor(named: (table: string) => string, source: string) {
    this.#archives = named(ARCHIVES)
    this.#archived = new RunCounts(named(ARCHIVED))
    this.#source = source
  }

  async load(query: Query): Promise<ArchiveState> {
    const { rows } = await query.query<StateRow>(`SELECT position, ${archiveTexts(TEXTS)} FROM ${this.#archives} WHERE source = $1`, [
      this.#source,
    ])
    const [row] = rows
    if (row === undefined) return { position: 0, head: null, step: undefined, removed: null }
    refuseLong(row, TEXTS)
    return {
      position: storedCount(row.position, `${ARCHIVES}.position`),
      head:
        row.head === null
          ? null
          : { manifest: archivePath(row.head_file, this.#source, 'maintenance_archives.head_file'), sha256: row.head },
      step: row.step === null ? undefined : parseStep(storedText(row.step, `${ARCHIVES}.step`), this.#source),
      removed: orNothing(storedText, row.removed, `${ARCHIVES}.removed`) ?? null,
    }
  }

  /**
   * Records complete files as the pending step. From this commit on, a crash leaves them to be settled. Rejects with `busy` if the last number is not the one that
   * theirs follow: a failover of the database may have taken it back.
   */
  async begin(tx: Transaction, step: Step, { from, position, removed }: Numbered): Promise<void> {
    const text = JSON.stringify(step)
    if (Buffer.byteLength(text) > MOST_STEP_BYTES)
      throw archiveFailed(`${step.files.length} files and ${step.obsolete.length} to remove are too many for one step; it was not begun`)
    await this.#write(tx, (before) => {
      if (before.position === from) return { position, step: text, removed }
      throw new DatabaseError(
        'busy',
        `maintenance_archives.position is ${before.position} and was ${from}; the files that were numbered by it are written again`,
      )
    })
  }

  /** Call this in the transaction that deletes the rows. */
  noteRemoved(tx: Transaction, removed: string): Promise<void> {
    return this.#write(tx, () => ({ removed }))
  }

  /** Adds the step's files to the chain, once every row of them is deleted. `files` is empty if the step was discarded. */
  async close(tx: Transaction, { run, files, growth, newestAt }: Step): Promise<void> {
    const head = files.at(-1)
    await this.#write(tx, (before) => ({
      step: null,
      removed: null,
      head: head?.sha256 ?? before.head,
      head_file: head?.manifest ?? before.head_file,
      rows: storedNumber(before.rows, `${ARCHIVES}.rows`) + growth.rows,
      bytes: storedNumber(before.bytes, `${ARCHIVES}.bytes`) + growth.bytes,
      files: storedNumber(before.files, `${ARCHIVES}.files`) + growth.files,
      newest_at: latest(newestAt, orNothing(storedTime, before.newest_at, `${ARCHIVES}.newest_at`)),
    }))
    if (growth.files > 0 && run !== NO_RUN) await this.#archived.add(tx, run, growth)
  }

  /** Deletes the counts of runs that are no longer recorded. */
  forgetRuns(tx: Transaction, runs: string): Promise<void> {
    return this.#archived.forget(tx, runs)
  }

  ofRun(query: Query, run: number): Promise<Growth> {
    return this.#archived.of(query, run)
  }

  /**
   * Does not hold the lease: a run may be working. `false`: it was not noted, because damage is on record and only a sample was sound, which may have left
   * out the damaged files.
   */
  async noteVerified(tx: Transaction, at: EpochMs, verdict: 'sound' | 'damaged', ofSample = false): Promise<boolean> {
    const key = { source: this.#source }
    if (ofSample && verdict === 'sound' && (await this.#isDamaged(tx))) return false
    await tx.query(
      `INSERT INTO ${this.#archives} (source, verified_at, verified) VALUES ($1, $2, $3)
       ON CONFLICT (source) DO UPDATE SET verified_at = excluded.verified_at, verified = excluded.verified`,
      [this.#source, at, verdict],
    )
    await readBack(tx, this.#archives, key, { verified_at: at, verified: verdict })
    return true
  }

  /** What `archive verify` found last. */
  async #isDamaged(query: Query): Promise<boolean> {
    const { rows } = await query.query<{ verified: string | null }>(
      `SELECT ${boundedText('verified')} AS verified FROM ${this.#archives} WHERE source = $1 AND verified_at IS NOT NULL`,
      [this.#source],
    )
    return rows[0] !== undefined && rows[0].verified !== 'sound'
  }

  /**
   * The only way to change the row. All columns that the lease protects are read back, so that no trigger can suppress or alter a write
   * unnoticed.
   */
  async #write(tx: Transaction, change: (before: StoredState) => Partial<StoredState>): Promise<void> {
    const key = { source: this.#source }
    const stored = await rowOf<StoredState>(tx, this.#archives, key, Object.keys(NO_STATE))
    const before = stored ?? NO_STATE
    const changes = change(before)
    const names = Object.keys(changes)
    const values = [...Object.values(changes), this.#source]
    await tx.query(
      stored === undefined
        ? // What was verified is noted without the lease: its row may have come meanwhile.
          `INSERT INTO ${this.#archives} (${names.map((name) => `"${name}"`).join(', ')}, source) VALUES (${values.map((_, index) => `$${index + 1}`).join(', ')})
           ON CONFLICT (source) DO UPDATE SET ${names.map((name) => `"${name}" = excluded."${name}"`).join(', ')}`
        : `UPDATE ${this.#archives} SET ${names.map((name, index) => `"${name}" = $${index + 1}`).join(', ')} WHERE source = $${values.length}`,
      values,
    )
    await readBack(tx, this.#archives, key, { ...before, ...changes })
  }
}
