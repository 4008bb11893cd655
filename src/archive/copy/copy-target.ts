import { MaintenanceError } from '../../errors.ts'
import { someClauses } from '../../number-text.ts'
import { concurrently } from '../concurrently.ts'
import { sha256 } from '../format.ts'
import { alterationOf } from '../read/read-rows.ts'
import { holdsRows, manifestOf, type ArchivePath } from '../store/path.ts'
import type { Store } from '../store/store.ts'
import type { CopiedChain } from './copied-chain.ts'

/** What a place has of a chain before anything is copied. */
export interface Had {
  /** Those that are not of a chain's files: the place is of another archive, or somebody changed it. Each begins with a path. */
  readonly foreign: readonly string[]
  readonly paths: ReadonlySet<ArchivePath>
  /** Files of rows that have expired since they were copied. */
  readonly expired: readonly ArchivePath[]
}

/** Each may take some megabytes of memory. */
const READ_AT_ONCE = 4

/** By names and manifests; the files of rows are not read. */
export async function whatIsAt(target: Store, { links, files, removed }: CopiedChain, ignored: ReadonlySet<ArchivePath>): Promise<Had> {
  const { paths: all, problems } = await target.inspect()
  const paths = all.filter((path) => !ignored.has(path))
  const foreign = [...problems]
  const expired = paths.filter((path) => holdsRows(path) && removed.has(manifestOf(path)))
  const goes = new Set(expired)
  for (const path of paths)
    if (!goes.has(path) && !(holdsRows(path) ? files : links).has(path)) foreign.push(`${path}: is not of this archive`)
  await concurrently(
    target.readsAtOnce,
    paths.filter((path) => links.has(path)),
    async (path) => foreign.push(...(await manifestProblems(target, path, links.get(path)!.sha256))),
  )
  return { foreign: foreign.toSorted(), paths: new Set(paths), expired }
}

/** Reads files of rows. Each problem begins with a path. */
export async function rowsProblems(
  target: Store,
  { files }: CopiedChain,
  paths: Iterable<ArchivePath>,
  stopping: AbortSignal,
): Promise<readonly string[]> {
  const problems: string[] = []
  await concurrently(READ_AT_ONCE, paths, async (path) => {
    const file = files.get(path)
    const problem = file && (await alterationOf(target, file, stopping))
    if (problem !== undefined) problems.push(problem)
  })
  return problems.toSorted()
}

export async function manifestProblems(target: Store, path: ArchivePath, sum: string): Promise<readonly string[]> {
  const bytes = await target.read(path)
  if (bytes === undefined) return [`${path}: is missing`]
  return sha256(bytes) === sum ? [] : [`${path}: is not what the archive has there`]
}

export function foreignPlace(target: Store, problems: readonly string[]): MaintenanceError {
  return new MaintenanceError(
    'ARCHIVE_FAILED',
    `${target.root} holds another archive, or files that differ from this one: ${someClauses(problems)}. Nothing was copied or changed there. ` +
      'Name an empty place; if these files are of an earlier copy and of no use, remove them first',
  )
}
