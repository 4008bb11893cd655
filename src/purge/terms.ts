import { cascadeVariable, JOBS, type Job } from '../catalogue.ts'
import type { Terms } from '../database/purging.ts'

/** `cascade`: as the settings have it. */
export function termsOf(job: Job, cascade: readonly string[] | undefined, archiving: boolean): Terms {
  return {
    cascade: cascade ?? [],
    setting: cascadeVariable(job),
    archived: archiving ? JOBS.filter(({ archived }) => archived === true).map(({ table }) => table) : [],
  }
}
