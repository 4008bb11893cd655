import type { Spared } from '../policy/spared.ts'
import { DAY, type EpochMs } from '../time/clock.ts'
import { fileIn } from './format.ts'
import { removalIn } from './pending-removal.ts'
import { pendingPaths } from './read/look.ts'
import { readChain, removedBy } from './read/chain.ts'
import type { ArchiveState } from './state.ts'
import type { Step } from './step.ts'
import { dayOf, holdsRows, type ArchivePath } from './store/path.ts'
import type { Store } from './store/store.ts'

export interface FilesBetween {
  /** Files of rows whose times meet the range, by what their manifests say. */
  readonly files: number
  /** Why there may be more. */
  readonly problems: readonly string[]
}

type Range = Pick<Spared, 'from' | 'until'>

/** The time of a row without a zone can be read in two ways where the clocks went back. */
const SLACK_MS = DAY

/** Reads manifests, and no file of rows. */
export async function filesBetween(store: Store, state: ArchiveState, range: Range): Promise<FilesBetween> {
  const pending = pendingPaths(state)
  const paths = (await store.list()).filter((path) => !pending.has(path))
  const { links, unvouched, problems } = await readChain(store, paths, state.position > 0 ? state.head : 'newest')
  const there = new Set(paths)
  const gone = removedBy(links)
  const files = [...links, ...unvouched].flatMap(({ manifest }) => {
    const file = fileIn(manifest)
    return file !== undefined && there.has(file.path) && !gone.has(manifest.manifest) ? [file] : []
  })
  const own = (state.step?.files ?? []).flatMap(({ path }) => path ?? [])
  return {
    files:
      files.filter(({ first, last }) => meets(range, Date.parse(first.time), Date.parse(last.time))).length +
      own.filter((path) => meetsDay(range, path)).length,
    problems,
  }
}

/** The files that a removal which has begun takes away, and that may hold such rows. */
export function removalsBegun(step: Step | undefined, range: Range): readonly ArchivePath[] {
  return removalIn(step).filter((path) => holdsRows(path) && meetsDay(range, path))
}

function meetsDay(range: Range, path: ArchivePath): boolean {
  const day = Date.parse(`${dayOf(path)}T00:00:00Z`)
  return meets(range, day, day + DAY)
}

/** What cannot be read as a time may be any. */
function meets({ from, until }: Range, first: EpochMs, last: EpochMs): boolean {
  return !(from !== undefined && last + SLACK_MS < from) && !(until !== undefined && first - SLACK_MS >= until)
}
