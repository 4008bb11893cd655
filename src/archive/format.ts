import { createHash } from 'node:crypto'
import type { StoredColumn } from '../database/exporting.ts'
import type { ArchivePath } from './store/path.ts'

/** The version of files and manifests; a reader refuses any other. */
export const FORMAT = 1

/**
 * The longest line of a file: what archiving, verifying and restoring can handle in a container of 256 MB, whatever its content. A row with
 * a longer line stays in the database; a longer line in a file is not read.
 */
export const LONGEST_ROW_BYTES = 20 * 2 ** 20

export const LONGEST_ROW = `${LONGEST_ROW_BYTES / 2 ** 20} MiB`

/** The largest manifest. With 1,600 columns of the longest names a manifest takes a quarter of this, with a thousand links a sixth. */
export const MOST_MANIFEST_BYTES = 2 ** 20

/** The most links that one manifest removes, joins or sets aside, and the most columns: no table can have more. */
export const MOST_LINKS = 500
export const MOST_COLUMNS = 2_000

/** The longest texts of a manifest, in characters. Longer ones are neither written nor read. */
export const LONGEST = {
  /** A version, or a name of our own. */
  word: 256,
  time: 64,
  /** May be the name of a file. */
  database: 1_024,
  /** A column's name or type: PostgreSQL allows a third of this, SQLite any length. */
  column: 1_024,
  /** Longer ids are cut: the beginning is enough for people to find the row, which has all of it. */
  id: 200,
  /** The name of a hold; longer ones are cut. */
  hold: 64,
} as const

/**
 * The JSON file beside each file of rows, and a link of the chain: it holds the SHA-256 of the manifest before it. So the next manifest
 * detects a file that was removed or was changed together with its manifest, and the database detects it for the newest one.
 */
export type Manifest = RowsManifest | RemovalManifest | ReconciledManifest

/** The fields of every manifest. */
interface ManifestHead {
  readonly format: number
  /** Its own path. */
  readonly manifest: ArchivePath
  /** Increases by one with each manifest. Missing numbers mean that a run was interrupted and wrote its files again. */
  readonly position: number
  readonly previous: Link | null
  readonly source: Source
  /** `maintenance_runs.id`; 0: written by no run, as by `archive reconcile`. */
  readonly run: number
  readonly program: string
  /** ISO 8601, by the database's clock. */
  readonly written: string
}

/** A file of rows. */
export interface RowsManifest extends ManifestHead {
  readonly kind: 'rows'
  readonly file: DescribedFile
}

/** Files of rows that were removed because they had expired; their manifests stay. */
export interface RemovalManifest extends ManifestHead {
  readonly kind: 'removal'
  readonly removed: readonly Link[]
  /** Files that had expired as well and were kept, since the removal before: those of which a hold keeps a row. Absent: none. */
  readonly kept?: readonly KeptFile[]
}

/** A file that stays although it has expired. */
export interface KeptFile {
  readonly manifest: ArchivePath
  /** The names of the holds, as far as they fit; see `MOST_NAMED`. */
  readonly holds: readonly string[]
}

/** The most holds that are named for a file. */
export const MOST_NAMED = 20

/** Files unknown to the database, which had been restored from an earlier state, and what became of them. */
export interface ReconciledManifest extends ManifestHead {
  readonly kind: 'reconciled'
  /** Manifests that joined the chain unchanged. Their place in it is here, whatever they name as their predecessor. */
  readonly joined: readonly Link[]
  /** No longer links: these manifests and their files are in `reconciled/`. */
  readonly setAside: readonly Link[]
}

/** The number of the run, for what no run of a job wrote. */
export const NO_RUN = 0

/** A manifest, and the SHA-256 of its bytes. */
export interface Link {
  readonly manifest: ArchivePath
  readonly sha256: string
}

export interface Source {
  readonly table: string
  readonly timeColumn: string
  readonly engine: string
  readonly database: string
}

export interface RowsFile {
  readonly path: ArchivePath
  /** The day of its rows, in UTC. */
  readonly day: string
  readonly rows: number
  /** Size of the rows in bytes, uncompressed, each with its line feed. */
  readonly bytes: number
  /** SHA-256 of the uncompressed rows. */
  readonly rowsSha256: string
  readonly fileBytes: number
  readonly fileSha256: string
  /** What many object stores say of an object without sending it. Absent: an earlier version wrote the file. */
  readonly fileMd5?: string
  readonly first: Place
  readonly last: Place
  /** When the file was written, rows with an earlier time had expired. */
  readonly cutoff: string
  /** Milliseconds. */
  readonly retention: number
}

/** A file of rows as its manifest describes it. */
export interface DescribedFile extends RowsFile {
  readonly columns: readonly StoredColumn[]
}

/**
 * What is kept in memory of a manifest: there may be thousands, and columns and digests are most of each. `columnsOf` reads the columns
 * again.
 */
export type Kept = KeptRows | KeptRemoval | ReconciledManifest
type KeptRows = Omit<RowsManifest, 'file'> & { readonly file: RowsFile }
type KeptRemoval = Omit<RemovalManifest, 'removed'> & { readonly removed: readonly ArchivePath[] }

export function fileIn(manifest: Kept): RowsFile | undefined {
  return manifest.kind === 'rows' ? manifest.file : undefined
}

/** The files that it says were kept. */
export function keptIn(manifest: Kept): readonly KeptFile[] {
  return manifest.kind === 'removal' ? (manifest.kept ?? []) : []
}

/** The manifests of the files that it removed. */
export function removedIn(manifest: Kept): readonly ArchivePath[] {
  return manifest.kind === 'removal' ? manifest.removed : []
}

export function joinedIn(manifest: Kept): readonly Link[] {
  return manifest.kind === 'reconciled' ? manifest.joined : []
}

export function setAsideIn(manifest: Kept): readonly Link[] {
  return manifest.kind === 'reconciled' ? manifest.setAside : []
}

/** The row with the earliest or the latest time in a file. */
export interface Place {
  readonly time: string
  /** At most as long as `LONGEST.id`. */
  readonly id: string
}

export function textOf(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`
}

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}
