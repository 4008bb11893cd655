import { ArchiveFolder } from '../archive/folder.ts'
import { ARCHIVES, ArchiveRecord } from '../archive/state.ts'
import { JOBS, type Job } from '../catalogue.ts'
import { MaintenanceError, type ExitCode } from '../errors.ts'
import { archivePlanOf, withProgram, type Program, type ProgramOptions } from '../program.ts'
import type { ArchiveCommand } from './archive-arguments.ts'

/** The archive as the commands see it. */
export interface OpenedArchive {
  readonly job: Job
  readonly folder: ArchiveFolder
  readonly record: ArchiveRecord
}

/** `archive verify`, `archive list`, `archive restore`, `archive reconcile`: the answer on standard output. They work with archiving switched off too. */
export function runArchive(options: Omit<ProgramOptions, 'access' | 'lasting'>, command: ArchiveCommand): Promise<ExitCode> {
  const access = command.action === 'list' || (command.action === 'reconcile' && command.dryRun) ? 'read' : 'existing'
  return withProgram({ ...options, access, lasting: false, answer: {} }, async (program) => {
    const archive = await opened(program)
    switch (command.action) {
      case 'verify':
        return (await import('./archive-verify.ts')).verifyArchive(program, archive, command)
      case 'list':
        return (await import('./archive-list.ts')).listArchive(program, archive, command)
      case 'restore':
        return (await import('./archive-restore.ts')).restoreArchive(program, archive, command)
      case 'reconcile':
        return (await import('./archive-reconcile.ts')).reconcileArchive(program, archive, command)
    }
  })
}

async function opened(program: Program): Promise<OpenedArchive> {
  const { database } = program
  const job = JOBS.find((each) => each.archived === true)!
  if ((await database.relations()).get(ARCHIVES)?.kind !== 'table')
    throw new MaintenanceError(
      'ARCHIVE_FAILED',
      `there is no table ${ARCHIVES} in this database, so nothing was archived from it: migration 005 makes it`,
    )
  const { directory, uid } = archivePlanOf(program)
  const folder = new ArchiveFolder(directory, job.table, uid)
  const warning = await folder.warning()
  if (warning !== undefined) program.events.warning(warning)
  return {
    job,
    folder,
    record: new ArchiveRecord((name) => database.named(name), job.table),
  }
}
