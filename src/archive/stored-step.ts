import { isLonger, textUpTo } from '../database/stored-values.ts'
import { damaged } from './damage.ts'
import type { Growth, Step, StepFile } from './step.ts'
import { archivePath, holdsRows, rowsOf, type ArchivePath } from './store/path.ts'
import { isDrafts } from './write/draft-names.ts'

/** Far above what a part or a step ever has. */
const MOST_ROWS = 2 ** 24
const MOST_FILES = 2 ** 18

/**
 * Longer texts are neither read nor written. The step of a run names hundreds of files at most, at some 250 bytes each; a reconciliation
 * names each file that it takes in twice, so more than 80,000 fit. The list of deleted rows is short as long as rows are deleted in the
 * order of their file.
 */
export const MOST_STEP_BYTES = 8 * 2 ** 20
const MOST_HEAD_BYTES = 512

const BOUNDS = { head: MOST_HEAD_BYTES, head_file: MOST_HEAD_BYTES, step: MOST_STEP_BYTES, removed: MOST_STEP_BYTES }
export type ArchiveText = keyof typeof BOUNDS

/** SQL for both engines: these columns of `maintenance_archives`, with the flags that `refuseLong` checks. */
export function archiveTexts(columns: readonly ArchiveText[]): string {
  return columns
    .flatMap((name) => [`${textUpTo(name, BOUNDS[name])} AS ${name}`, `${isLonger(name, BOUNDS[name])} AS long_${name}`])
    .join(', ')
}

/** Call this before using anything else of the row. */
export function refuseLong(row: object, columns: readonly ArchiveText[]): void {
  const flags = new Map<string, unknown>(Object.entries(row))
  for (const name of columns) {
    if (flags.get(`long_${name}`) !== 0)
      throw damaged(
        `maintenance_archives.${name} is longer than the ${BOUNDS[name]} bytes that a run writes at most; it was not read, and no file was touched`,
      )
  }
}

/** Parses `maintenance_archives.step`, which anybody who may write to the table may have written. */
export function parseStep(text: string, table: string): Step {
  const given = parsed(text)
  const { run, drafts = '', newestAt } = given
  if (!isCount(run) || !(newestAt === null || Number.isSafeInteger(newestAt))) throw notAStep('run or newestAt')
  if (!isDrafts(drafts)) throw notAStep('drafts')
  const files = list(given['files'], 'files').map((each) => fileOf(each, table))
  if (files.reduce((sum, { rows }) => sum + rows, 0) > MOST_ROWS) throw notAStep('files')
  const obsolete = list(given['obsolete'], 'obsolete').map((each) => archivePath(each, table, 'obsolete in maintenance_archives.step'))
  const { joined, setAside } = given['reconciled'] === undefined ? {} : fields(given['reconciled'], 'reconciled')
  const placesIn = (places: unknown): readonly ArchivePath[] =>
    list(places, 'reconciled').map((each) => archivePath(each, table, 'reconciled in maintenance_archives.step'))
  const reconciled = given['reconciled'] === undefined ? {} : { reconciled: { joined: placesIn(joined), setAside: placesIn(setAside) } }
  const successors =
    given['successors'] === undefined
      ? {}
      : {
          successors: list(given['successors'], 'successors').map((each) =>
            archivePath(each, table, 'successors in maintenance_archives.step'),
          ),
        }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is one of the two
  return {
    run,
    drafts,
    files,
    obsolete,
    ...reconciled,
    ...successors,
    growth: growthOf(given['growth']),
    newestAt: newestAt as number | null,
  }
}

function fileOf(each: unknown, table: string): StepFile {
  const { manifest, sha256, path, rows } = fields(each, 'files')
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256) || !isCount(rows)) throw notAStep('files')
  const file = { manifest: placed(manifest, table, false), sha256, rows }
  if (path === undefined) return file
  const rowsPath = placed(path, table, true)
  if (rowsPath !== rowsOf(file.manifest)) throw notAStep('files')
  return { ...file, path: rowsPath }
}

function placed(text: unknown, table: string, isOfRows: boolean): ArchivePath {
  const path = archivePath(text, table, 'files in maintenance_archives.step')
  if (holdsRows(path) !== isOfRows) throw notAStep('files')
  return path
}

function growthOf(given: unknown): Growth {
  const { rows, bytes, files } = fields(given, 'growth')
  if (![rows, bytes, files].every((each) => Number.isSafeInteger(each))) throw notAStep('growth')
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- they are whole numbers
  return { rows, bytes, files } as Growth
}

function parsed(text: string): Fields {
  try {
    return fields(JSON.parse(text), 'all of it')
  } catch {
    throw notAStep('all of it')
  }
}

type Fields = Readonly<Record<string, unknown>>

function fields(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null) throw notAStep(what)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is an object
  return value as Fields
}

function list(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length > MOST_FILES) throw notAStep(what)
  return value
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function notAStep(what: string): Error {
  return damaged(`maintenance_archives.step is not what a run writes (${what}); no file was touched`)
}
