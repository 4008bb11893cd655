import type { RowsFile } from '../format.ts'
import type { Store } from '../store/store.ts'
import { look, type LookOptions } from './look.ts'
import { problemOf } from './read-rows.ts'

export interface Verification {
  readonly sound: boolean
  readonly files: number
  readonly rows: number
  readonly bytes: number
  /** Of these files, how many were read. */
  readonly filesRead: number
  /** That are there, and count for nothing: what leads to them in the chain is missing or was altered. */
  readonly unvouchedFiles: number
  /** Whose time had come: their manifests are left. */
  readonly removedFiles: number
  /** Each begins with the path of the file that is wrong, below the archive's folder. */
  readonly problems: readonly string[]
  /** Rows of a run that goes on, or was cut off, are in the database and in files: the next run settles that. */
  readonly pending: number
}

export interface VerifyOptions extends LookOptions {
  /** `2026-08-25`: files of earlier days are not read; their manifests are. */
  readonly since: string | undefined
  readonly stopping?: AbortSignal
}

/** Reads every manifest and every file, and compares the chain's end with the database. Changes nothing. */
export async function verify({ since, stopping, ...options }: VerifyOptions): Promise<Verification> {
  const { store } = options
  let seen = await look(options)
  const isRead = ({ day }: RowsFile): boolean => since === undefined || day >= since
  const read = seen.files.filter(isRead)
  const suspect = await wrongAmong(store, [...read, ...seen.unvouched.filter(isRead)], stopping)
  if (suspect.size > 0) {
    // A run may have removed one meanwhile, whose time had come: what is left counts.
    seen = await look(options)
    const left = new Set<string>([...seen.files, ...seen.unvouched].map(({ path }) => path))
    for (const path of suspect.keys()) if (!left.has(path)) suspect.delete(path)
  }
  const problems = [...seen.problems, ...suspect.values()].toSorted()
  return {
    sound: problems.length === 0,
    files: seen.files.length,
    rows: seen.files.reduce((sum, file) => sum + file.rows, 0),
    bytes: seen.files.reduce((sum, file) => sum + file.fileBytes, 0),
    filesRead: read.length,
    unvouchedFiles: seen.unvouched.length,
    removedFiles: seen.removedFiles,
    problems,
    pending: seen.state.step?.files.length ?? 0,
  }
}

/** By path, what is wrong. */
async function wrongAmong(store: Store, files: readonly RowsFile[], stopping?: AbortSignal): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const file of files) {
    const problem = await problemOf(store, file, stopping)
    if (problem !== undefined) found.set(file.path, problem)
  }
  return found
}
