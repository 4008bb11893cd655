import { filesBetween } from '../../archive/files-between.ts'
import { movedAway } from '../../archive/moved.ts'
import { ArchiveRecord } from '../../archive/state.ts'
import { storeAt } from '../../archive/store/store-at.ts'
import { ARCHIVES } from '../../archive/tables.ts'
import { DatabaseError } from '../../database/database-error.ts'
import { MaintenanceError } from '../../errors.ts'
import type { Spared } from '../../policy/spared.ts'
import { archivePlanOf, type Program } from '../../program.ts'
import { HELD_JOB } from './open-holds.ts'

/** What the archive may have of the rows that a hold keeps. */
export interface ArchivedRows {
  /** `undefined`: the database has no table of archives. */
  readonly record: ArchiveRecord | undefined
  /** Files that may have such rows, by their times. */
  readonly files: number
  /** Why there may be more. The person who places a hold may sit at another machine than the archive. */
  readonly unknown: string | undefined
}

export async function archivedRows(program: Program, spared: Spared): Promise<ArchivedRows> {
  const { database } = program
  if (!(await database.tablesAmong([ARCHIVES])).has(ARCHIVES)) return { record: undefined, files: 0, unknown: undefined }
  const record = new ArchiveRecord((name) => database.named(name), HELD_JOB.table)
  const plan = archivePlanOf(program)
  try {
    const state = await record.load(database)
    if (state.position === 0 && state.step === undefined && !plan.enabled) return { record, files: 0, unknown: undefined }
    const store = storeAt(plan, HELD_JOB.table)
    const moved = await movedAway({ database, store, record })
    if (moved !== undefined) return { record, files: 0, unknown: moved }
    const { files, problems } = await filesBetween(store, state, spared)
    return { record, files, unknown: problems[0] }
  } catch (error) {
    // A query that fails is no matter of the archive's.
    if (!(error instanceof MaintenanceError) || (error instanceof DatabaseError && error.kind !== 'failed')) throw error
    return { record, files: 0, unknown: error.message }
  }
}
