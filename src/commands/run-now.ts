import type { JobSettings } from '../config/load.ts'
import type { Estimate } from '../database/purging.ts'
import { gravest, messageOf, type ExitCode } from '../errors.ts'
import { pendingMigrations } from '../migrations/prospect.ts'
import type { MigrationFile } from '../migrations/migration-files.ts'
import { makerOf } from '../migrations/shapes/shapes.ts'
import type { View } from '../observe/view.ts'
import type { Program } from '../program.ts'
import { cutoffOf } from '../purge/cutoff.ts'
import type { Accepted } from '../purge/safety.ts'
import { NOTHING_DONE, type RunResult } from '../runs/result.ts'
import { runJob } from '../runs/run-job.ts'
import { estimateWaiting, readWaiting } from '../runs/waiting-rows.ts'
import { SECOND } from '../time/clock.ts'
import { applyMigrations, notePending } from './migrate.ts'
import { partitionPasses, upkeepOf } from './partitions-ahead.ts'
import { openRunner } from './runner.ts'

export interface RunNowRequest {
  /** Names from the catalogue; empty: all. */
  readonly jobs: readonly string[]
  readonly dryRun: boolean
  readonly accepted: Accepted
}

/**
 * `--run-now`: migrations, then every job once, in the catalogue's order; one `job.finished` for each. `view` shows the run on a terminal; `undefined`: there
 * is only the log.
 */
export async function runNow(program: Program, view: View | undefined, request: RunNowRequest): Promise<ExitCode> {
  const { settings, events, shutdown } = program
  const { jobs, dryRun, accepted } = request
  let pending: readonly MigrationFile[] = []
  if (!dryRun) {
    if (view !== undefined && settings.migrations.enabled) await showPending(program, view)
    await applyMigrations(program)
  } else if (settings.migrations.enabled) pending = await notePending(program)
  const runner = await openRunner(program, dryRun)
  if (!dryRun) await partitionPasses(upkeepOf(program))()

  const results: RunResult[] = []
  for (const chosen of settings.jobs) {
    if (jobs.length > 0 && !jobs.includes(chosen.job.name)) continue
    const { job, retentionMs, rules, graceMs, cascade, enabled } = chosen
    if (enabled && view !== undefined) view.expect(job.name, await estimated(program, chosen))
    const byDay = view !== undefined && retentionMs !== undefined
    const run = {
      byDay,
      job,
      retentionMs,
      rules,
      graceMs,
      cascade,
      trigger: 'run-now',
      slot: undefined,
      dryRun,
      accepted,
      stopping: shutdown.stopping,
    } as const
    const result = enabled ? withMissingTable(await runJob(runner, run), job.table, pending) : disabled(chosen, dryRun)
    events.jobFinished(result)
    results.push(result)
  }
  view?.summarize(results)
  await writeTextfileMetrics(program)
  return gravest(results.map(({ exitCode }) => exitCode))
}

/** In a dry run, a table that a pending migration would create is missing; the reason then names that migration. */
function withMissingTable(result: RunResult, table: string, pending: readonly MigrationFile[]): RunResult {
  const maker = result.outcome === 'skipped' ? makerOf(table, pending) : undefined
  return maker === undefined ? result : { ...result, reason: `${table} does not exist yet; it will be created by ${maker.stem}` }
}

async function showPending({ database, migrationFiles }: Program, view: View): Promise<void> {
  const pending = await pendingMigrations({ database, files: migrationFiles })
  if (pending.length > 0) view.pending(pending.map(({ stem }) => stem))
}

/** Only for the view. An error is ignored here, because the run itself reports whatever is wrong. */
async function estimated({ database }: Program, chosen: JobSettings): Promise<Estimate | undefined> {
  try {
    const now = await database.now()
    const waiting = await readWaiting(database, chosen, now)
    return await estimateWaiting((until) => database.expired(chosen.job, until, waiting.spared), cutoffOf(chosen, now), waiting)
  } catch {
    return undefined
  }
}

function disabled({ job }: JobSettings, dryRun: boolean): RunResult {
  return {
    ...NOTHING_DONE,
    job: job.name,
    trigger: 'run-now',
    dryRun,
    outcome: 'skipped',
    reason: `jobs.${job.settings}.enabled is false`,
    expired: dryRun ? 0 : undefined,
  }
}

/** How long to wait, at the end of the run, for the status that the metrics show. */
const LONGEST_STATUS_MS = 5 * SECOND

/** Writes the metrics of a run to the textfile, if one is configured. The run counts as done whether or not this works. */
async function writeTextfileMetrics(program: Program): Promise<void> {
  const { host, settings, events, metrics } = program
  const { textfile } = settings.metrics
  if (metrics === undefined || textfile === undefined) return
  const [{ latestStatusOf }, { writeTextfile }] = await Promise.all([import('./latest-status.ts'), import('../observe/textfile.ts')])
  try {
    const { status } = await latestStatusOf(program).within({ freshMs: 0, waitMs: LONGEST_STATUS_MS })
    if (status !== undefined) metrics.updateGauges(status)
    await writeTextfile(textfile, await metrics.text(), host.worker)
  } catch (error) {
    events.warning(`the metrics of this run could not be written to ${textfile}: ${messageOf(error)}`)
  }
}
