import { ARCHIVES, ArchiveRecord } from '../../archive/state.ts'
import { FolderStore } from '../../archive/store/folder-store.ts'
import type { Store } from '../../archive/store/store.ts'
import { JOBS, type Job } from '../../catalogue.ts'
import { MaintenanceError } from '../../errors.ts'
import { archivePlanOf, type Program } from '../../program.ts'

/** The archive as the commands see it. */
export interface OpenedArchive {
  readonly job: Job
  readonly store: Store
  readonly record: ArchiveRecord
}

/** Rejects where this database has no archive, or its folder is not to be used. */
export async function openArchive(program: Program): Promise<OpenedArchive> {
  const { database } = program
  const job = JOBS.find((each) => each.archived === true)!
  if (!(await database.tablesAmong([ARCHIVES])).has(ARCHIVES))
    throw new MaintenanceError(
      'ARCHIVE_FAILED',
      `there is no table ${ARCHIVES} in this database, so nothing was archived from it: migration 005 makes it`,
    )
  const { directory, uid } = archivePlanOf(program)
  const store = new FolderStore(directory, job.table, uid)
  const warning = await store.warning()
  if (warning !== undefined) program.events.warning(warning)
  return {
    job,
    store,
    record: new ArchiveRecord((name) => database.named(name), job.table),
  }
}
