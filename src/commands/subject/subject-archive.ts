import { search } from '../../archive/read/search.ts'
import { ArchiveRecord } from '../../archive/state.ts'
import { FolderStore } from '../../archive/store/folder-store.ts'
import { ARCHIVES } from '../../archive/tables.ts'
import { JOBS, PERSONAL_TABLES, type Job } from '../../catalogue.ts'
import { DatabaseError } from '../../database/database-error.ts'
import { MaintenanceError } from '../../errors.ts'
import type { Hold } from '../../policy/holds.ts'
import { archivePlanOf, type Program } from '../../program.ts'
import type { SubjectArchive } from '../../subject/subject-answer.ts'

const JOB = JOBS.find(({ archived }) => archived === true)!
const COLUMNS = PERSONAL_TABLES.find(({ table }) => table === JOB.table)!.named

/** `undefined`: nothing was ever archived from this database. An archive that cannot be read is among its problems: the person who asks may sit at another machine. */
export async function searchArchive(
  program: Program,
  text: string,
  holds: ReadonlyMap<Job, readonly Hold[]>,
): Promise<SubjectArchive | undefined> {
  const { database, settings, shutdown } = program
  if (!(await database.tablesAmong([ARCHIVES])).has(ARCHIVES)) return undefined
  const { enabled, directory, uid, keptMs } = archivePlanOf(program)
  const record = new ArchiveRecord((name) => database.named(name), JOB.table)
  const expires = enabled && settings.jobs.some(({ job, enabled: runs }) => job.name === JOB.name && runs)
  try {
    const { position, step } = await record.load(database)
    if (position === 0 && step === undefined && !enabled) return undefined
    const found = await search({
      database,
      record,
      store: new FolderStore(directory, JOB.table, uid),
      timeColumn: JOB.column,
      columns: COLUMNS,
      text,
      holds: holds.get(JOB) ?? [],
      keptMs: expires ? keptMs : undefined,
      stopping: shutdown.stopping,
    })
    return { ...found, directory, expires }
  } catch (error) {
    // What is wrong with the database is no matter of the archive's.
    if (!(error instanceof MaintenanceError) || (error instanceof DatabaseError && error.kind !== 'failed')) throw error
    return { files: [], filesRead: 0, problems: [error.message], directory, expires }
  }
}
