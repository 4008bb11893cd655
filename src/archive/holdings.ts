import { formatDay, type EpochMs } from '../time/clock.ts'
import { fileIn, type Link } from './format.ts'
import { readChain, removedBy } from './read/chain.ts'
import type { Store } from './store/store.ts'
import { dayOf, holdsRows } from './store/path.ts'

/** What whole links say of files of rows: those that should be there, and those whose time had come. */
export interface Holdings {
  readonly there: readonly Dated[]
  readonly gone: readonly Dated[]
}

export interface Dated {
  /** `2026-08-25`: of its rows, in UTC. */
  readonly day: string
}

/** Reads every manifest. What is no part of the chain is nobody's to remove and counts for nothing: `archive verify` names it. */
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

/** Of which day the oldest file is, by the names alone. */
export async function oldestDay(store: Store): Promise<string | undefined> {
  for await (const path of store.files()) if (holdsRows(path)) return dayOf(path)
  return undefined
}

/** Files of earlier days have had their time. The day in which the oldest row lies that is still kept is kept as a whole. */
export function firstKeptDay(now: EpochMs, keptMs: number): string {
  return formatDay(now - keptMs)
}
