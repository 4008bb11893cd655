import { JOBS } from '../catalogue.ts'
import type { Compaction } from '../database/space-keeping.ts'
import { MaintenanceError, type ExitCode } from '../errors.ts'
import { sizeText } from '../number-text.ts'
import type { Program } from '../program.ts'
import { holderOf } from '../runs/lease.ts'
import { LEASES } from '../runs/run-records.ts'
import type { Clock } from '../time/clock.ts'
import { openFor, type DailyWindow } from '../time/daily-window.ts'
import { durationText } from '../time/time-text.ts'

export interface CompactRequest {
  readonly dryRun: boolean
  /** Nobody else has the database open. */
  readonly offline: boolean
  /** When others may be kept from writing, in the zone of the schedules. */
  readonly within: DailyWindow | undefined
  /** Whether it may run although Litestream must then copy the whole database again. */
  readonly replicated: boolean
}

/** `compact`: gives the free space of the database's file back at once. The gateway cannot write meanwhile, so it runs only if that was allowed. */
export async function compact(program: Program, request: CompactRequest): Promise<ExitCode> {
  const { host, settings, database, shutdown } = program
  const compaction = await database.compaction()
  if ('needless' in compaction) {
    host.print(`Nothing to do: ${compaction.needless}.\n`)
    return 0
  }
  const { bytes, freeBytes, neededBytes, folder, expectedMs } = compaction
  host.print(
    `${database.label.place}: ${sizeText(bytes)}, of which ${sizeText(freeBytes)} are free. Giving them back takes about ${durationText(expectedMs)}, during which nobody else can write to it, ` +
      `and up to ${sizeText(neededBytes)} of disk space in ${folder}.\n`,
  )
  const now = host.clock.now()
  const { timeZone } = settings.schedule
  const leftMs = request.within === undefined ? Infinity : openFor(request.within, now, timeZone)
  const problems = [...hindrances(compaction, request, leftMs, timeZone), ...(await runningJobs(program))]
  if (request.dryRun) {
    host.print(problems.length === 0 ? 'Nothing was changed: this is a dry run.\n' : `It would not begin now: ${problems.join('; ')}.\n`)
    return 0
  }
  if (problems.length > 0)
    throw new MaintenanceError(
      'JOB_FAILED',
      problems.map((problem) => `${database.label.place} was not compacted: ${problem}.`),
    )
  const startedMs = host.clock.monotonicMs()
  const after = await endingIn(leftMs, host.clock, shutdown.stopping, (signal) =>
    compaction.run({ alone: request.offline, node: host.node, signal }),
  )
  host.print(
    `Done in ${durationText(host.clock.monotonicMs() - startedMs)}: ${sizeText(after)}. From now on each purge gives free pages back in small steps.\n`,
  )
  return 0
}

/** The signal aborts when the time is up, or when the program should stop. */
async function endingIn<T>(ms: number, clock: Clock, stopping: AbortSignal, work: (ended: AbortSignal) => Promise<T>): Promise<T> {
  if (ms === Infinity) return work(stopping)
  const [over, done] = [new AbortController(), new AbortController()]
  void clock.sleep(ms, done.signal).then(() => over.abort())
  try {
    return await work(AbortSignal.any([stopping, over.signal]))
  } finally {
    done.abort()
  }
}

/** Why it must not begin now, one clause for each reason. */
function hindrances(
  { neededBytes, availableBytes, folder, expectedMs, replicated }: Compaction,
  request: CompactRequest,
  leftMs: number,
  timeZone: string,
): string[] {
  return [
    ...(availableBytes < neededBytes
      ? [`${folder} has ${sizeText(availableBytes)} left, and up to ${sizeText(neededBytes)} are needed; make room first`]
      : []),
    ...(replicated && !request.replicated
      ? ['Litestream replicates it, and would have to copy all of it again; if that is acceptable, add --replicated']
      : []),
    ...(leftMs === 0 ? [`it is now outside the time of --within, in the zone ${timeZone}`] : []),
    ...(leftMs > 0 && leftMs < expectedMs
      ? [`it takes about ${durationText(expectedMs)}, but the time of --within ends in ${durationText(leftMs)}`]
      : []),
  ]
}

/** A job and a compaction would wait for each other. */
async function runningJobs({ database }: Program): Promise<string[]> {
  if (!(await database.tablesAmong([LEASES])).has(LEASES)) return []
  const now = await database.now()
  const running: string[] = []
  for (const { name } of JOBS) {
    const holder = await holderOf(database, database.named(LEASES), name, now)
    if (holder !== undefined) running.push(`${name} is running on ${holder}; try again when it has ended`)
  }
  return running
}
