import type { Archivable } from '../../database/exporting.ts'
import type { Query } from '../../database/query.ts'
import type { Hold } from '../../policy/holds.ts'
import type { EpochMs } from '../../time/clock.ts'
import { mayMeet } from '../expired-files.ts'
import { fileExpiresAt } from '../holdings.ts'
import { lateFileStaysUntil } from '../late-files.ts'
import { columnsOf } from '../manifest.ts'
import type { ArchiveRecord } from '../state.ts'
import type { ArchivePath } from '../store/path.ts'
import type { Store } from '../store/store.ts'
import { columnsIn, rowOf, textsOf } from './line-values.ts'
import { look, type WrittenFile } from './look.ts'
import { problemOf } from './read-rows.ts'
import { lineJudge } from './spared-lines.ts'

export interface SearchOptions {
  readonly database: Query & Pick<Archivable, 'instantsOf'>
  readonly record: ArchiveRecord
  readonly store: Store
  readonly timeColumn: string
  /** A row is found if one of them holds exactly this text; at most as long as a pattern. */
  readonly columns: readonly string[]
  readonly text: string
  /** Those in force. */
  readonly holds: readonly Hold[]
  /** The archive's retention; `undefined`: for ever. */
  readonly keptMs: number | undefined
  readonly stopping: AbortSignal
}

export interface Search {
  /** Those with such rows, the oldest first. */
  readonly files: readonly FoundFile[]
  /** How many were read. */
  readonly filesRead: number
  /** What could not be read, or is not what it should be: rows may have been missed. Each begins with a path. */
  readonly problems: readonly string[]
}

export interface FoundFile {
  readonly path: ArchivePath
  readonly rows: number
  /** The time of the earliest and of the latest of these rows; `undefined`: none of them has one. */
  readonly times: { readonly first: EpochMs; readonly last: EpochMs } | undefined
  /** From then on a run removes the file, unless holds keep it; `undefined`: files are kept for ever. */
  readonly expiresAt: EpochMs | undefined
  /** The holds that keep a row of the file, whoever's it is: the file stays as a whole. */
  readonly heldBy: readonly Held[]
}

export interface Held {
  readonly hold: Hold
  /** How many of the rows that were found it keeps. */
  readonly rows: number
}

/**
 * Reads every file, line by line. A run may be working on the archive: files that it adds meanwhile are read, too, and those that it removes are left out.
 */
export async function search(options: SearchOptions): Promise<Search> {
  const read = new Map<ArchivePath, FoundFile | string>()
  for (;;) {
    const seen = await look(options)
    const unread = seen.files.filter(({ path }) => !read.has(path))
    if (unread.length === 0) {
      const there = new Set(seen.files.map(({ path }) => path))
      const found = [...read].filter(([path]) => there.has(path)).map(([, each]) => each)
      const files = found.filter((each) => typeof each !== 'string')
      const damaged = found.filter((each) => typeof each === 'string')
      const unvouched = seen.unvouched.map(
        ({ path }) => `${path}: was not read, because a link between it and the head of the chain is missing or was altered`,
      )
      // Rows of a pending step are deleted little by little while its files wait.
      const pending = (seen.state.removed ?? '') === '' ? [] : (seen.state.step?.files ?? []).flatMap(({ path }) => path ?? [])
      return {
        files: files.filter(({ rows }) => rows > 0).toSorted((a, b) => (a.path < b.path ? -1 : 1)),
        filesRead: files.length,
        problems: [
          ...new Set([
            ...seen.problems,
            ...damaged,
            ...unvouched,
            ...pending.map((path) => `${path}: was not read, because the run that wrote it is still working or was interrupted`),
          ]),
        ].toSorted(),
      }
    }
    for (const file of unread) read.set(file.path, await readFile(options, file))
  }
}

/** A text: what is wrong with the file. */
async function readFile(options: SearchOptions, file: WrittenFile): Promise<FoundFile | string> {
  const { store, stopping, holds, timeColumn, keptMs, text } = options
  const { instantsOf } = options.database
  const columns = (await columnsOf(store, file.link)).map(({ name }) => name)
  const columnOf = columnsIn(columns)
  const own = options.columns.flatMap((name) => columnOf(name) ?? [])
  if (own.length === 0)
    return `${file.path}: was not read, because its rows have no column ${options.columns.map((name) => JSON.stringify(name)).join(' or ')}`
  const time = columnOf(timeColumn) ?? timeColumn
  const meeting = holds.filter((hold) => mayMeet(hold, file))
  const judge = lineJudge(
    meeting.map(({ spared }) => spared),
    { columns, timeColumn, instantsOf, inDoubt: true },
  )
  const keeping = meeting.map(() => ({ any: false, rows: 0 }))
  let rows = 0
  let times: FoundFile['times']
  let unread = false
  const problem = await problemOf(store, file, stopping, (line) => {
    if (unread) return
    try {
      const row = rowOf(line)
      const isFound = own.some((column) => {
        const texts = textsOf(row, column)
        return texts !== 'unclear' && texts.includes(text)
      })
      if (isFound) {
        rows += 1
        const instants = instantsOf(row.values[time])
        const at = instants.length === 0 ? undefined : Math.max(...instants)
        if (at !== undefined) times = { first: Math.min(times?.first ?? at, at), last: Math.max(times?.last ?? at, at) }
      }
      if (meeting.length === 0) return
      for (const [index, isKept] of judge(line).entries()) {
        if (!isKept) continue
        keeping[index]!.any = true
        if (isFound) keeping[index]!.rows += 1
      }
    } catch {
      unread = true
    }
  })
  if (problem !== undefined) return problem
  if (unread) return `${file.path}: has a line that is no row`
  return {
    path: file.path,
    rows,
    times,
    expiresAt: keptMs === undefined ? undefined : Math.max(fileExpiresAt(file.day, keptMs), lateFileStaysUntil(file) ?? -Infinity),
    heldBy: meeting.flatMap((hold, index) => (keeping[index]!.any ? [{ hold, rows: keeping[index]!.rows }] : [])),
  }
}
