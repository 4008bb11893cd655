import type { Query } from '../database/query.ts'
import { ArchiveRecord } from './state.ts'
import type { Step } from './step.ts'
import type { ArchivePath } from './store/path.ts'

/**
 * The files that a removal takes once it is the pending step: whatever happens, the run or the next one removes them. None as long as its manifest is only
 * being published, which settling undoes.
 */
export function removalIn(step: Step | undefined): readonly ArchivePath[] {
  // The files of every other step that makes some obsolete are files of rows.
  if (step === undefined || step.files.length === 0 || step.files.some(({ path }) => path !== undefined)) return []
  return step.obsolete
}

/** Which files of the archive of a table are being removed at this moment. Changes with the job's lease alone. */
export async function filesBeingRemoved(query: Query, named: (table: string) => string, source: string): Promise<readonly ArchivePath[]> {
  return removalIn((await new ArchiveRecord(named, source).load(query)).step)
}
