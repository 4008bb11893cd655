import type { EpochMs } from '../../time/clock.ts'
import { concurrently } from '../concurrently.ts'
import type { RowsFile } from '../format.ts'
import type { Store } from '../store/store.ts'
import { rowsOf, type ArchivePath } from '../store/path.ts'
import { look, type Look, type LookOptions, type WrittenFile } from './look.ts'
import { ALTERED, problemOf } from './read-rows.ts'
import type { Sample } from './sample.ts'

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
  /**
   * Of a sample, how many files were read because they are recent and how many of the others, and their bytes. The sizes of all were compared; `digests`: of so
   * many also a digest, as the store says it.
   */
  readonly sample: { readonly recent: number; readonly older: number; readonly bytes: number; readonly digests: number } | undefined
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
  /** Chooses the files that are read; of the others, the sizes are compared, and the digests where the store has them. Absent: all are read. */
  readonly sampling?: ((files: readonly WrittenFile[]) => Sample) | undefined
  /** Called before the first file is read. */
  readonly reading?: ((files: readonly RowsFile[]) => void) | undefined
  readonly stopping?: AbortSignal
}

/** Reads every manifest and every file, or those that are asked for, and compares the chain's end with the database. Changes nothing. */
export async function verify({ since, sampling, reading, stopping, ...options }: VerifyOptions): Promise<Verification> {
  const { store } = options
  let seen = await look(options)
  const compared = sampling && (await comparedWith(store, [...seen.files, ...seen.unvouched]))
  const sample = compared && sampling([...seen.files, ...seen.unvouched])
  const sampled = sample && new Set([...sample.recent, ...sample.older, ...compared.doubted])
  const isRead = (file: WrittenFile): boolean =>
    sampled === undefined
      ? // One whose manifest tells no time is read.
        since === undefined || !(Date.parse(file.written) < since)
      : sampled.has(file)
  const read = seen.files.filter(isRead)
  const opened = [...read, ...seen.unvouched.filter(isRead)]
  reading?.(opened)
  const suspect = new Map([...(compared?.wrong ?? []), ...(await wrongAmong(store, opened, stopping))])
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
    bytes: bytesIn(seen.files),
    filesRead: read.length,
    sample: sample && {
      recent: sample.recent.length,
      older: sampled!.size - sample.recent.length,
      bytes: bytesIn(opened),
      digests: compared.digests,
    },
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

export function bytesIn(files: readonly RowsFile[]): number {
  return files.reduce((sum, file) => sum + file.fileBytes, 0)
}

interface Compared {
  /** What is wrong, by path. */
  readonly wrong: ReadonlyMap<string, string>
  /** Files whose content has to be read: the store says another digest of it. */
  readonly doubted: readonly WrittenFile[]
  readonly digests: number
}

/**
 * Compares sizes and digests with those of the manifests, without reading a file. One that is no longer there was looked for again already, or was just removed.
 */
async function comparedWith(store: Store, files: readonly WrittenFile[]): Promise<Compared> {
  const facts = await store.facts()
  const wrong = new Map<string, string>()
  const doubted: WrittenFile[] = []
  let digests = 0
  await concurrently(store.readsAtOnce, files, async (file) => {
    const { path, fileBytes, fileMd5 } = file
    const known = facts.get(path)
    if (known?.bytes !== fileBytes) return void wrong.set(path, `${path}: ${known === undefined ? 'is missing' : ALTERED}`)
    if (known.md5 === undefined || fileMd5 === undefined) return
    // The list does not say whether what looks like a digest of the content is one.
    const isRight = known.md5 === fileMd5
    const md5 = isRight ? fileMd5 : await store.md5(path)
    if (md5 !== undefined) digests += 1
    if (!isRight && md5 !== undefined) doubted.push(file)
  })
  return { wrong, doubted, digests }
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
