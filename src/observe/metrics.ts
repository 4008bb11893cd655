import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Status } from '../status/read-status.ts'
import { SECOND, type Clock, type EpochMs } from '../time/clock.ts'
import type { Listener } from './fan-out.ts'
import { KEPT, METRICS, type MetricDefinition } from './metric-definitions.ts'

export interface Metrics {
  /** Counts what happens. Of dry runs, which do nothing, it is not told. */
  readonly listener: Listener
  readonly contentType: string
  /** In Prometheus' text format. */
  text(): Promise<string>
  /** What the database was found to hold. Of one that did not answer the levels stay as they were. */
  know(status: Status): void
}

export interface MetricsOptions {
  readonly version: string
  /** Those that are enabled: their counters are there from the start, at 0, so that the first failure shows as an increase. */
  readonly jobs: readonly string[]
  /** Those of them whose rows are archived: of no other the archive's metrics have a value. */
  readonly archiving: readonly string[]
  readonly clock: Clock
}

/** The one door to prom-client; loaded only where somebody reads the metrics. */
export function openMetrics({ version, jobs, archiving, clock }: MetricsOptions): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const rowsDeleted = new Counter({ ...described(METRICS.rowsDeleted), registers })
  const runs = new Counter({ ...described(METRICS.runs), registers })
  const runDuration = new Histogram({ ...described(METRICS.runDuration), buckets: [...METRICS.runDuration.buckets], registers })
  const lastSuccess = new Gauge({ ...described(METRICS.lastSuccess), registers })
  const running = new Gauge({ ...described(METRICS.running), registers })
  const expiredRows = new Gauge({ ...described(METRICS.expiredRows), registers })
  const oldestExpiredAge = new Gauge({ ...described(METRICS.oldestExpiredAge), registers })
  const rowsKept = new Counter({ ...described(METRICS.rowsKept), registers })
  const batchDuration = new Histogram({ ...described(METRICS.batchDuration), buckets: [...METRICS.batchDuration.buckets], registers })
  const paused = new Counter({ ...described(METRICS.paused), registers })
  const archived = {
    rows: new Counter({ ...described(METRICS.archivedRows), registers }),
    bytes: new Counter({ ...described(METRICS.archivedBytes), registers }),
    files: new Counter({ ...described(METRICS.archivedFiles), registers }),
  }
  const removed = {
    rows: new Counter({ ...described(METRICS.archiveRemovedRows), registers }),
    bytes: new Counter({ ...described(METRICS.archiveRemovedBytes), registers }),
    files: new Counter({ ...described(METRICS.archiveRemovedFiles), registers }),
  }
  const held = {
    rows: new Gauge({ ...described(METRICS.archiveRows), registers }),
    bytes: new Gauge({ ...described(METRICS.archiveBytes), registers }),
    files: new Gauge({ ...described(METRICS.archiveFiles), registers }),
  }
  const archiveLag = new Gauge({ ...described(METRICS.archiveLag), registers })
  const archiveVerifiedAt = new Gauge({ ...described(METRICS.archiveVerifiedAt), registers })
  const archiveSound = new Gauge({ ...described(METRICS.archiveSound), registers })
  const databaseConnected = new Gauge({ ...described(METRICS.databaseConnected), registers })
  const migrations = new Gauge({ ...described(METRICS.migrations), registers })
  new Gauge({ ...described(METRICS.buildInfo), registers }).set({ version }, 1)

  for (const job of jobs) {
    rowsDeleted.inc({ job }, 0)
    for (const outcome of METRICS.runs.labels.outcome) runs.inc({ job, outcome }, 0)
    for (const reason of METRICS.rowsKept.labels.reason) rowsKept.inc({ job, reason }, 0)
    for (const reason of METRICS.paused.labels.reason) paused.inc({ job, reason }, 0)
    for (const histogram of [runDuration, batchDuration]) histogram.zero({ job })
    running.set({ job }, 0)
  }
  for (const job of archiving) for (const counter of GROWTH.flatMap((count) => [archived[count], removed[count]])) counter.inc({ job }, 0)

  const oldest = new Map<string, EpochMs | undefined>()
  /** Since when a row should be in the archive; `undefined`: none is missing there. */
  const due = new Map<string, EpochMs | undefined>()
  const ageOf = (time: EpochMs | undefined): number => (time === undefined ? 0 : Math.max(0, clock.now() - time) / SECOND)
  /** Of the run in hand: rows that its batches have told of. */
  const told = new Map<string, number>()
  return {
    contentType: registry.contentType,
    text() {
      // It grows while nothing happens.
      for (const [job, time] of oldest) oldestExpiredAge.set({ job }, ageOf(time))
      for (const [job, time] of due) archiveLag.set({ job }, ageOf(time))
      return registry.metrics()
    },
    know({ at, migrations: state, jobs: all, archive }) {
      for (const { job, enabled, backlog, lastSuccessAt } of all) {
        if (lastSuccessAt !== undefined) lastSuccess.set({ job: job.name }, lastSuccessAt / SECOND)
        if (!enabled || backlog === undefined) continue
        expiredRows.set({ job: job.name }, backlog.rows)
        if (backlog.rows === 0) oldest.set(job.name, undefined)
        else if (backlog.oldest !== null) oldest.set(job.name, backlog.oldest)
      }
      for (const job of archiving) {
        const { lagMs, held: found } = archive
        if (lagMs !== undefined) due.set(job, lagMs === 0 ? undefined : at - lagMs)
        if (found === undefined) continue
        for (const count of GROWTH) held[count].set({ job }, found[count])
        if (found.verification === undefined) continue
        archiveVerifiedAt.set({ job }, found.verification.at / SECOND)
        archiveSound.set({ job }, found.verification.sound ? 1 : 0)
      }
      if (state === undefined) return
      migrations.set({ state: 'applied' }, state.applied.length)
      migrations.set({ state: 'pending' }, state.pending.length)
    },
    listener: {
      workerStarted: () => databaseConnected.set(1),
      migrationsEnded: () => databaseConnected.set(1),
      lost: () => databaseConnected.set(0),
      regained: () => databaseConnected.set(1),
      jobStarted(job) {
        told.set(job, 0)
        running.set({ job }, 1)
      },
      jobBatch(job, { affected, total, durationMs }) {
        told.set(job, total)
        rowsDeleted.inc({ job }, affected)
        batchDuration.observe({ job }, durationMs / SECOND)
      },
      jobPaused: (job, ms, reason) => paused.inc({ job, reason }, ms / SECOND),
      jobFinished({ job, outcome, deleted, durationMs, ...result }) {
        running.set({ job }, 0)
        runs.inc({ job, outcome })
        if (outcome !== 'skipped') runDuration.observe({ job }, durationMs / SECOND)
        // A batch whose answer to COMMIT was lost told of nothing; the run's row has it.
        rowsDeleted.inc({ job }, Math.max(0, deleted - (told.get(job) ?? 0)))
        told.delete(job)
        for (const reason of METRICS.rowsKept.labels.reason) rowsKept.inc({ job, reason }, result[KEPT[reason]])
        const byRun = result.archived
        if (byRun !== undefined) {
          for (const count of GROWTH) {
            archived[count].inc({ job }, byRun[count])
            removed[count].inc({ job }, byRun.removed[count])
          }
        }
        if (outcome === 'succeeded') lastSuccess.set({ job }, clock.now() / SECOND)
      },
    },
  }
}

const GROWTH = ['rows', 'bytes', 'files'] as const

function described<Definition extends MetricDefinition>({ name, help, labels }: Definition) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `Object.keys` forgets the names
  return { name, help, labelNames: Object.keys(labels) as (keyof Definition['labels'] & string)[] }
}
