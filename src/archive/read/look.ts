import type { Query } from '../../database/query.ts'
import { fileIn, type RowsFile } from '../format.ts'
import { judgePending } from '../pending.ts'
import type { ArchiveRecord, ArchiveState } from '../state.ts'
import { pathsOf, type Step } from '../step.ts'
import type { Store } from '../store/store.ts'
import { holdsRows, manifestOf, type ArchivePath } from '../store/path.ts'
import { readChain, removedBy, type Found } from './chain.ts'

/** What the database, the names in the folder and the manifests say; no file of rows is read for it. */
export interface Look {
  readonly state: ArchiveState
  /** That are in their places, and have to be. */
  readonly files: readonly RowsFile[]
  /** That are there, and that nothing vouches for: what leads to them in the chain is missing or was altered. */
  readonly unvouched: readonly RowsFile[]
  /** Whose time had come. */
  readonly removedFiles: number
  readonly problems: readonly string[]
}

export interface LookOptions {
  readonly database: Query
  readonly record: ArchiveRecord
  readonly store: Store
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

async function lookOnce({ database, record, store }: LookOptions): Promise<Look> {
  const state = await record.load(database)
  const { paths, problems: misplaced } = await store.inspect()
  const present = new Set(paths)
  const pending = pendingPaths(state)
  const chain = await readChain(
    store,
    paths.filter((path) => !pending.has(path)),
    state.head,
  )
  const problems = [...misplaced, ...chain.problems, ...chain.strays]
  const expired = removedBy(chain.links)
  const filesOf = (links: readonly Found[], lawful: ReadonlySet<ArchivePath>): RowsFile[] => {
    const files = links.flatMap(({ manifest }) => {
      const file = fileIn(manifest)
      return file === undefined || pending.has(file.path) ? [] : [file]
    })
    for (const { path } of files) if (!present.has(path) && !lawful.has(manifestOf(path))) problems.push(`${path}: is missing`)
    return files.filter(({ path }) => present.has(path))
  }
  const files = filesOf(chain.links, expired)
  const unvouched = filesOf(chain.unvouched, removedBy([...chain.links, ...chain.unvouched]))
  for (const path of paths)
    if (holdsRows(path) && !pending.has(path) && !present.has(manifestOf(path))) problems.push(`${path}: has no manifest`)
  problems.push(...(await judgePending(store, state)).problems)
  return { state, files, unvouched, removedFiles: expired.size, problems: [...new Set(problems)].toSorted() }
}

/** What the pending step brings, and what goes with it: none of it is a part of the chain yet, or any more. */
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
