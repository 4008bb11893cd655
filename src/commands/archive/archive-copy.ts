import { locationOf } from '../../archive/archive-location.ts'
import { mustBeApart } from '../../archive/copy/apart.ts'
import { copyArchive } from '../../archive/copy/copy.ts'
import type { RowsFile } from '../../archive/format.ts'
import { look } from '../../archive/read/look.ts'
import { bytesIn } from '../../archive/read/verify.ts'
import { storeAt } from '../../archive/store/store-at.ts'
import { draftsOf } from '../../archive/write/draft-names.ts'
import type { ExitCode } from '../../errors.ts'
import { counted, countText } from '../../number-text.ts'
import { jsonDocument, visible } from '../../observe/control-characters.ts'
import { archivePlaceOf, archivePlanOf, type Program } from '../../program.ts'
import type { OpenedArchive } from './open-archive.ts'

/** Copies the archive to another place. The one that runs write to stays the same. */
export async function copyArchiveTo(
  program: Program,
  { job, store: source, record, discarded }: OpenedArchive,
  { to, json }: { readonly to: string; readonly json: boolean },
): Promise<ExitCode> {
  const { host, database, events, shutdown } = program
  const place = archivePlaceOf(program, locationOf(to))
  await mustBeApart(archivePlanOf(program), place)
  const target = storeAt(place, job.table, shutdown.stopping)
  const warning = await target.warning()
  if (warning !== undefined) events.warning(warning)
  // On standard error, because the answer is for standard output.
  const tell = (what: string, files: readonly RowsFile[]): void => {
    if (files.length > 0)
      host.printError(`${what} ${counted(files.length, 'file')}, ${counted(bytesIn(files), 'byte')}, in ${visible(target.root)}.\n`)
  }
  const { chain, files, bytes, removed, pending } = await copyArchive({
    source,
    target,
    spool: target.spool(`copy-${await draftsOf(database)}`),
    look: () => look({ database, record, store: source, discarded }),
    reading: (already) => tell('Reading', already),
    copying: (missing) => tell('Writing and reading back', missing),
    stopping: shutdown.stopping,
  })
  for (const note of target.takeNotes()) events.warning(note)
  const all = [...chain.files.values()]
  const rows = all.reduce((sum, file) => sum + file.rows, 0)
  const newest = chain.head.manifest
  if (json)
    host.write(
      jsonDocument({
        from: source.root,
        to: target.root,
        copied: files,
        bytesCopied: bytes,
        removed,
        files: all.length,
        rows,
        bytes: bytesIn(all),
        newest,
        inHand: pending,
      }),
    )
  else {
    const gone = removed === 0 ? '' : `; ${countText(removed)} that had expired ${removed === 1 ? 'was' : 'were'} removed there`
    host.print(
      `${counted(files, 'file')} copied, ${counted(bytes, 'byte')}${gone}. ${visible(target.root)} holds ${counted(all.length, 'file')}, ` +
        `${counted(rows, 'row')}, ${counted(bytesIn(all), 'byte')}, up to ${newest}: all were read there, and the chain is whole\n`,
    )
  }
  if (pending > 0)
    events.warning(
      `${counted(pending, 'file')} in ${source.root} ${pending === 1 ? 'is' : 'are'} pending and not copied: a run is working, or was interrupted. ` +
        'Before you set ARCHIVE_DIRECTORY to the copy, let a run end, stop the worker, and copy again',
    )
  return 0
}
