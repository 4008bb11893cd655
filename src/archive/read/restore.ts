import { createHash } from 'node:crypto'
import type { Database } from '../../database/database.ts'
import type { Restored, Restoring, StoredColumn } from '../../database/exporting.ts'
import { MaintenanceError } from '../../errors.ts'
import type { Spared, SparedRows } from '../../policy/spared.ts'
import type { Kept, RowsFile } from '../format.ts'
import { columnsOf } from '../manifest.ts'
import type { ArchiveRecord } from '../state.ts'
import type { Store } from '../store/store.ts'
import { dayOf, parsePath, positionOf } from '../store/path.ts'
import { readChain, removedBy } from './chain.ts'
import { pendingPaths } from './look.ts'
import { problemOf, readRows } from './read-rows.ts'
import { lineJudge } from './spared-lines.ts'

export interface RestoreOptions {
  readonly database: Database
  readonly record: ArchiveRecord
  readonly store: Store
  readonly restoring: Restoring
  /** What holds and rules keep: such rows are restored although they are before the cutoff, because no purge deletes them. Absent: nothing. */
  readonly spared?: SparedRows
  /** Which files to restore: paths below the archive's folder, or a range of days, both included. */
  readonly files: readonly string[]
  readonly from: string | undefined
  readonly to: string | undefined
  readonly stopping: AbortSignal
}

export interface Restoration extends Restored {
  readonly files: number
  /** Those of the inserted rows that are before the cutoff, and that a hold or a rule keeps. */
  readonly spared: number
  /** What is wrong elsewhere in the archive. If days were requested, missing files may hold some of their rows. */
  readonly elsewhere: readonly string[]
  /**
   * The newest manifest, if the database knows of no archive. Then nothing vouches for it but itself: neither that it is the newest, nor
   * what it says.
   */
  readonly unvouchedHead: string | undefined
  /** How the table that was created differs from the archived one. */
  readonly notes: readonly string[]
}

/** The most rows, and the most bytes, in one transaction. */
const MOST_ROWS = 500
const MOST_BYTES = 2 ** 20

/**
 * Inserts rows file by file, in short transactions. Rows that were restored before are not duplicated, so it can be repeated. Rejects
 * before the first row if a requested file does not verify.
 */
export async function restoreFiles(options: RestoreOptions): Promise<Restoration> {
  const { database, store, restoring, stopping } = options
  const { chosen, elsewhere, unvouchedHead } = await chosenFiles(options)
  const checked = await checkedBatches(options, chosen)
  const notes: string[] = []
  const total = { files: 0, spared: 0, inserted: 0, present: 0, conflicting: 0, expired: 0, elsewhere, unvouchedHead, notes }
  for (const [link, sums] of checked) {
    if (stopping.aborted) break
    const { file } = link
    const columns = await columnsOf(store, link)
    notes.push(...(await database.makeRestoreTable(restoring, columns)))
    const parted = partedBy(options, columns)
    const batches = inBatches(async (lines, number) => {
      // Each row must be one that was read when the file was checked, whatever happened to the file since.
      if (sums[number] !== sumOf(lines))
        throw refused(
          [`${file.path}: was altered while it was restored`],
          'rows of it that were read before were restored; choose other files',
        )
      const { spared, others } = parted(lines)
      for (const [some, into] of [
        [others, restoring],
        [spared, { ...restoring, cutoff: undefined }],
      ] as const) {
        if (some.length === 0) continue
        const restored = await database.restore(into, columns, some)
        if (some === spared) total.spared += restored.inserted
        total.inserted += restored.inserted
        total.present += restored.present
        total.conflicting += restored.conflicting
        total.expired += restored.expired
      }
    })
    await readRows(store, file, batches.add, stopping)
    await batches.end()
    total.files += 1
  }
  // Whoever is told that rows were restored may remove the archive.
  if (total.inserted > 0) await database.durable()
  return total
}

/**
 * Parts rows before the cutoff that stay from all others. A line is judged as the purge judges the row, and where it leaves a doubt, as one that goes: then the row
 * is left in the archive, where it is safe.
 */
function partedBy(
  { database, restoring: { cutoff, timeColumn }, spared = [] }: RestoreOptions,
  columns: readonly StoredColumn[],
): (lines: readonly Buffer[]) => { readonly spared: readonly Buffer[]; readonly others: readonly Buffer[] } {
  if (cutoff === undefined || spared.length === 0) return (lines) => ({ spared: [], others: lines })
  const early: Spared = { match: {}, from: undefined, until: cutoff }
  const { instantsOf } = database
  const judge = lineJudge([early, ...spared], { columns: columns.map(({ name }) => name), timeColumn, instantsOf, inDoubt: false })
  return (lines) => {
    const found = Map.groupBy(lines, (line) => {
      const [isEarly, ...isSpared] = judge(line)
      return isEarly === true && isSpared.includes(true)
    })
    return { spared: found.get(true) ?? [], others: found.get(false) ?? [] }
  }
}

/** The digests of each file's batches: the file is read a second time when its rows are restored. */
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

/** The same lines always form the same batches. */
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
  // Pending files are not part of the chain yet, because their rows may still be in the database; nor are files that were begun since.
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
    if (expired.has(found.manifest)) throw refused([`${name}: was removed after it expired`])
    return found
  })
  const isAskedFor = (day: string): boolean => (from === undefined || day >= from) && (to === undefined || day <= to)
  const chosen = files.length > 0 ? named : all.filter(({ file, manifest }) => isAskedFor(file.day) && !expired.has(manifest))
  // Problems with a requested day prevent restoring; other problems are only reported. Stray files prevent it only if there is no database
  // that knows the chain.
  const strays = [...misplaced, ...chain.strays]
  const inTheWay =
    files.length > 0
      ? []
      : [...chain.problems, ...unvouched.map(({ problem }) => problem), ...(isKnown ? [] : strays)].filter((problem) => {
          const path = parsePath(problem.slice(0, problem.indexOf(': ')), store.table)
          // If the problem is not about a file's own path, it may concern any day.
          return path === undefined || isAskedFor(dayOf(path))
        })
  if (inTheWay.length > 0) throw refused(inTheWay)
  return {
    chosen: chosen.toSorted((a, b) => a.position - b.position),
    elsewhere: files.length > 0 ? [] : [...chain.problems, ...strays],
    unvouchedHead: isKnown ? undefined : chain.links[0]?.manifest.manifest,
  }
}

const UNVOUCHED = 'a link between it and the head of the chain is missing or was altered, so nothing vouches for it'

function refused(problems: readonly string[], what = 'nothing was restored; choose other files'): MaintenanceError {
  return new MaintenanceError('ARCHIVE_DAMAGED', [...problems, `${what}, or bring these back from a backup`])
}
