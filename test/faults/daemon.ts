import { setTimeout as sleep } from 'node:timers/promises'
import { events, type CommandOptions, type Ended, type Line, type Running } from '../support/command.ts'
import { EVERY_SECOND, type Arena } from './arena.ts'
import { must } from './violation.ts'

/** A fault may cost a run its time and one backoff more. */
const LONGEST_RECOVERY_MS = 90_000

/** The worker in its lasting form, on a schedule of every second. */
export async function startDaemon(arena: Arena, options: CommandOptions = {}): Promise<Running> {
  const worker = arena.start([], { ...options, env: { ...EVERY_SECOND, SCHEDULE_CATCH_UP: 'false', ...options.env } })
  await worker.line((line) => line['event'] === 'migrations.current')
  return worker
}

/** Until each job has succeeded in a run that ended after this moment. */
export async function worksAfter(worker: Running, momentMs: number, jobs: readonly string[]): Promise<void> {
  const late = sleep(LONGEST_RECOVERY_MS, false, { ref: false })
  const wellAgain = Promise.all(
    jobs.map((job) =>
      worker.line((line) => line['job'] === job && line['outcome'] === 'succeeded' && Date.parse(String(line['time'])) > momentMs),
    ),
  )
  must(
    (await Promise.race([wellAgain, late])) !== false,
    `the worker has not done its jobs within ${LONGEST_RECOVERY_MS / 1_000} s after a fault`,
  )
}

/** It ends in order, and its log is short: at most one line for each loss, as many for regaining, a warning or failure for each fault and job. */
export async function endDaemon(worker: Running, faults: number): Promise<Ended> {
  worker.kill('SIGTERM')
  const ended = await worker.ended
  must(ended.code === 0, `the worker was told to stop and ended with ${ended.signal ?? `exit ${ended.code}`}`)
  must(ended.lines.at(-1)?.['event'] === 'worker.stopped', 'the last line of the log is not worker.stopped')
  const lost = events(ended, 'database.lost').length
  const regained = events(ended, 'database.regained').length
  must(lost <= faults, `${faults} faults, and the log tells of ${lost} lost connections`)
  must(regained === lost, `${lost} connections were lost and ${regained} regained`)
  const others = ended.lines.filter((line) => !EXPECTED.has(String(line['event'])) && !isQuietRun(line))
  must(others.length <= LINES_A_FAULT * (faults + 1), `${faults} faults, and ${others.length} lines of warnings and failures in the log`)
  must(ended.stderr === '', `something was written to standard error: ${ended.stderr.slice(0, 500)}`)
  return ended
}

const EXPECTED: ReadonlySet<unknown> = new Set([
  'worker.started',
  'worker.stopped',
  'migrations.current',
  'database.lost',
  'database.regained',
])
/** Three jobs may each warn and fail. */
const LINES_A_FAULT = 6

function isQuietRun(line: Line): boolean {
  return line['event'] === 'job.finished' && line['outcome'] !== 'failed'
}
