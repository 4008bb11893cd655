import { locationOf } from '../../archive/archive-location.ts'
import { mustBeApart } from '../../archive/copy/apart.ts'
import { ArchiveCopy } from '../../archive/copy/copy.ts'
import { switchArchive } from '../../archive/copy/switch.ts'
import { DiscardedFiles } from '../../archive/discarded-files.ts'
import type { RowsFile } from '../../archive/format.ts'
import { look } from '../../archive/read/look.ts'
import { bytesIn } from '../../archive/read/verify.ts'
import type { ArchivePath } from '../../archive/store/path.ts'
import { storeAt } from '../../archive/store/store-at.ts'
import { DISCARDED, PLACES } from '../../archive/tables.ts'
import { draftsOf } from '../../archive/write/draft-names.ts'
import { MaintenanceError, type ExitCode } from '../../errors.ts'
import { counted, countText } from '../../number-text.ts'
import { jsonDocument, visible } from '../../observe/control-characters.ts'
import { archivePlaceOf, archivePlanOf, type Program } from '../../program.ts'
import { MINUTE } from '../../time/clock.ts'
import type { OpenedArchive } from './open-archive.ts'
import { archiveOf, underLease } from './under-lease.ts'

/** For so long a switch waits for a run to end. */
const MOST_WAIT_MS = 15 * MINUTE

/** Copies the archive to another place. `switches`: runs write there from then on, and workers whose settings name the place before stop. */
export async function copyArchiveTo(
  program: Program,
  opened: OpenedArchive,
  { to, switches, json }: { readonly to: string; readonly switches: boolean; readonly json: boolean },
): Promise<ExitCode> {
  const { job, store: source, record, discarded } = opened
  const { host, database, events, shutdown } = program
  const place = archivePlaceOf(program, locationOf(to))
  await mustBeApart(archivePlanOf(program), place)
  const tables = await database.tablesAmong([DISCARDED, PLACES])
  if (switches && tables.size < 2)
    throw new MaintenanceError(
      'ARCHIVE_FAILED',
      'the archive cannot be switched: a table is missing that migration 011 or 012 makes. Nothing was copied. Apply the migrations (where they are disabled, run their files by hand)',
    )
  const target = storeAt(place, job.table, shutdown.stopping)
  const warning = await target.warning()
  if (warning !== undefined) events.warning(warning)
  // On standard error, because the answer is for standard output.
  const tell = (what: string, files: readonly RowsFile[]): void => {
    if (files.length > 0)
      host.printError(`${what} ${counted(files.length, 'file')}, ${counted(bytesIn(files), 'byte')}, in ${visible(target.root)}.\n`)
  }
  const spool = target.spool(`copy-${await draftsOf(database)}`)
  const copy = new ArchiveCopy({
    source,
    target,
    spool,
    look: () => look({ database, record, store: source, discarded }),
    ignored: async () => (tables.has(DISCARDED) ? await discardedPaths(program, opened) : new Set()),
    reading: (already) => tell('Reading', already),
    copying: (missing) => tell('Writing and reading back', missing),
    stopping: shutdown.stopping,
  })
  // Most of it while runs go on as before.
  let copied = await copy.complete()
  if (switches) {
    const patience = {
      waitMs: MOST_WAIT_MS,
      waiting: (holder: string) => host.printError(`Waiting until ${visible(holder)} has finished its run.\n`),
    }
    copied = await underLease(program, opened, patience, async (held) =>
      switchArchive({ archive: await archiveOf(program, opened, held), target, spool, copy, place: place.directory }),
    )
  }
  const { chain, files, bytes, removed, pending } = copied
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
        switched: switches,
      }),
    )
  else {
    const gone = removed === 0 ? '' : `; ${countText(removed)} that had expired ${removed === 1 ? 'was' : 'were'} removed there`
    host.print(
      `${counted(files, 'file')} copied, ${counted(bytes, 'byte')}${gone}. ${visible(target.root)} holds ${counted(all.length, 'file')}, ` +
        `${counted(rows, 'row')}, ${counted(bytesIn(all), 'byte')}, up to ${newest}: all were read there, and the chain is whole\n`,
    )
    if (switches)
      host.print(
        `The archive is in ${visible(target.root)} from now on: set ARCHIVE_DIRECTORY=${visible(place.directory)} and start the worker anew. ` +
          `Until then it archives and deletes nothing. The files in ${visible(source.root)} are as they were, and no longer needed\n`,
      )
  }
  if (pending > 0)
    events.warning(
      `${counted(pending, 'file')} in ${source.root} ${pending === 1 ? 'is' : 'are'} pending and not copied: a run is working, or was interrupted. ` +
        'To let runs write to the copy, copy again with --switch',
    )
  return 0
}

async function discardedPaths({ database }: Program, { job, record }: OpenedArchive): Promise<ReadonlySet<ArchivePath>> {
  const { position } = await record.load(database)
  return new Set((await new DiscardedFiles((name) => database.named(name), job.table).load(database, position)).keys())
}
