import { formatDay, type EpochMs } from '../time/clock.ts'
import { fileIn, type Link } from './format.ts'
import { readChain, removedBy } from './read/chain.ts'
import type { Store } from './store/store.ts'
import { dayOf, holdsRows } from './store/path.ts'

/** The files of rows in the intact part of the chain: those that should exist, and those that were removed after they expired. */
export interface Holdings {
  readonly there: readonly Dated[]
  readonly gone: readonly Dated[]
}

export interface Dated {
  /** `2026-08-25`: the day of its rows, in UTC. */
  readonly day: string
}

/** Reads every manifest. Files outside the chain do not count and must not be removed: `archive verify` names them. */
export async function holdingsOf(store: Store, head: Link | null): Promise<Holdings> {
  const { links } = await readChain(store, await store.list(), head)
  const removed = removedBy(links)
  const there: Dated[] = []
  const gone: Dated[] = []
  for (const { manifest } of links) {
    const file = fileIn(manifest)
    if (file !== undefined) (removed.has(manifest.manifest) ? gone : there).push({ day: file.day })
  }
  return { there, gone }
}

/** The day of the oldest file, by the file names alone. */
export async function oldestDay(store: Store): Promise<string | undefined> {
  for await (const path of store.files()) if (holdsRows(path)) return dayOf(path)
  return undefined
}

/** Files of earlier days have expired. The day of the oldest row that is still kept is kept as a whole. */
export function firstKeptDay(now: EpochMs, keptMs: number): string {
  return formatDay(now - keptMs)
}
