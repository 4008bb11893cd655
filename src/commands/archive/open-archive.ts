import { DiscardedFiles } from '../../archive/discarded-files.ts'
import { ArchiveRecord } from '../../archive/state.ts'
import { mustBeHere } from '../../archive/moved.ts'
import { ARCHIVES, DISCARDED } from '../../archive/tables.ts'
import { storeAt } from '../../archive/store/store-at.ts'
import type { Store } from '../../archive/store/store.ts'
import { JOBS, type Job } from '../../catalogue.ts'
import { MaintenanceError } from '../../errors.ts'
import { archivePlanOf, type Program } from '../../program.ts'

/** An archive, as the commands use it. */
export interface OpenedArchive {
  readonly job: Job
  readonly store: Store
  readonly record: ArchiveRecord
  /** `undefined`: there can be none. */
  readonly discarded: DiscardedFiles | undefined
}

/** Rejects if this database has no archive, or its folder must not be used. */
export async function openArchive(program: Program): Promise<OpenedArchive> {
  const { database } = program
  const job = JOBS.find((each) => each.archived === true)!
  if (!(await database.tablesAmong([ARCHIVES])).has(ARCHIVES))
    throw new MaintenanceError(
      'ARCHIVE_FAILED',
      `this database has no table ${ARCHIVES}, so nothing was archived from it. Migration 005 creates that table`,
    )
  const store = storeAt(archivePlanOf(program), job.table, program.shutdown.stopping)
  const knowsDiscarded = store.publishesLate && (await database.tablesAmong([DISCARDED])).has(DISCARDED)
  const warning = await store.warning()
  if (warning !== undefined) program.events.warning(warning)
  const record = new ArchiveRecord((name) => database.named(name), job.table)
  await mustBeHere({ database, store, record }, 'Nothing was read or changed')
  return {
    job,
    store,
    record,
    discarded: knowsDiscarded ? new DiscardedFiles((name) => database.named(name), job.table) : undefined,
  }
}
