import { readSummary } from '../../archive/archive-summary.ts'
import type { RowsFile } from '../../archive/format.ts'
import { readChain } from '../../archive/read/chain.ts'
import { ARCHIVES } from '../../archive/state.ts'
import type { ExitCode } from '../../errors.ts'
import { jsonDocument, visible } from '../../observe/control-characters.ts'
import type { Program } from '../../program.ts'
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
  const files = links
    .flatMap(({ manifest }) =>
      manifest.kind === 'rows' && paths.includes(manifest.file.path)
        ? [{ ...manifest.file, run: manifest.run, written: manifest.written }]
        : [],
    )
    .toReversed()
  if (json) host.print(jsonDocument({ directory: store.root, files }))
  else {
    const names = files.map((file) => visible(file.path))
    const width = Math.max(0, ...names.map((path) => path.length))
    for (const [at, file] of files.entries())
      host.print(
        `${names[at]!.padEnd(width)}  ${String(file.rows).padStart(8)} rows  ${String(file.fileBytes).padStart(10)} bytes  ${visible(spanOf(file))}\n`,
      )
    host.print(`${files.length} files, ${sum(files, 'rows')} rows, ${sum(files, 'fileBytes')} bytes in ${visible(store.root)}\n`)
  }
  const { files: known } = await readSummary(database, database.named(ARCHIVES), job.table)
  if (known !== files.length)
    events.warning(`the database has recorded ${known} files, but ${files.length} are listed. Run archive verify to see what is wrong`)
  return 0
}

function spanOf({ first, last }: RowsFile): string {
  return `${first.time} to ${last.time}`
}

function sum(files: readonly RowsFile[], count: 'rows' | 'fileBytes'): number {
  return files.reduce((total, file) => total + file[count], 0)
}
