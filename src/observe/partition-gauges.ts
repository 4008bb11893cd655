import type { PartitionsStatus } from '../status/partitions-status.ts'
import { SECOND } from '../time/clock.ts'
import { METRICS } from './metric-definitions.ts'

type PartitionGauge = Extract<keyof typeof METRICS, `partitions${string}`>

interface Gauge {
  set(labels: { readonly job: string }, value: number): void
  remove(labels: { readonly job: string }): void
}

/** What is no longer so is taken back: a table may be a plain one again. What cannot be read stays as it was. */
export function partitionGauges(gauges: Readonly<Record<PartitionGauge, Gauge>>): (partitions: PartitionsStatus) => void {
  const { partitionsUntil, partitionsEnabled, partitionsDefaultRows, partitionsDetached, partitionsRefusing } = gauges
  return ({ enabled, tables, problem }) => {
    for (const job of METRICS.partitionsUntil.labels.job) {
      const of = tables.find((each) => each.job === job)
      if ((of ?? { problem }).problem !== undefined) continue
      const converted = of?.state?.kind === 'converted' ? of.state : undefined
      const converting = of?.state?.kind === 'converting' ? of.state : undefined
      const show = (gauge: Gauge, value: number | undefined): void =>
        value === undefined ? gauge.remove({ job }) : gauge.set({ job }, value)
      show(partitionsUntil, converted && converted.coveredUntil / SECOND)
      show(partitionsEnabled, converted && (enabled ? 1 : 0))
      show(partitionsDefaultRows, converted && converted.unplaced.rows + (converted.unplaced.more ? 1 : 0))
      show(partitionsDetached, converted?.detached.length)
      show(partitionsRefusing, converting?.refusesFrom === undefined ? undefined : converting.refusesFrom / SECOND)
    }
  }
}
