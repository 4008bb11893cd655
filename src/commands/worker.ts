import type { JobSettings } from '../config/load.ts'
import { messageOf, type ExitCode } from '../errors.ts'
import { startHeartbeat } from '../observe/heartbeat.ts'
import type { Program } from '../program.ts'
import { NOTHING_ACCEPTED } from '../purge/safety.ts'
import { doneUntil } from '../runs/last-run.ts'
import { runJob } from '../runs/run-job.ts'
import { withRetry } from '../runs/with-retry.ts'
import { startScheduler, type Scheduled } from '../schedule/scheduler.ts'
import { overdueSlot } from '../schedule/slots.ts'
import { applyMigrations } from './migrate.ts'
import { keepPartitionsAhead, upkeepOf } from './partitions-ahead.ts'
import { openRunner } from './runner.ts'

/** No argument: migrations, then the jobs on their schedules until a signal stops the worker. */
export async function runWorker(program: Program): Promise<ExitCode> {
  const { host, settings, events, database, shutdown } = program
  const { clock } = host
  const startedMs = clock.monotonicMs()
  const enabled = settings.jobs.filter((each) => each.enabled)
  events.workerStarted({
    version: host.version,
    database: database.label,
    jobs: enabled.map((each) => each.job.name),
    timeZone: settings.schedule.timeZone,
  })
  if (settings.metrics.textfile !== undefined)
    events.note('metrics.textfile is for --run-now; the metrics of a worker are read over HTTP, with http.enabled')
  const { file } = settings.health
  const warn = (message: string): void => events.warning(message)
  const heartbeat = file === undefined ? undefined : await startHeartbeat(file, clock, warn, shutdown.stopping)

  if (program.site !== undefined) program.site.shows((await import('./latest-status.ts')).latestStatusOf(program))
  await applyMigrations(program)
  const ahead = keepPartitionsAhead(upkeepOf(program))
  const scheduler = startScheduler(await scheduledJobs(program, enabled), { ...settings.schedule, clock, random: host.random })

  await aborted(shutdown.stopping)
  await Promise.all([scheduler.stop(), ahead])
  await heartbeat?.ended
  events.workerStopped(String(shutdown.stopping.reason), Math.round(clock.monotonicMs() - startedMs))
  return 0
}

async function scheduledJobs(program: Program, enabled: readonly JobSettings[]): Promise<Scheduled[]> {
  const { settings, events, database, shutdown } = program
  const runner = await openRunner(program)
  const { clock, recorded } = runner
  const { stopping } = shutdown
  return enabled.map(({ job, schedule, retentionMs, rules, graceMs, cascade }) => {
    // Used if no run is recorded: only slots since the last run of this process, or since its start, count as missed.
    let lastKnown = clock.now()
    return {
      name: job.name,
      schedule,
      async run(slot, trigger) {
        lastKnown = clock.now()
        const request = { job, retentionMs, rules, graceMs, cascade, trigger, slot, dryRun: false, accepted: NOTHING_ACCEPTED, stopping }
        events.jobFinished(await runJob(runner, request))
      },
      async overdue() {
        try {
          const ask = (): Promise<number | undefined> => doneUntil(database, clock, job.name)
          const since = recorded ? await withRetry({ database, clock, stopping }, ask) : undefined
          return overdueSlot(schedule, settings.schedule.timeZone, since ?? lastKnown, clock.now())
        } catch (error) {
          if (!stopping.aborted) events.jobWarning(job.name, `cannot find out whether a run was missed: ${messageOf(error)}`)
          return undefined
        }
      },
    }
  })
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
