import { gravest, type ExitCode } from '../errors.ts'
import { runJob, type RunResult } from '../jobs/run-job.ts'
import type { JobSettings } from '../config/load.ts'
import type { Program } from '../program.ts'
import { applyMigrations } from './migrations.ts'
import { tellPending } from './migrate.ts'

export interface RunNowRequest {
  /** Names from the catalogue; empty: all. */
  readonly jobs: readonly string[]
  readonly dryRun: boolean
}

/** `--run-now`: migrations, then every job once, in the catalogue's order; one `job.finished` for each. */
export async function runNow(program: Program, request: RunNowRequest): Promise<ExitCode> {
  const { settings, events } = program
  if (!request.dryRun) await applyMigrations(program)
  else if (settings.migrations.enabled) await tellPending(program)

  const codes: ExitCode[] = []
  for (const chosen of settings.jobs) {
    if (request.jobs.length > 0 && !request.jobs.includes(chosen.job.name)) continue
    const result = chosen.enabled ? await run(program, chosen, request.dryRun) : disabled(chosen, request.dryRun)
    events.jobFinished(result)
    codes.push(result.exitCode)
  }
  return gravest(codes)
}

function run({ host, database, events, shutdown }: Program, { job, retentionMs }: JobSettings, dryRun: boolean): Promise<RunResult> {
  const options = { database, clock: host.clock, listener: events }
  return runJob(options, { job, retentionMs, trigger: 'run-now', dryRun, stopping: shutdown.stopping })
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
    durationMs: 0,
  }
}
