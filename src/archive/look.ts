import type { Query } from '../database/database.ts'
import { pathsOf } from './archive.ts'
import { readChain } from './chain.ts'
import type { ArchiveFolder } from './folder.ts'
import type { RowsFile } from './format.ts'
import { holdsRows, manifestOf, type ArchivePath } from './path.ts'
import type { ArchiveRecord, ArchiveState } from './state.ts'

/** What the database, the names in the folder and the manifests say; no file of rows is read for it. */
export interface Look {
  readonly state: ArchiveState
  /** That are in their places, and have to be. */
  readonly files: readonly RowsFile[]
  /** Whose time had come. */
  readonly removedFiles: number
  readonly problems: readonly string[]
}

export interface LookOptions {
  readonly database: Query
  readonly record: ArchiveRecord
  readonly folder: ArchiveFolder
}

/** By then what a run does meanwhile is told from what is wrong. */
const MOST_LOOKS = 5

/** A run may work on the archive meanwhile: what is wrong is wrong each time that one looks, while nothing changes. */
export async function look(options: LookOptions): Promise<Look> {
  let seen = await lookOnce(options)
  for (let looks = 1; looks < MOST_LOOKS && seen.problems.length > 0; looks += 1) {
    const before = seen
    if (isSame(before.state, await options.record.load(options.database))) break
    seen = await lookOnce(options)
    const again = new Set(seen.problems)
    seen = { ...seen, problems: before.problems.filter((problem) => again.has(problem)) }
  }
  return seen
}

async function lookOnce({ database, record, folder }: LookOptions): Promise<Look> {
  const state = await record.load(database)
  const { paths, problems: misplaced } = await folder.inspect()
  const present = new Set(paths)
  const inHand = pathsInHand(state)
  const {
    links,
    found,
    problems: broken,
  } = await readChain(
    folder,
    paths.filter((path) => !inHand.has(path)),
    state.head,
  )
  const problems = [...misplaced, ...broken]
  const expired = new Set(links.flatMap(({ manifest }) => manifest.removed ?? []).map((link) => link.manifest))
  const files: RowsFile[] = []
  for (const [path, { manifest }] of found) {
    const { file } = manifest
    if (file === undefined || inHand.has(file.path)) continue
    if (present.has(file.path)) files.push(file)
    else if (!expired.has(path)) problems.push(`${file.path}: is missing`)
  }
  for (const path of paths)
    if (holdsRows(path) && !inHand.has(path) && !present.has(manifestOf(path))) problems.push(`${path}: has no manifest`)
  problems.push(...(await missingInHand(folder, state, present)))
  return { state, files, removedFiles: expired.size, problems: [...new Set(problems)].toSorted() }
}

/** What the step in hand brings, and what goes with it: none of it is a part of the chain yet, or any more. */
export function pathsInHand({ step }: ArchiveState): ReadonlySet<ArchivePath> {
  return new Set(step === undefined ? [] : [...step.files.flatMap(pathsOf), ...step.obsolete])
}

/** Rows that are deleted are in files that are in their places or on the way there. */
async function missingInHand(folder: ArchiveFolder, { step, removed }: ArchiveState, present: ReadonlySet<ArchivePath>): Promise<string[]> {
  if (step === undefined || removed === null || removed === '') return []
  const problems: string[] = []
  for (const path of step.files.flatMap(pathsOf)) {
    if (!present.has(path) && !(await folder.isWaiting(path))) problems.push(`${path}: is missing`)
  }
  return problems
}

function isSame(a: ArchiveState, b: ArchiveState): boolean {
  return a.position === b.position && a.head?.sha256 === b.head?.sha256 && (a.step === undefined) === (b.step === undefined)
}
