import { SECOND, type Clock, type EpochMs } from '../time/clock.ts'
import { tickAtSlots } from './ticking.ts'

export interface Scheduled {
  readonly name: string
  readonly schedule: string
  /** Never rejects. */
  run(slot: EpochMs, trigger: 'schedule' | 'catch-up'): Promise<void>
  /** The slot that should have been run by now but was not. Never rejects. */
  overdue(): Promise<EpochMs | undefined>
}

export interface SchedulerOptions {
  readonly timeZone: string
  readonly clock: Clock
  /** Whether missed slots are made up for. */
  readonly catchUp: boolean
  /** From 0 to below 1. */
  readonly random: () => number
}

export interface Scheduler {
  /** Takes no more ticks; resolves when the current runs have ended. */
  stop(): Promise<void>
}

/** A random delay keeps replicas that start or wake together from querying the database at the same moment. */
const MOST_DELAY_MS = 20 * SECOND
const WATCH_MS = 30 * SECOND
/** If the two clocks diverge by more than this, the clock was set or the machine slept. */
const PARTED_MS = 5 * SECOND

/**
 * Runs each job at its slots, whether or not others are running: their runs take turns. A slot that comes while its job is still
 * running is dropped. What was missed (before the start, by a suspended or blocked process, by a clock that was set) is made up for by one
 * run, however many slots it was.
 */
export function startScheduler(jobs: readonly Scheduled[], options: SchedulerOptions): Scheduler {
  const { timeZone, clock, catchUp, random } = options
  const running = new Map<Scheduled, Promise<void>>()
  const catchingUp = new Map<Scheduled, Promise<void>>()
  const stopping = new AbortController()

  const start = (job: Scheduled, slot: EpochMs, trigger: Parameters<Scheduled['run']>[1]): void => {
    if (running.has(job) || stopping.signal.aborted) return
    running.set(
      job,
      job.run(slot, trigger).finally(() => running.delete(job)),
    )
  }
  const catchUpWith = async (job: Scheduled): Promise<void> => {
    await clock.sleep(random() * MOST_DELAY_MS, stopping.signal)
    // A run that began before the slot that was missed does not make up for it.
    await running.get(job)
    if (stopping.signal.aborted) return
    const slot = await job.overdue()
    if (slot !== undefined) start(job, slot, 'catch-up')
  }
  const makeUp = (job: Scheduled): void => {
    if (!catchUp || catchingUp.has(job)) return
    catchingUp.set(
      job,
      catchUpWith(job).finally(() => catchingUp.delete(job)),
    )
  }
  let ticking = new AbortController()
  const startTicking = (): void => {
    ticking = new AbortController()
    const how = { timeZone, clock, lenient: !catchUp, stopping: ticking.signal }
    for (const job of jobs) void tickAtSlots(job.schedule, { tick: (slot) => start(job, slot, 'schedule'), missed: () => makeUp(job) }, how)
  }
  const makeUpAll = (): void => {
    for (const job of jobs) makeUp(job)
  }
  const watching = watchClocks(clock, stopping.signal, () => {
    // A timer runs by the clock as it was.
    ticking.abort()
    startTicking()
    makeUpAll()
  })

  startTicking()
  makeUpAll()
  return {
    async stop() {
      stopping.abort()
      ticking.abort()
      await watching
      await Promise.all([...catchingUp.values(), ...running.values()])
    },
  }
}

async function watchClocks(clock: Clock, stopping: AbortSignal, parted: () => void): Promise<void> {
  let apartMs = clock.now() - clock.monotonicMs()
  for (;;) {
    await clock.sleep(WATCH_MS, stopping)
    if (stopping.aborted) return
    const now = clock.now() - clock.monotonicMs()
    if (Math.abs(now - apartMs) > PARTED_MS) parted()
    apartMs = now
  }
}
