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
  /** Takes no more ticks; resolves when the current run has ended. */
  stop(): Promise<void>
}

/** A random delay keeps replicas that start or wake together from querying the database at the same moment. */
const MOST_DELAY_MS = 20 * SECOND
const WATCH_MS = 30 * SECOND
/** If the two clocks diverge by more than this, the clock was set or the machine slept. */
const PARTED_MS = 5 * SECOND

/**
 * Runs each job at its slots, one job at a time: the jobs share one connection, and the gateway's database should feel one purge, not three.
 * A slot of a job that is running or waiting already is dropped: the run to come does its work. What was missed (before the start, by a
 * suspended or blocked process, by a clock that was set) is made up for by one run, however many slots it was.
 */
export function startScheduler(jobs: readonly Scheduled[], options: SchedulerOptions): Scheduler {
  const { timeZone, clock, catchUp, random } = options
  const queued = new Set<Scheduled>()
  const catchingUp = new Set<Scheduled>()
  const stopping = new AbortController()
  let tail: Promise<void> = Promise.resolve()

  const inTurn = (work: () => Promise<void>): void => {
    tail = after(tail, async () => {
      if (!stopping.signal.aborted) await work()
    })
  }
  const enqueue = (job: Scheduled, slot: EpochMs): void => {
    if (queued.has(job)) return
    queued.add(job)
    inTurn(async () => {
      await job.run(slot, 'schedule')
      queued.delete(job)
    })
  }
  const makeUp = async (job: Scheduled): Promise<void> => {
    if (!catchUp || catchingUp.has(job)) return
    catchingUp.add(job)
    await clock.sleep(random() * MOST_DELAY_MS, stopping.signal)
    catchingUp.delete(job)
    inTurn(async () => {
      const slot = await job.overdue()
      if (slot === undefined || queued.has(job) || stopping.signal.aborted) return
      queued.add(job)
      await job.run(slot, 'catch-up')
      queued.delete(job)
    })
  }
  let ticking = new AbortController()
  const startTicking = (): void => {
    ticking = new AbortController()
    const how = { timeZone, clock, lenient: !catchUp, stopping: ticking.signal }
    for (const job of jobs) void tickAtSlots(job.schedule, { tick: (slot) => enqueue(job, slot), missed: () => void makeUp(job) }, how)
  }
  const makeUpAll = (): void => {
    for (const job of jobs) void makeUp(job)
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
      await tail
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

async function after(earlier: Promise<void>, work: () => Promise<void>): Promise<void> {
  await earlier
  await work()
}
