import { JUMP_MS } from '../purge/safety.ts'
import type { EpochMs } from '../time/clock.ts'
import { claimRun, type Claim } from './recorded-run.ts'
import type { RunContext, RunRequest } from './run-context.ts'
import { RUNS, precedentOf, type Precedent } from './run-records.ts'
import { unrecordedRun } from './run.ts'
import { withRetry } from './with-retry.ts'

/** A dry run takes no lease and leaves no trace, and neither does a run where there are no tables for that. */
export async function beginRun(options: RunContext, request: RunRequest): Promise<Claim> {
  const { database, clock, recorded } = options
  const { job, trigger, slot, stopping, dryRun } = request
  if (recorded && !dryRun) return claimRun(options, { job: job.name, trigger, slot, stopping })
  const precedent = async (now: EpochMs): Promise<Precedent | undefined> =>
    recorded ? precedentOf(database, database.named(RUNS), job.name, now, JUMP_MS) : undefined
  const run = await withRetry({ database, clock, stopping }, () => unrecordedRun(database, clock, precedent))
  return { kind: 'run', run }
}
