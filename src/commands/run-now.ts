import { gravest, type ExitCode } from '../errors.ts'
import type { RunResult } from '../jobs/result.ts'
import { runJob } from '../jobs/run-job.ts'
import type { Accepted } from '../jobs/safety-check.ts'
import type { JobSettings } from '../config/load.ts'
import type { Program } from '../program.ts'
import { applyMigrations } from './migrations.ts'
import { tellPending } from './migrate.ts'
import { openRunner } from './runner.ts'

export interface RunNowRequest {
  /** Names from the catalogue; empty: all. */
  readonly jobs: readonly string[]
  readonly dryRun: boolean
  readonly accepted: Accepted
}

/** `--run-now`: migrations, then every job once, in the catalogue's order; one `job.finished` for each. */
export async function runNow(program: Program, request: RunNowRequest): Promise<ExitCode> {
  const { settings, events, shutdown } = program
  const { jobs, dryRun, accepted } = request
  if (!dryRun) await applyMigrations(program)
  else if (settings.migrations.enabled) await tellPending(program)
  const runner = await openRunner(program)

  const codes: ExitCode[] = []
  for (const chosen of settings.jobs) {
    if (jobs.length > 0 && !jobs.includes(chosen.job.name)) continue
    const { job, retentionMs, enabled } = chosen
    const run = { job, retentionMs, trigger: 'run-now', slot: undefined, dryRun, accepted, stopping: shutdown.stopping } as const
    const result = enabled ? await runJob(runner, run) : disabled(chosen, dryRun)
    events.jobFinished(result)
    codes.push(result.exitCode)
  }
  return gravest(codes)
}

function disabled({ job }: JobSettings, dryRun: boolean): RunResult {
  return {
    job: job.name,
    trigger: 'run-now',
    dryRun,
    outcome: 'skipped',
    reason: `jobs.${job.settings}.enabled is false`,
    error: undefined,
    exitCode: 0,
    deleted: 0,
    expired: dryRun ? 0 : undefined,
    batches: 0,
    undated: 0,
    unreadable: 0,
    locked: 0,
    cutoff: undefined,
    archived: undefined,
    durationMs: 0,
  }
}
