import type { Hold } from '../policy/holds.ts'
import { DAY, type EpochMs } from '../time/clock.ts'
import type { Archive } from './archive.ts'
import { damaged } from './damage.ts'
import { fileIn, MOST_LINKS, type KeptFile, type Link, type RowsFile } from './format.ts'
import type { Counted, HeldFiles } from './held-files.ts'
import { lateFileStaysUntil } from './late-files.ts'
import { columnsOf, parseManifest } from './manifest.ts'
import { readChain, removedBy } from './read/chain.ts'
import { alterationOf, problemOf } from './read/read-rows.ts'
import { lineJudge } from './read/spared-lines.ts'
import { dayOf, holdsRows, manifestOf, type ArchivePath } from './store/path.ts'
import type { Store } from './store/store.ts'

export interface Expired {
  readonly link: Link
  readonly file: RowsFile
}

export interface Choice {
  /** To be removed, oldest first; at most as many as one manifest names. */
  readonly removed: readonly Expired[]
  /** Expired as well, and kept by holds. */
  readonly kept: readonly KeptFile[]
  readonly chain: readonly { readonly manifest: KeptLink }[]
}

type KeptLink = Awaited<ReturnType<typeof readChain>>['links'][number]['manifest']

export interface Choosing {
  readonly archive: Archive
  /** Those in force. */
  readonly holds: readonly Hold[]
  /** What is known of them. */
  readonly held: HeldFiles
  /** Files of earlier days have expired. */
  readonly before: string
  /** See `lateFileStaysUntil`. */
  readonly lateKeptMs: number | undefined
}

const NOTHING: Choice = { removed: [], kept: [], chain: [] }

/**
 * Which expired files go. A file of which a hold keeps a row stays whole. Files that are known to stay cost no more than their names, so that a night on which
 * nothing goes reads no chain. Rejects if it cannot be told whether a file is held.
 */
export async function chooseExpired(choosing: Choosing): Promise<Choice> {
  const { archive, holds, held, before } = choosing
  const { store, record, options } = archive
  const names = await expiredNames(store, before)
  await forgetGone(choosing, new Set(names))
  const unsettled: ArchivePath[] = []
  for (const path of names) if (held.keeping(holds, path).length === 0 && !(await staysAsLate(choosing, path))) unsettled.push(path)
  if (unsettled.length === 0) return NOTHING

  const { head } = await record.load(options.database)
  const { links } = await readChain(store, await store.list(), head)
  const gone = removedBy(links)
  const removed: Expired[] = []
  const kept: KeptFile[] = []
  const counting = new Counting(choosing)
  for (const { manifest: link, sha256: sum } of links.toReversed()) {
    if (removed.length === MOST_LINKS || options.stopping.aborted) break
    const file = fileIn(link)
    if (file === undefined || file.day >= before || gone.has(link.manifest)) continue
    let keeping = held.keeping(holds, file.path)
    if (keeping.length === 0) {
      if (isLate(choosing, { ...file, written: link.written }) || !(await store.exists(file.path))) continue
      const problem = await alterationOf(store, file)
      if (problem !== undefined)
        throw damaged(
          `${store.absolute(problem)}; it has expired, but was not removed`,
          undefined,
          'Expired rows were deleted all the same',
        )
      keeping = await counting.keeping({ manifest: link.manifest, sha256: sum }, file)
      if (keeping.length === 0) removed.push({ link: { manifest: link.manifest, sha256: sum }, file })
    }
    if (keeping.length > 0) kept.push({ manifest: link.manifest, holds: keeping.map(({ name }) => name) })
  }
  await counting.end()
  return { removed, kept, chain: links }
}

/** The files of rows of earlier days, by their names alone. */
async function expiredNames(store: Store, before: string): Promise<readonly ArchivePath[]> {
  const names: ArchivePath[] = []
  for await (const path of store.files()) {
    if (dayOf(path) >= before) break
    if (holdsRows(path)) names.push(path)
  }
  return names
}

