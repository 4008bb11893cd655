import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Status } from '../status/read-status.ts'
import { SECOND, type Clock, type EpochMs } from '../time/clock.ts'
import type { Listener } from './fan-out.ts'
import { KEPT, METRICS, type MetricDefinition } from './metric-definitions.ts'
import { partitionGauges } from './partition-gauges.ts'

export interface Metrics {
  /** Counts events. It does not receive those of dry runs. */
  readonly listener: Listener
  readonly contentType: string
  /** In Prometheus' text format. */
  text(): Promise<string>
  /** Sets the gauges from a status. If the database did not answer, they keep their values. */
  updateGauges(status: Status): void
}

export interface MetricsOptions {
  readonly version: string
  /** The enabled jobs. Their counters exist from the start, at 0, so that the first failure shows as an increase. */
  readonly jobs: readonly string[]
  /** Those of them whose rows are archived. Only they have the archive's metrics. */
  readonly archiving: readonly string[]
  readonly clock: Clock
}

/** The only file that imports prom-client; loaded only if metrics are read. */
export function openMetrics({ version, jobs, archiving, clock }: MetricsOptions): Metrics {
  const registry = new Registry()
  const made = instrumentsIn(registry)
  const {
    rowsDeleted,
    runs,
    runDuration,
    lastSuccess,
    due,
    lastOutcome,
    running,
    expiredRows,
    oldestExpiredAge,
    holds,
    heldRows,
    rowsKept,
    batchDuration,
    paused,
  } = made
  const { archiveLag, archiveVerifiedAt, archiveSound, databaseBytes, databaseConnected, migrations } = made
  const archived = { rows: made.archivedRows, bytes: made.archivedBytes, files: made.archivedFiles }
  const removed = { rows: made.archiveRemovedRows, bytes: made.archiveRemovedBytes, files: made.archiveRemovedFiles }
  const archiveSize = { rows: made.archiveRows, bytes: made.archiveBytes, files: made.archiveFiles }
  const setPartitions = partitionGauges(made)
  made.buildInfo.set({ version }, 1)

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
  /** Since when the oldest missing row should have been in the archive; `undefined`: none is missing. */
  const missing = new Map<string, EpochMs | undefined>()
  const ageOf = (time: EpochMs | undefined): number => (time === undefined ? 0 : Math.max(0, clock.now() - time) / SECOND)
  /** When a run of this process ended that could not be recorded: its outcome counts until a later run is on record. */
  const unrecorded = new Map<string, EpochMs>()
  const setOutcome = (job: string, last: string): void => {
    for (const outcome of METRICS.lastOutcome.labels.outcome) lastOutcome.set({ job, outcome }, outcome === last ? 1 : 0)
  }
  /** Rows that the batches of the current run have reported. */
  const reported = new Map<string, number>()
  return {
    contentType: registry.contentType,
    text() {
      // Ages grow while nothing happens.
      for (const [job, time] of oldest) oldestExpiredAge.set({ job }, ageOf(time))
      for (const [job, time] of missing) archiveLag.set({ job }, ageOf(time))
      return registry.metrics()
    },
    updateGauges({ at, database: { space, reachable }, migrations: state, jobs: all, archive, partitions }) {
      if (space !== undefined) databaseBytes.set({ part: 'used' }, space.bytes - (space.freeBytes ?? 0))
      if (space?.freeBytes !== undefined) databaseBytes.set({ part: 'free' }, space.freeBytes)
      if (all.every((job) => job.holds !== undefined)) holds.set(all.reduce((sum, job) => sum + (job.holds?.length ?? 0), 0))
      for (const { job, enabled, backlog, lastSuccessAt, dueAt, lastRun, ...kept } of all) {
        if (kept.holds !== undefined && job.holdable.by.length > 0) heldRows.set({ job: job.name }, kept.held)
        if (lastSuccessAt !== undefined) lastSuccess.set({ job: job.name }, lastSuccessAt / SECOND)
        if (!enabled) continue
        if (dueAt !== undefined) due.set({ job: job.name }, dueAt / SECOND)
        else if (lastRun !== undefined) due.remove({ job: job.name })
        if (lastRun?.outcome !== undefined && (lastRun.finishedAt ?? -Infinity) > (unrecorded.get(job.name) ?? -Infinity))
          setOutcome(job.name, lastRun.outcome)
        if (backlog === undefined) continue
        const { rows, more, planned } = backlog
        const waiting = more ? Math.max(rows === undefined ? 0 : rows + 1, planned ?? 0) : (rows ?? 0)
        // Of what could not be counted the last figure stays.
        if (rows !== undefined || planned !== undefined) expiredRows.set({ job: job.name }, waiting)
        if (rows === 0 && !more) oldest.set(job.name, undefined)
        else if (backlog.oldest !== null) oldest.set(job.name, backlog.oldest)
      }
      for (const job of archiving) {
        const { lagMs, summary } = archive
        if (lagMs !== undefined) missing.set(job, lagMs === 0 ? undefined : at - lagMs)
        if (summary === undefined) continue
        for (const count of GROWTH) archiveSize[count].set({ job }, summary[count])
        if (summary.verification === undefined) continue
        archiveVerifiedAt.set({ job }, summary.verification.at / SECOND)
        archiveSound.set({ job }, summary.verification.sound ? 1 : 0)
      }
      if (reachable) setPartitions(partitions)
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
        reported.set(job, 0)
        running.set({ job }, 1)
      },
      jobBatch(job, { affected, total, durationMs }) {
        reported.set(job, total)
        rowsDeleted.inc({ job }, affected)
        batchDuration.observe({ job }, durationMs / SECOND)
      },
      jobPaused: (job, ms, reason) => paused.inc({ job, reason }, ms / SECOND),
      jobFinished({ job, outcome, deleted, durationMs, recorded, ...result }) {
        running.set({ job }, 0)
        runs.inc({ job, outcome })
        if (outcome !== 'skipped') runDuration.observe({ job }, durationMs / SECOND)
        // A batch whose answer to COMMIT was lost reported nothing, but the run's row counts it.
        rowsDeleted.inc({ job }, Math.max(0, deleted - (reported.get(job) ?? 0)))
        reported.delete(job)
        for (const reason of METRICS.rowsKept.labels.reason) rowsKept.inc({ job, reason }, result[KEPT[reason]])
        const byRun = result.archived
        if (byRun !== undefined) {
          for (const count of GROWTH) {
            archived[count].inc({ job }, byRun[count])
            removed[count].inc({ job }, byRun.removed[count])
          }
        }
        // A run that was skipped leaves the job to whoever is at it.
        if (outcome !== 'skipped') {
          setOutcome(job, outcome)
          if (!recorded) unrecorded.set(job, clock.now())
        }
        if (outcome === 'succeeded') lastSuccess.set({ job }, clock.now() / SECOND)
      },
    },
  }
}

const GROWTH = ['rows', 'bytes', 'files'] as const

type Labels<Definition extends MetricDefinition> = keyof Definition['labels'] & string

type Instrument<Definition extends MetricDefinition> = {
  readonly counter: Counter<Labels<Definition>>
  readonly gauge: Gauge<Labels<Definition>>
  readonly histogram: Histogram<Labels<Definition>>
}[Definition['kind']]

type Instruments = { readonly [Name in keyof typeof METRICS]: Instrument<(typeof METRICS)[Name]> }

function instrumentsIn(registry: Registry): Instruments {
  const made = Object.entries<MetricDefinition>(METRICS).map(([key, definition]) => [key, instrumentOf(definition, registry)] as const)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `Object.fromEntries` forgets which is which
  return Object.fromEntries(made) as unknown as Instruments
}

function instrumentOf(definition: MetricDefinition, registry: Registry): Counter | Gauge | Histogram {
  const { name, help, labels } = definition
  const described = { name, help, labelNames: Object.keys(labels), registers: [registry] }
  switch (definition.kind) {
    case 'counter':
      return new Counter(described)
    case 'gauge':
      return new Gauge(described)
    case 'histogram':
      return new Histogram({ ...described, buckets: [...definition.buckets] })
  }
}
