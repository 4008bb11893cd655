import { cascadeVariable, JOBS, type Job } from '../catalogue.ts'
import type { Terms } from '../database/purging.ts'
import { matchedColumns, NOTHING_SPARED, type SparedRows } from '../policy/spared.ts'

/** `cascade`: as the settings have it. */
export function termsOf(
  job: Job,
  cascade: readonly string[] | undefined,
  archiving: boolean,
  spared: SparedRows = NOTHING_SPARED,
  alsoKeeping: readonly string[] = [],
): Terms {
  return {
    cascade: cascade ?? [],
    setting: cascadeVariable(job),
    archived: archiving ? JOBS.filter(({ archived }) => archived === true).map(({ table }) => table) : [],
    keeping: [...(spared.length > 0 ? [job.table] : []), ...alsoKeeping],
    matched: matchedColumns(spared),
  }
}
