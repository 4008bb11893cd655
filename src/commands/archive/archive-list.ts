import { readSummary } from '../../archive/archive-summary.ts'
import { mayMeet } from '../../archive/expired-files.ts'
import type { RowsFile } from '../../archive/format.ts'
import { HeldFiles } from '../../archive/held-files.ts'
import { readChain } from '../../archive/read/chain.ts'
import { ARCHIVES } from '../../archive/tables.ts'
import type { Job } from '../../catalogue.ts'
import type { Database } from '../../database/database.ts'
import type { ExitCode } from '../../errors.ts'
import { countText, counted, sizeText } from '../../number-text.ts'
import { jsonDocument, visible } from '../../observe/control-characters.ts'
import type { Program } from '../../program.ts'
import { readingHolds } from '../../runs/archive-run.ts'
import { mayHaveHolds } from '../../runs/holds-in-force.ts'
import { styleOf } from '../../terminal/style.ts'
import { tableText, type Column } from '../../terminal/table.ts'
import type { OpenedArchive } from './open-archive.ts'

/** Lists the files of the chain that exist, oldest first. What is wrong with them is for `archive verify` to report. */
export async function listArchive(
  { host, events, database }: Program,
  { job, store, record }: OpenedArchive,
  { json }: { readonly json: boolean },
): Promise<ExitCode> {
  const paths = await store.list()
  const { head, position } = await record.load(database)
  const { links } = await readChain(store, paths, position > 0 ? head : 'newest')
  const holdsOn = await holdsOnFiles(database, job)
  const files = links
    .flatMap(({ manifest }) =>
      manifest.kind === 'rows' && paths.includes(manifest.file.path)
        ? [{ ...manifest.file, run: manifest.run, written: manifest.written, holds: holdsOn(manifest.file) }]
        : [],
    )
    .toReversed()
  if (json) host.write(jsonDocument({ directory: store.root, files }))
  else {
    if (files.length > 0) host.print(`${tableText(COLUMNS, files.map(cellsOf), styleOf(host))}\n`)
    const all = `${counted(files.length, 'file')}, ${counted(sum(files, 'rows'), 'row')}, ${sizeText(sum(files, 'fileBytes'))}`
    host.print(`${all} in ${visible(store.root)}\n`)
  }
  const { files: known } = await readSummary(database, database.named(ARCHIVES), job.table)
  if (known !== files.length)
    events.warning(
      `the database has recorded ${counted(known, 'file')}, but ${countText(files.length)} are listed. Run archive verify to see what is wrong`,
    )
  return 0
}

/** The column of files is never shortened: a shortened name would name no file. */
const COLUMNS: readonly Column[] = [
  { title: 'file' },
  { title: 'rows', align: 'right', dispensable: 1 },
  { title: 'size', align: 'right', dispensable: 2 },
  { title: 'first row', dispensable: 3 },
  { title: 'last row', dispensable: 4 },
  { title: 'holds', dispensable: 5 },
]

function cellsOf({ path, rows, fileBytes, first, last, holds }: RowsFile & { readonly holds: readonly HoldOnFile[] }): string[] {
  return [path, countText(rows), sizeText(fileBytes), first.time, last.time, holds.map(holdText).join(', ')]
}

function holdText({ name, rows }: HoldOnFile): string {
  return `${visible(name)} (${rows === null ? 'rows not counted yet' : counted(rows, 'row')})`
}

/** A hold that keeps rows of a file. `null`: they are counted when the file's time has come; until then it may keep some, by the times in the file. */
interface HoldOnFile {
  readonly name: string
  readonly rows: number | null
}

async function holdsOnFiles(database: Database, job: Job): Promise<(file: RowsFile) => readonly HoldOnFile[]> {
  if (!(await mayHaveHolds(database, job))) return () => []
  const holds = await readingHolds(database, job, 'The files were not listed')(database)
  const held = new HeldFiles((name) => database.named(name), job.table)
  await held.load(database, holds)
  return (file) =>
    holds
      .filter((hold) => mayMeet(hold, file))
      .map((hold) => ({ name: hold.name, rows: held.rowsOf(hold, file.path) ?? null }))
      .filter(({ rows }) => rows !== 0)
}

function sum(files: readonly RowsFile[], count: 'rows' | 'fileBytes'): number {
  return files.reduce((total, file) => total + file[count], 0)
}
