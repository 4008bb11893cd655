import type { ExitCode } from '../errors.ts'
import { runJob } from '../jobs/run-job.ts'
import { startHeartbeat } from '../observe/heartbeat.ts'
import type { Program } from '../program.ts'
import { startScheduler, type Scheduled } from '../schedule/scheduler.ts'
import { applyMigrations } from './migrations.ts'

/** No argument: migrations, then the jobs on their schedules until told to stop. */
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
  const { file } = settings.health
  const warn = (message: string): void => events.warning(message)
  const heartbeat = file === undefined ? undefined : await startHeartbeat(file, clock, warn, shutdown.stopping)

  await applyMigrations(program)
  const scheduler = startScheduler(
    enabled.map(({ job, schedule, retentionMs }): Scheduled => {
      const run = async (): Promise<void> => {
        const options = { database, clock, listener: events }
        events.jobFinished(await runJob(options, { job, retentionMs, trigger: 'schedule', dryRun: false, stopping: shutdown.stopping }))
      }
      return { name: job.name, schedule, run }
    }),
    settings.schedule.timeZone,
  )

  await aborted(shutdown.stopping)
  await scheduler.stop()
  await heartbeat?.ended
  events.workerStopped(String(shutdown.stopping.reason), Math.round(clock.monotonicMs() - startedMs))
  return 0
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
