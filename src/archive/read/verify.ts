import type { EpochMs } from '../../time/clock.ts'
import type { RowsFile } from '../format.ts'
import type { Store } from '../store/store.ts'
import { rowsOf, type ArchivePath } from '../store/path.ts'
import { look, type Look, type LookOptions, type WrittenFile } from './look.ts'
import { problemOf } from './read-rows.ts'

/**
 * `empty`: neither the database nor the folder knows of anything that was ever archived. `unread`: files are there, and `since` leaves out every one of
 * them, so that nothing can be said.
 */
export type VerificationResult = 'sound' | 'damaged' | 'empty' | 'unread'

export interface Verification {
  readonly result: VerificationResult
  /** Neither damaged nor unread. */
  readonly sound: boolean
  readonly files: number
  readonly rows: number
  readonly bytes: number
  /** How many of these files were read. */
  readonly filesRead: number
  /** Files that exist but do not count: a link between them and the head of the chain is missing or was altered. */
  readonly unvouchedFiles: number
  /** Files that were removed after they had expired: their manifests are left. */
  readonly removedFiles: number
  /** Each begins with the path of the file that is wrong, below the archive's folder. */
  readonly problems: readonly string[]
  /** The newest manifest that the database knows; if it or its file is wrong, no run archives or deletes anything. */
  readonly newest: { readonly manifest: ArchivePath; readonly isWrong: boolean } | undefined
  /** Pending files, of a run that is working or was interrupted: their rows are in the database too. The next run settles them. */
  readonly pending: number
}

export interface VerifyOptions extends LookOptions {
  /** Of files that were written earlier only the manifests are read. */
  readonly since: EpochMs | undefined
  readonly stopping?: AbortSignal
}

/** Reads every manifest and every file, and compares the chain's end with the database. Changes nothing. */
export async function verify({ since, stopping, ...options }: VerifyOptions): Promise<Verification> {
  const { store } = options
  let seen = await look(options)
  // One whose manifest tells no time is read.
  const isRead = ({ written }: WrittenFile): boolean => since === undefined || !(Date.parse(written) < since)
  const read = seen.files.filter(isRead)
  const suspect = await wrongAmong(store, [...read, ...seen.unvouched.filter(isRead)], stopping)
  if (suspect.size > 0) {
    // A concurrent run may have removed an expired file: only files that are still expected count.
    seen = await look(options)
    const left = new Set<string>([...seen.files, ...seen.unvouched].map(({ path }) => path))
    for (const path of suspect.keys()) if (!left.has(path)) suspect.delete(path)
  }
  const problems = [...seen.problems, ...suspect.values()].toSorted()
  const there = seen.files.length + seen.unvouched.length
  const result =
    problems.length > 0 ? 'damaged' : seen.isEmpty ? 'empty' : since !== undefined && there > 0 && read.length === 0 ? 'unread' : 'sound'
  return {
    result,
    sound: result === 'sound' || result === 'empty',
    files: seen.files.length,
    rows: seen.files.reduce((sum, file) => sum + file.rows, 0),
    bytes: seen.files.reduce((sum, file) => sum + file.fileBytes, 0),
    filesRead: read.length,
    unvouchedFiles: seen.unvouched.length,
    removedFiles: seen.removedFiles,
    problems,
    newest: newestOf(seen, problems),
    pending: seen.state.step?.files.length ?? 0,
  }
}

function newestOf({ state: { head } }: Look, problems: readonly string[]): Verification['newest'] {
  if (head === null) return undefined
  const { manifest } = head
  return { manifest, isWrong: problems.some((each) => each.startsWith(`${manifest}: `) || each.startsWith(`${rowsOf(manifest)}: `)) }
}

/** What is wrong, by path. */
async function wrongAmong(store: Store, files: readonly RowsFile[], stopping?: AbortSignal): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const file of files) {
    const problem = await problemOf(store, file, stopping)
    if (problem !== undefined) found.set(file.path, problem)
  }
  return found
}
