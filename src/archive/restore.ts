import type { Database, Restored, Restoring } from '../database/database.ts'
import { MaintenanceError } from '../errors.ts'
import { readChain } from './chain.ts'
import type { ArchiveFolder } from './folder.ts'
import type { Manifest, RowsFile } from './format.ts'
import { pathsInHand } from './look.ts'
import { dayOf, parsePath, positionOf } from './path.ts'
import { problemOf, readRows } from './read-rows.ts'
import type { ArchiveRecord } from './state.ts'

export interface RestoreOptions {
  readonly database: Database
  readonly record: ArchiveRecord
  readonly folder: ArchiveFolder
  readonly restoring: Restoring
  /** Which files; a path below the archive's folder, or the days, both included. */
  readonly files: readonly string[]
  readonly from: string | undefined
  readonly to: string | undefined
  readonly stopping: AbortSignal
}

export interface Restoration extends Restored {
  readonly files: number
  /** What is wrong elsewhere in the archive: where days were asked for, some of their rows may be in what is missing. */
  readonly elsewhere: readonly string[]
}

/** So many rows, or bytes, in one transaction. */
const MOST_ROWS = 500
const MOST_BYTES = 2 ** 20

/**
 * Puts rows back, file by file, in short transactions. What was restored before is not doubled, so that it can be run again. Rejects, before the
 * first row, where a file that is asked for does not verify.
 */
export async function restoreFiles(options: RestoreOptions): Promise<Restoration> {
  const { database, folder, restoring } = options
  const { chosen, elsewhere } = await chosenFiles(options)
  const problems: string[] = []
  for (const { file } of chosen) {
    const problem = await problemOf(folder, file)
    if (problem !== undefined) problems.push(problem)
  }
  if (problems.length > 0) throw refused(problems)

  const total = { files: 0, inserted: 0, present: 0, conflicting: 0, expired: 0, elsewhere }
  for (const { file } of chosen) {
    if (options.stopping.aborted) break
    await database.makeRestoreTable(restoring, file.columns)
    let lines: string[] = []
    let bytes = 0
    const flush = async (): Promise<void> => {
      const batch = lines
      lines = []
      bytes = 0
      if (batch.length === 0) return
      const restored = await database.transaction((tx) => database.restore(tx, restoring, file.columns, batch))
      total.inserted += restored.inserted
      total.present += restored.present
      total.conflicting += restored.conflicting
      total.expired += restored.expired
    }
    await readRows(folder, file, async (line) => {
      lines.push(line)
      bytes += line.length
      if (lines.length >= MOST_ROWS || bytes >= MOST_BYTES) await flush()
    })
    await flush()
    total.files += 1
  }
  return total
}

type WithRows = Manifest & { readonly file: RowsFile }

interface Choice {
  readonly chosen: readonly WithRows[]
  readonly elsewhere: readonly string[]
}

async function chosenFiles({ database, record, folder, files, from, to }: RestoreOptions): Promise<Choice> {
  const paths = await folder.list()
  const state = await record.load(database)
  // Of the files in hand the rows may still be in the database: they are none of the chain yet, and neither are those that were begun since.
  const inHand = pathsInHand(state)
  const settled = paths.filter((path) => !inHand.has(path) && positionOf(path) <= state.position)
  const { links, problems } = await readChain(folder, settled, state.head)
  const expired = new Set(links.flatMap(({ manifest }) => manifest.removed ?? []).map((link) => link.manifest))
  const all = links.map(({ manifest }) => manifest).filter((manifest): manifest is WithRows => manifest.file !== undefined)
  const named = files.map((name) => {
    const found = all.find(({ file, manifest }) => file.path === name || manifest === name)
    if (found === undefined) throw refused([`${name}: is not in the chain of the archive`])
    if (expired.has(found.manifest)) throw refused([`${name}: was removed when its time had come`])
    return found
  })
  const isAskedFor = (day: string): boolean => (from === undefined || day >= from) && (to === undefined || day <= to)
  // What is named by no place of a file may be of any day.
  const isAskedForAt = (problem: string): boolean => {
    const path = parsePath(problem.slice(0, problem.indexOf(': ')), folder.table)
    return path === undefined || isAskedFor(dayOf(path))
  }
  const chosen = files.length > 0 ? named : all.filter(({ file, manifest }) => isAskedFor(file.day) && !expired.has(manifest))
  // What is wrong with a file that is asked for, with its manifest, or with a day that is asked for, is in the way; the rest is for who reads of it.
  const inTheWay = problems.filter((problem) =>
    files.length > 0 ? named.some(({ manifest }) => problem.startsWith(`${manifest}:`)) : isAskedForAt(problem),
  )
  if (inTheWay.length > 0) throw refused(inTheWay)
  return { chosen: chosen.toSorted((a, b) => a.position - b.position), elsewhere: files.length > 0 ? [] : problems }
}

function refused(problems: readonly string[]): MaintenanceError {
  return new MaintenanceError(
    'ARCHIVE_DAMAGED',
    [...problems, 'nothing was restored; choose other files, or bring these back from a backup'].join('\n'),
  )
}
