import { RUNS, lastAcceptedRetention } from './history.ts'
import { persistently } from './persistence.ts'
import { claimRun, type Claim } from './recorded-run.ts'
import { unrecordedRun } from './run.ts'
import type { RunnerOptions, RunRequest } from './run-job.ts'

/** A dry run takes no lease and leaves no trace, and neither does a run where there are no tables for that. */
export async function beginRun(options: RunnerOptions, request: RunRequest): Promise<Claim> {
  const { database, clock, recorded } = options
  const { job, trigger, slot, stopping, dryRun } = request
  if (recorded && !dryRun) return claimRun(options, { job: job.name, trigger, slot, stopping })
  const lastAccepted = async (): Promise<number | undefined> =>
    recorded ? lastAcceptedRetention(database, database.named(RUNS), job.name) : undefined
  const run = await persistently({ database, clock, stopping }, () => unrecordedRun(database, clock, lastAccepted))
  return { kind: 'run', run }
}