/** Of an archive that was begun anew, no name may mean a file of the one before. */
async function forgetGone({ archive, held }: Choosing, names: ReadonlySet<ArchivePath>): Promise<void> {
  const gone: ArchivePath[] = []
  for (const path of held.paths()) if (!names.has(path) && !(await archive.store.exists(path))) gone.push(path)
  for (let from = 0; from < gone.length; from += MOST_AT_ONCE)
    await archive.options.underLease((tx) => held.forget(tx, gone.slice(from, from + MOST_AT_ONCE)))
}

/** By its own manifest, whether or not that is in the chain: what is wrong with it shows once its time has come. */
async function staysAsLate(choosing: Choosing, path: ArchivePath): Promise<boolean> {
  const bytes = await choosing.archive.store.read(manifestOf(path))
  const manifest = bytes === undefined ? undefined : parseManifest(bytes, manifestOf(path))
  return manifest?.kind === 'rows' && isLate(choosing, { ...manifest.file, written: manifest.written })
}

function isLate({ archive, lateKeptMs }: Choosing, aged: Parameters<typeof lateFileStaysUntil>[0]): boolean {
  const until = lateFileStaysUntil(aged, lateKeptMs)
  return until !== undefined && archive.options.now < until
}

/** Rows that are written down in one transaction: the lease's row is locked meanwhile. */
const MOST_AT_ONCE = 50

/** Reads files for the rows that holds keep, and writes down how many there are. */
class Counting {
  readonly #choosing: Choosing
  #counted: Counted[] = []

  constructor(choosing: Choosing) {
    this.#choosing = choosing
  }

  /** The holds that keep rows of a file. */
  async keeping(link: Link, file: RowsFile): Promise<readonly Hold[]> {
    const { holds, held } = this.#choosing
    const unknown = holds.filter((hold) => held.rowsOf(hold, file.path) === undefined && mayMeet(hold, file))
    if (unknown.length === 0) return []
    const counts = await this.#count(unknown, link, file)
    this.#counted.push(...unknown.map(({ id }, index) => ({ hold: id, path: file.path, rows: counts[index]! })))
    if (this.#counted.length >= MOST_AT_ONCE) await this.end()
    return unknown.filter((_, index) => counts[index]! > 0)
  }

  async end(): Promise<void> {
    const counted = this.#counted
    this.#counted = []
    const { archive, held } = this.#choosing
    if (counted.length > 0) await archive.options.underLease((tx) => held.note(tx, counted))
  }

  async #count(holds: readonly Hold[], link: Link, file: RowsFile): Promise<readonly number[]> {
    const { store, source, options } = this.#choosing.archive
    const columns = (await columnsOf(store, link)).map(({ name }) => name)
    const { instantsOf } = options.database
    const judge = lineJudge(
      holds.map(({ spared }) => spared),
      { columns, timeColumn: source.timeColumn, instantsOf, inDoubt: true },
    )
    const counts = holds.map(() => 0)
    let unread: unknown
    const problem = await problemOf(store, file, undefined, (line) => {
      if (unread !== undefined) return
      try {
        for (const [index, isSpared] of judge(line).entries()) if (isSpared) counts[index]! += 1
      } catch (error) {
        unread = error
      }
    })
    if (problem !== undefined || unread !== undefined)
      throw damaged(
        `${store.absolute(problem ?? `${file.path}: has a line that is no row`)}; it has expired, and whether a hold keeps rows of it cannot be told, so no file was removed`,
        unread,
        'Expired rows were deleted all the same',
      )
    return counts
  }
}

/** The times in a manifest were read in the zone of their time, and a zone moves a reading by at most 26 hours. */
const SLACK_MS = 2 * DAY

/** Whether a hold may keep rows of a file, by the times of its first and last row. */
export function mayMeet({ spared: { from, until } }: Hold, { first, last }: RowsFile): boolean {
  const [begin, end]: readonly EpochMs[] = [Date.parse(first.time), Date.parse(last.time)]
  // A time that cannot be read may be any.
  return !(end! + SLACK_MS < (from ?? -Infinity)) && !(begin! - SLACK_MS >= (until ?? Infinity))
}
