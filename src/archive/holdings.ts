import type { Query } from '../database/query.ts'
import type { Hold } from '../policy/holds.ts'
import { DAY, formatDay, type EpochMs } from '../time/clock.ts'
import { fileIn, type Link } from './format.ts'
import type { HeldFiles } from './held-files.ts'
import { lateFileStaysUntil, type Aged } from './late-files.ts'
import { readChain, removedBy } from './read/chain.ts'
import type { Store } from './store/store.ts'
import { dayOf, holdsRows, type ArchivePath } from './store/path.ts'

/** The files of rows in the intact part of the chain: those that should exist, and those that were removed after they expired. */
export interface Holdings {
  readonly there: readonly Dated[]
  readonly gone: readonly Dated[]
}

export interface Dated extends Aged {
  readonly path: ArchivePath
}

/** Whether a file stays although its retention is over: a hold is known to keep rows of it, or it came late. Nothing is read for it. */
export type Stays = (file: Dated) => boolean

/**
 * What is known to stay. A file that nobody has read for a hold does not count: then too much looks as if it went, and a run stops rather than goes on. Reading
 * all of an archive before a run would cost more than that is worth.
 */
export async function knownToStay(
  query: Query,
  {
    now,
    holds,
    held,
    lateKeptMs,
  }: { readonly now: EpochMs; readonly holds: readonly Hold[]; readonly held: HeldFiles; readonly lateKeptMs?: number | undefined },
): Promise<Stays> {
  await held.load(query, holds)
  return (file) => held.keeping(holds, file.path).length > 0 || now < (lateFileStaysUntil(file, lateKeptMs) ?? -Infinity)
}

/** Reads every manifest. Files outside the chain do not count and must not be removed: `archive verify` names them. */
export async function holdingsOf(store: Store, head: Link | null): Promise<Holdings> {
  const { links } = await readChain(store, await store.list(), head)
  const removed = removedBy(links)
  const there: Dated[] = []
  const gone: Dated[] = []
  for (const { manifest } of links) {
    const file = fileIn(manifest)
    if (file === undefined) continue
    const { path, day, cutoff } = file
    const list = removed.has(manifest.manifest) ? gone : there
    list.push({ path, day, cutoff, written: manifest.written })
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

/** From when on the file of a day has expired: the inverse of `firstKeptDay`. */
export function fileExpiresAt(day: string, keptMs: number): EpochMs {
  return Date.parse(`${day}T00:00:00.000Z`) + DAY + keptMs
}
