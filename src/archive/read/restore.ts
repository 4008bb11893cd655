import { createHash } from 'node:crypto'
import type { Database } from '../../database/database.ts'
import type { Restored, Restoring } from '../../database/exporting.ts'
import { MaintenanceError } from '../../errors.ts'
import type { Kept, RowsFile } from '../format.ts'
import { columnsOf } from '../manifest.ts'
import type { ArchiveRecord } from '../state.ts'
import type { Store } from '../store/store.ts'
import { dayOf, parsePath, positionOf } from '../store/path.ts'
import { readChain, removedBy } from './chain.ts'
import { pendingPaths } from './look.ts'
import { problemOf, readRows } from './read-rows.ts'

export interface RestoreOptions {
  readonly database: Database
  readonly record: ArchiveRecord
  readonly store: Store
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
  /** The newest manifest, where the database knows of no archive: that it is the newest, and what it says, nothing vouches for but itself. */
  readonly unvouchedHead: string | undefined
  /** What of the table had to be made otherwise than the archive has it. */
  readonly notes: readonly string[]
}

/** So many rows, or bytes, in one transaction. */
const MOST_ROWS = 500
const MOST_BYTES = 2 ** 20

/**
 * Puts rows back, file by file, in short transactions. What was restored before is not doubled, so that it can be run again. Rejects, before the
 * first row, where a file that is asked for does not verify.
 */
export async function restoreFiles(options: RestoreOptions): Promise<Restoration> {
  const { database, store, restoring, stopping } = options
  const { chosen, elsewhere, unvouchedHead } = await chosenFiles(options)
  const checked = await checkedBatches(options, chosen)
  const notes: string[] = []
  const total = { files: 0, inserted: 0, present: 0, conflicting: 0, expired: 0, elsewhere, unvouchedHead, notes }
  for (const [link, sums] of checked) {
    if (stopping.aborted) break
    const { file } = link
    const columns = await columnsOf(store, link)
    notes.push(...(await database.makeRestoreTable(restoring, columns)))
    const batches = inBatches(async (lines, number) => {
      // Each row is one that was read when the file was checked, whatever was done to the file meanwhile.
      if (sums[number] !== sumOf(lines))
        throw refused([`${file.path}: was altered while it was restored`], 'what was read of it before was restored; choose other files')
      const restored = await database.restore(restoring, columns, lines)
      total.inserted += restored.inserted
      total.present += restored.present
      total.conflicting += restored.conflicting
      total.expired += restored.expired
    })
    await readRows(store, file, batches.add, stopping)
    await batches.end()
    total.files += 1
  }
  return total
}

/** Of each file the sums of its batches: a file is read a second time when its rows are wanted. */
async function checkedBatches(
  { store, stopping }: RestoreOptions,
  chosen: readonly WithRows[],
): Promise<ReadonlyMap<WithRows, readonly string[]>> {
  const checked = new Map<WithRows, string[]>()
  const problems: string[] = []
  for (const each of chosen) {
    const sums: string[] = []
    checked.set(each, sums)
    const batches = inBatches(async (lines) => void sums.push(sumOf(lines)))
    const problem = await problemOf(store, each.file, stopping, batches.add)
    if (problem !== undefined) problems.push(problem)
    else await batches.end()
  }
  if (problems.length > 0) throw refused(problems)
  return checked
}

/** The same lines always make the same batches. */
function inBatches(take: (lines: readonly Buffer[], number: number) => Promise<void>) {
  let lines: Buffer[] = []
  let bytes = 0
  let number = 0
  const end = async (): Promise<void> => {
    const batch = lines
    lines = []
    bytes = 0
    if (batch.length > 0) await take(batch, number++)
  }
  const add = async (line: Buffer): Promise<void> => {
    lines.push(line)
    bytes += line.length
    if (lines.length >= MOST_ROWS || bytes >= MOST_BYTES) await end()
  }
  return { add, end }
}

function sumOf(lines: readonly Buffer[]): string {
  const sum = createHash('sha256')
  for (const line of lines) sum.update(line).update('\n')
  return sum.digest('base64')
}

type WithRows = Kept & { readonly file: RowsFile; readonly sha256: string }

interface Choice {
  readonly chosen: readonly WithRows[]
  readonly elsewhere: readonly string[]
  readonly unvouchedHead: string | undefined
}

async function chosenFiles({ database, record, store, files, from, to }: RestoreOptions): Promise<Choice> {
  const { paths, problems: misplaced } = await store.inspect()
  const state = await record.load(database)
  const isKnown = state.position > 0
  // Of the pending files the rows may still be in the database: they are none of the chain yet, and neither are those that were begun since.
  const pending = pendingPaths(state)
  const settled = isKnown ? paths.filter((path) => !pending.has(path) && positionOf(path) <= state.position) : paths
  const chain = await readChain(store, settled, isKnown ? state.head : 'newest')
  const expired = removedBy(chain.links)
  const all = chain.links.flatMap(({ manifest, sha256 }): WithRows[] => (manifest.kind === 'rows' ? [{ ...manifest, sha256 }] : []))
  const unvouched = chain.unvouched.flatMap(({ manifest: kept }) =>
    kept.kind === 'rows' ? [{ manifest: kept.manifest, file: kept.file, problem: `${kept.manifest}: ${UNVOUCHED}` }] : [],
  )
  const named = files.map((name) => {
    const isNamed = (each: { readonly file: RowsFile; readonly manifest: string }): boolean =>
      each.file.path === name || each.manifest === name
    const found = all.find(isNamed)
    if (found === undefined) throw refused([`${name}: ${unvouched.some(isNamed) ? UNVOUCHED : 'is not in the chain of the archive'}`])
    if (expired.has(found.manifest)) throw refused([`${name}: was removed when its time had come`])
    return found
  })
  const isAskedFor = (day: string): boolean => (from === undefined || day >= from) && (to === undefined || day <= to)
  const chosen = files.length > 0 ? named : all.filter(({ file, manifest }) => isAskedFor(file.day) && !expired.has(manifest))
  // What is wrong with a day that is asked for is in the way; the rest is for who reads of it. So is what nobody wrote, unless there is no database to tell.
  const strays = [...misplaced, ...chain.strays]
  const inTheWay =
    files.length > 0
      ? []
      : [...chain.problems, ...unvouched.map(({ problem }) => problem), ...(isKnown ? [] : strays)].filter((problem) => {
          const path = parsePath(problem.slice(0, problem.indexOf(': ')), store.table)
          // What is named by no place of a file may be of any day.
          return path === undefined || isAskedFor(dayOf(path))
        })
  if (inTheWay.length > 0) throw refused(inTheWay)
  return {
    chosen: chosen.toSorted((a, b) => a.position - b.position),
    elsewhere: files.length > 0 ? [] : [...chain.problems, ...strays],
    unvouchedHead: isKnown ? undefined : chain.links[0]?.manifest.manifest,
  }
}

const UNVOUCHED = 'what leads to it in the chain is missing or was altered, so that nothing vouches for it'

function refused(problems: readonly string[], what = 'nothing was restored; choose other files'): MaintenanceError {
  return new MaintenanceError('ARCHIVE_DAMAGED', [...problems, `${what}, or bring these back from a backup`])
}
