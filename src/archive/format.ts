import { createHash } from 'node:crypto'
import type { StoredColumn } from '../database/exporting.ts'
import type { ArchivePath } from './store/path.ts'

/** Of the files and the manifests; a reader refuses a higher one. */
export const FORMAT = 1

/**
 * The longest line of a file: what archiving, verifying and restoring carry in a container of 256 MB, whatever is in it. A row whose line would be longer
 * stays where it is; a longer line is not read.
 */
export const LONGEST_ROW_BYTES = 20 * 2 ** 20

export const LONGEST_ROW = `${LONGEST_ROW_BYTES / 2 ** 20} MiB`

/** Of a manifest: that of a table of 1,600 columns with names as long as can be has a quarter of it, one that names a thousand others a sixth. */
export const MOST_MANIFEST_BYTES = 2 ** 20

/** What one manifest removes, takes in or sets aside; no table has more columns. */
export const MOST_LINKS = 500
export const MOST_COLUMNS = 2_000

/** Characters of the texts of a manifest. Longer ones are not written, and not read. */
export const LONGEST = {
  /** A version, and a word of ours. */
  word: 256,
  time: 64,
  /** A file's name, where it is one. */
  database: 1_024,
  /** A column's name or type: a server's have a third of it, and SQLite's are any text. */
  column: 1_024,
  /** What begins so is told from others by people; the row has all of it. */
  id: 200,
} as const

/**
 * What stands beside each file of rows, and is a link of the chain: it holds the SHA-256 of the manifest before it, so that a file that is
 * taken away, or changed with its manifest, is missed by the next one, and the newest by the database.
 */
export type Manifest = RowsManifest | RemovalManifest | ReconciledManifest

/** What every manifest says. */
interface ManifestHead {
  readonly format: number
  /** Its own place. */
  readonly manifest: ArchivePath
  /** One more with each; where numbers are missing, a run was interrupted and wrote its file again. */
  readonly position: number
  readonly previous: Link | null
  readonly source: Source
  /** `maintenance_runs.id`; 0: of none, as `archive reconcile` writes it. */
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

/** Files of rows that were removed when their time had come; their manifests stay. */
export interface RemovalManifest extends ManifestHead {
  readonly kind: 'removal'
  readonly removed: readonly Link[]
}

/** Files that an earlier state of the database knew nothing of, and what became of them. */
export interface ReconciledManifest extends ManifestHead {
  readonly kind: 'reconciled'
  /** Links of the chain as they are, in the place of what they say comes before them. */
  readonly joined: readonly Link[]
  /** No links any more: their files are in `reconciled/`. */
  readonly setAside: readonly Link[]
}

/** What is written for no run of a job. */
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
  /** The day, in UTC, that its rows' times are of. */
  readonly day: string
  readonly rows: number
  /** Of the rows, uncompressed, each with its line feed. */
  readonly bytes: number
  /** SHA-256 of the same. */
  readonly rowsSha256: string
  readonly fileBytes: number
  readonly fileSha256: string
  readonly first: Place
  readonly last: Place
  /** Rows with an earlier time had expired. */
  readonly cutoff: string
  /** Milliseconds. */
  readonly retention: number
}

/** As its manifest describes it. */
export interface DescribedFile extends RowsFile {
  readonly columns: readonly StoredColumn[]
}

/** What is kept of a manifest: there may be thousands, and columns and digests are most of one. `columnsOf` reads the columns again. */
export type Kept = KeptRows | KeptRemoval | ReconciledManifest
type KeptRows = Omit<RowsManifest, 'file'> & { readonly file: RowsFile }
type KeptRemoval = Omit<RemovalManifest, 'removed'> & { readonly removed: readonly ArchivePath[] }

export function fileIn(manifest: Kept): RowsFile | undefined {
  return manifest.kind === 'rows' ? manifest.file : undefined
}

/** The manifests of what it removed. */
export function removedIn(manifest: Kept): readonly ArchivePath[] {
  return manifest.kind === 'removal' ? manifest.removed : []
}

export function joinedIn(manifest: Kept): readonly Link[] {
  return manifest.kind === 'reconciled' ? manifest.joined : []
}

export function setAsideIn(manifest: Kept): readonly Link[] {
  return manifest.kind === 'reconciled' ? manifest.setAside : []
}

/** Of the row with the earliest or the latest time in a file. */
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
