import type { Query, Transaction } from '../database/database.ts'
import type { EpochMs } from '../time.ts'
import { NO_RUN, type Link } from './format.ts'
import { archivePath, type ArchivePath } from './path.ts'
import { parseStep } from './stored-step.ts'

/** Made by migration 005. */
export const ARCHIVES = 'maintenance_archives'
export const ARCHIVED = 'maintenance_archived'

/**
 * What the database knows of an archive. It changes in transactions that hold the job's lease, and with the rows: whatever happens to the
 * worker, a row is in the database, or noted here as deleted and in a file that is named here or stands in the chain before `head`.
 */
export interface ArchiveState {
  /** The highest number that was ever given to a file. */
  readonly position: number
  /** The newest manifest of the chain. */
  readonly head: Link | null
  readonly step: Step | undefined
  /** Which rows of the step's files are deleted; see `ranges.ts`. */
  readonly removed: string | null
}

/** Files in hand: complete, and in their places or on the way there. */
export interface Step {
  readonly run: number
  /** In the order of the chain. */
  readonly files: readonly StepFile[]
  /** What goes when the step is done: files that these replace, or whose time has come. */
  readonly obsolete: readonly ArchivePath[]
  /** What becomes of files that an earlier state of this database knew nothing of; see `reconcile.ts`. */
  readonly reconciled?: { readonly joined: readonly ArchivePath[]; readonly setAside: readonly ArchivePath[] } | undefined
  /** By how much the archive grows, in rows, bytes on disk and files; negative where files are removed. */
  readonly growth: Growth
  /** The latest time of a row in it. */
  readonly newestAt: EpochMs | null
}

export interface StepFile extends Link {
  /** Of the rows; a removal has none. */
  readonly path?: ArchivePath
  readonly rows: number
}

export interface Growth {
  readonly rows: number
  readonly bytes: number
  readonly files: number
}

export const NO_GROWTH: Growth = { rows: 0, bytes: 0, files: 0 }

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
  readonly #archived: string
  readonly #source: string

  constructor(named: (table: string) => string, source: string) {
    this.#archives = named(ARCHIVES)
    this.#archived = named(ARCHIVED)
    this.#source = source
  }

  async load(query: Query): Promise<ArchiveState> {
    const { rows } = await query.query<StateRow>(
      `SELECT position, head, head_file, step, removed FROM ${this.#archives} WHERE source = $1`,
      [this.#source],
    )
    const [row] = rows
    if (row === undefined) return { position: 0, head: null, step: undefined, removed: null }
    return {
      position: row.position,
      head:
        row.head === null
          ? null
          : { manifest: archivePath(row.head_file, this.#source, 'maintenance_archives.head_file'), sha256: row.head },
      step: row.step === null ? undefined : parseStep(row.step, this.#source),
      removed: row.removed,
    }
  }

  /** The files are complete under their temporary names; from here on a crash finishes them. */
  async begin(tx: Transaction, step: Step, position: number, removed: string): Promise<void> {
    await tx.query(
      `INSERT INTO ${this.#archives} (source, position, step, removed) VALUES ($1, $2, $3, $4)
       ON CONFLICT (source) DO UPDATE SET position = excluded.position, step = excluded.step, removed = excluded.removed`,
      [this.#source, position, JSON.stringify(step), removed],
    )
  }

  /** In the transaction that deletes them. */
  async noteRemoved(tx: Transaction, removed: string): Promise<void> {
    await tx.query(`UPDATE ${this.#archives} SET removed = $1 WHERE source = $2`, [removed, this.#source])
  }

  /** Every row of the step's files is deleted: they are part of the chain. `files` is empty where nothing became of the step. */
  async close(tx: Transaction, { run, files, growth, newestAt }: Step): Promise<void> {
    const head = files.at(-1)
    await tx.query(
      `UPDATE ${this.#archives} SET step = NULL, removed = NULL, head = coalesce($1, head), head_file = coalesce($2, head_file),
         "rows" = "rows" + $3, bytes = bytes + $4, files = files + $5 WHERE source = $6`,
      [head?.sha256 ?? null, head?.manifest ?? null, growth.rows, growth.bytes, growth.files, this.#source],
    )
    if (newestAt !== null)
      await tx.query(`UPDATE ${this.#archives} SET newest_at = $1 WHERE source = $2 AND (newest_at IS NULL OR newest_at < $1)`, [
        newestAt,
        this.#source,
      ])
    if (growth.files <= 0 || run === NO_RUN) return
    await tx.query(
      `INSERT INTO ${this.#archived} AS a (run, "rows", bytes, files) VALUES ($1, $2, $3, $4)
       ON CONFLICT (run) DO UPDATE SET "rows" = a."rows" + excluded."rows", bytes = a.bytes + excluded.bytes, files = a.files + excluded.files`,
      [run, growth.rows, growth.bytes, growth.files],
    )
  }

  /** Of runs that are no longer on record. */
  async forgetRuns(tx: Transaction, runs: string): Promise<void> {
    await tx.query(`DELETE FROM ${this.#archived} WHERE run < (SELECT min(id) FROM ${runs})`)
  }

  async ofRun(query: Query, run: number): Promise<Growth> {
    const { rows } = await query.query<Growth>(`SELECT "rows", bytes, files FROM ${this.#archived} WHERE run = $1`, [run])
    return rows[0] ?? NO_GROWTH
  }

  async noteVerified(tx: Transaction, at: EpochMs, verdict: 'sound' | 'damaged'): Promise<void> {
    await tx.query(`UPDATE ${this.#archives} SET verified_at = $1, verified = $2 WHERE source = $3`, [at, verdict, this.#source])
  }
}
