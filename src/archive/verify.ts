import type { Query } from '../database/database.ts'
import { messageOf } from '../errors.ts'
import { readChain } from './chain.ts'
import type { ArchiveFolder } from './folder.ts'
import { MANIFEST_SUFFIX, ROWS_SUFFIX, type Link, type RowsFile } from './format.ts'
import { readRows } from './rows-file.ts'
import type { ArchiveRecord, ArchiveState } from './state.ts'

export interface Verification {
  readonly sound: boolean
  readonly files: number
  readonly rows: number
  readonly bytes: number
  /** Whose time had come: their manifests are left. */
  readonly removedFiles: number
  /** Each begins with the path of the file that is wrong, below the archive's folder. */
  readonly problems: readonly string[]
  /** Rows of a run that goes on, or was cut off, are in the database and in files: the next run settles that. */
  readonly inHand: number
}

export interface VerifyOptions {
  readonly database: Query
  readonly record: ArchiveRecord
  readonly folder: ArchiveFolder
  /** `2026-08-25`: files of earlier days are not read; their manifests are. */
  readonly since: string | undefined
}

/** Reads every manifest and every file, and compares the chain's end with the database. Changes nothing. */
export async function verify({ database, record, folder, since }: VerifyOptions): Promise<Verification> {
  const state = await record.load(database)
  const paths = await folder.list()
  const { links, found, problems: broken } = await readChain(folder, paths, endOf(state))
  const problems = [...broken]
  const present = new Set(paths)
  const expired = new Set(links.flatMap(({ manifest }) => manifest.removed ?? []).map((link) => link.manifest))

  let files = 0
  let rows = 0
  let bytes = 0
  for (const [path, { manifest }] of found) {
    const { file } = manifest
    if (file === undefined) continue
    if (!present.has(file.path)) {
      if (!expired.has(path)) problems.push(`${file.path}: is missing`)
      continue
    }
    files += 1
    rows += file.rows
    bytes += file.fileBytes
    if (since === undefined || file.day >= since) problems.push(...(await wrong(folder, file)))
  }
  for (const path of paths) {
    if (path.endsWith(ROWS_SUFFIX) && !present.has(path.replace(ROWS_SUFFIX, MANIFEST_SUFFIX))) problems.push(`${path}: has no manifest`)
  }
  const inHand = state.step?.files.length ?? 0
  return {
    sound: problems.length === 0,
    files,
    rows,
    bytes,
    removedFiles: expired.size,
    problems: [...new Set(problems)].toSorted(),
    inHand,
  }
}

/** With the files in hand, which stand behind the head until their rows are deleted. */
function endOf({ head, step }: ArchiveState): Link | null {
  const last = step?.files.at(-1)
  return last === undefined ? head : { manifest: last.manifest, sha256: last.sha256 }
}

/** What is wrong with one file, as far as it can be told from itself and its manifest. */
export async function wrong(folder: ArchiveFolder, file: RowsFile): Promise<string[]> {
  try {
    const read = await readRows(folder.absolute(file.path), () => {})
    if (read.fileSha256 !== file.fileSha256) return [`${file.path}: was altered after it was written`]
    if (read.rowsSha256 !== file.rowsSha256 || read.rows !== file.rows)
      return [`${file.path}: does not hold the rows that its manifest describes`]
    return []
  } catch (error) {
    return [`${file.path}: was altered after it was written (${messageOf(error)})`]
  }
}
