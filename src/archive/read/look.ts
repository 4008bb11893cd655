import type { Query } from '../../database/query.ts'
import type { DiscardedFiles } from '../discarded-files.ts'
import { fileIn, type Link, type RowsFile } from '../format.ts'
import { judgePending } from '../pending.ts'
import type { ArchiveRecord, ArchiveState } from '../state.ts'
import { pathsOf, type Step } from '../step.ts'
import type { Store } from '../store/store.ts'
import { holdsRows, manifestOf, type ArchivePath } from '../store/path.ts'
import { readChain, removedBy, type Found } from './chain.ts'

/** What the database, the file names and the manifests say; no file of rows is read for it. */
export interface Look {
  readonly state: ArchiveState
  /** The intact part of the chain, newest first. */
  readonly links: readonly Found[]
  /** Files that should exist, and do. */
  readonly files: readonly WrittenFile[]
  /** Files that exist, but that nothing vouches for: a link between them and the head of the chain is missing or was altered. */
  readonly unvouched: readonly WrittenFile[]
  /** Neither the database nor the folder knows of anything that was ever archived. */
  readonly isEmpty: boolean
  /** How many files were removed after they had expired. */
  readonly removedFiles: number
  readonly problems: readonly string[]
}

export interface WrittenFile extends RowsFile {
  /** When, as its manifest says. */
  readonly written: string
  readonly link: Link
}

export interface LookOptions {
  readonly database: Query
  readonly record: ArchiveRecord
  readonly store: Store
  /** Files that do not count, wherever they are; absent: there are none. */
  readonly discarded?: DiscardedFiles | undefined
}

/** After so many looks, real problems can be told from the work of a concurrent run. */
const MOST_LOOKS = 5

/**
 * A run may be working on the archive, so a problem counts only if every look finds it, until the state no longer changes between two
 * looks.
 */
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

async function lookOnce({ database, record, store, discarded }: LookOptions): Promise<Look> {
  const state = await record.load(database)
  const noted = await discarded?.load(database, state.position)
  const { paths: all, problems: misplaced } = await store.inspect()
  const paths = all.filter((path) => noted?.has(path) !== true)
  const present = new Set(paths)
  const pending = pendingPaths(state)
  const chain = await readChain(
    store,
    paths.filter((path) => !pending.has(path)),
    state.head,
  )
  const problems = [...misplaced, ...chain.problems, ...chain.strays]
  const expired = removedBy(chain.links)
  const filesOf = (links: readonly Found[], lawful: ReadonlySet<ArchivePath>): WrittenFile[] => {
    const files = links.flatMap(({ manifest, sha256 }) => {
      const file = fileIn(manifest)
      const link = { manifest: manifest.manifest, sha256 }
      return file === undefined || pending.has(file.path) ? [] : [{ ...file, written: manifest.written, link }]
    })
    for (const { path } of files) if (!present.has(path) && !lawful.has(manifestOf(path))) problems.push(`${path}: is missing`)
    return files.filter(({ path }) => present.has(path))
  }
  const files = filesOf(chain.links, expired)
  const unvouched = filesOf(chain.unvouched, removedBy([...chain.links, ...chain.unvouched]))
  for (const path of paths)
    if (holdsRows(path) && !pending.has(path) && !present.has(manifestOf(path))) problems.push(`${path}: has no manifest`)
  problems.push(...(await judgePending(store, state)).problems)
  const isEmpty = state.position === 0 && state.head === null && state.step === undefined && paths.length === 0
  return { state, links: chain.links, files, unvouched, isEmpty, removedFiles: expired.size, problems: [...new Set(problems)].toSorted() }
}

/** Everything that the pending step adds or removes: it is not part of the chain yet, or no longer. */
export function pendingPaths({ step }: ArchiveState): ReadonlySet<ArchivePath> {
  const { joined = [], setAside = [] } = step?.reconciled ?? {}
  const { files = [], obsolete = [], successors = [] } = step ?? {}
  return new Set([...files.flatMap(pathsOf), ...obsolete, ...successors, ...joined, ...setAside])
}

function isSameStep(a: Step | undefined, b: Step | undefined): boolean {
  const [first, second] = [a, b].map((step) => step && [step.files[0]?.manifest, step.successors?.[0]].join())
  return first === second
}

function isSame(a: ArchiveState, b: ArchiveState): boolean {
  return a.position === b.position && a.head?.sha256 === b.head?.sha256 && isSameStep(a.step, b.step)
}
