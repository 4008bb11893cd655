import { JUMP_MS } from '../retention/safety.ts'
import type { EpochMs } from '../time.ts'
import { RUNS, precedentOf, type Precedent } from './history.ts'
import { persistently } from './persistence.ts'
import { claimRun, type Claim } from './recorded-run.ts'
import { unrecordedRun } from './run.ts'
import type { RunnerOptions, RunRequest } from './run-job.ts'

/** A dry run takes no lease and leaves no trace, and neither does a run where there are no tables for that. */
export async function beginRun(options: RunnerOptions, request: RunRequest): Promise<Claim> {
  const { database, clock, recorded } = options
  const { job, trigger, slot, stopping, dryRun } = request
  if (recorded && !dryRun) return claimRun(options, { job: job.name, trigger, slot, stopping })
  const precedent = async (now: EpochMs): Promise<Precedent | undefined> =>
    recorded ? precedentOf(database, database.named(RUNS), job.name, now, JUMP_MS) : undefined
  const run = await persistently({ database, clock, stopping }, () => unrecordedRun(database, clock, precedent))
  return { kind: 'run', run }
}
