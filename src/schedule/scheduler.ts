import type { EpochMs } from '../time.ts'
import { everySlot } from './cron.ts'

export interface Scheduled {
  readonly name: string
  readonly schedule: string
  /** Never rejects. */
  run(slot: EpochMs): Promise<void>
}

export interface Scheduler {
  /** No tick is taken any more; resolves when the run in hand has ended. */
  stop(): Promise<void>
}

/**
 * Runs each job at its slots, one job at a time: the jobs share one connection, and the gateway's database should feel one purge, not three.
 * A slot of a job that is running or waiting already is dropped: the run to come does its work.
 */
export function startScheduler(jobs: readonly Scheduled[], timeZone: string): Scheduler {
  const queued = new Set<Scheduled>()
  let tail: Promise<void> = Promise.resolve()
  let stopped = false

  const enqueue = (job: Scheduled, slot: EpochMs): void => {
    if (stopped || queued.has(job)) return
    queued.add(job)
    tail = after(tail, async () => {
      if (!stopped) await job.run(slot)
      queued.delete(job)
    })
  }
  const ticking = jobs.map((job) => everySlot(job.schedule, timeZone, (slot) => enqueue(job, slot)))
  return {
    async stop() {
      stopped = true
      for (const each of ticking) each.stop()
      await tail
    },
  }
}

async function after(earlier: Promise<void>, work: () => Promise<void>): Promise<void> {
  await earlier
  await work()
}
