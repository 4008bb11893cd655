import { retentionOf } from '../catalogue.ts'
import type { JobSettings } from '../config/load.ts'
import type { Events } from '../observe/events.ts'
import type { Program } from '../program.ts'
import type { MakingContext } from '../runs/make-ahead.ts'
import { HOUR } from '../time/clock.ts'

export interface Upkeep extends MakingContext {
  readonly enabled: boolean
  readonly aheadMs: number
  readonly jobs: readonly JobSettings[]
  readonly events: Pick<Events, 'partitionsMade' | 'partitionsSkipped' | 'partitionsNotMade'>
}

export function upkeepOf({ host, settings, database, events, shutdown }: Program): Upkeep {
  return {
    database,
    clock: host.clock,
    worker: host.worker,
    stopping: shutdown.stopping,
    jobs: settings.jobs,
    events,
    ...settings.partitions,
  }
}

/**
 * One pass makes partitions ahead of each table that was turned into partitions, whether or not its job is enabled, since the gateway goes on writing. What lasts is
 * said in the first of its passes alone, and again only after a pass without it.
 */
export function partitionPasses(upkeep: Upkeep): () => Promise<void> {
  const { enabled, aheadMs, jobs, events, database } = upkeep
  const partitionable = jobs.filter(({ job }) => retentionOf(job) !== undefined && database.partitions(job) !== undefined)
  let told: ReadonlySet<string> = new Set()
  return async () => {
    if (!enabled || partitionable.length === 0) return
    const { makeAhead } = await import('../runs/make-ahead.ts')
    const lasting = new Set<string>()
    const once = (kind: string, tell: () => void): void => {
      if (!told.has(kind)) tell()
      lasting.add(kind)
    }
    for (const kept of partitionable) {
      const { table } = kept.job
      const result = await makeAhead(upkeep, kept, aheadMs)
      if (result.kind !== 'done') continue
      if (result.made.length > 0) events.partitionsMade(table, result.made)
      for (const clause of result.skipped) once(clause, () => events.partitionsSkipped(table, clause))
      for (const { kind, text } of result.failed) once(`${table} ${kind}`, () => events.partitionsNotMade(table, text))
    }
    told = lasting
  }
}

/** At once and then every hour, until the worker stops. */
export async function keepPartitionsAhead(upkeep: Upkeep): Promise<void> {
  const { clock, stopping, enabled } = upkeep
  if (!enabled) return
  const pass = partitionPasses(upkeep)
  while (!stopping.aborted) {
    await pass()
    await clock.sleep(HOUR, stopping)
  }
}
