import { retentionOf } from '../catalogue.ts'
import type { JobSettings } from '../config/load.ts'
import type { Program } from '../program.ts'
import { makeAhead } from '../runs/make-ahead.ts'
import { HOUR } from '../time/clock.ts'

/**
 * Makes partitions ahead of each table that was turned into partitions, whether or not its job is enabled, since the gateway goes on writing. The same passes of a
 * worker say once what lasts, and again only after it had gone.
 */
export function partitionUpkeep(program: Program): () => Promise<void> {
  const { host, settings, database, events, shutdown } = program
  const context = { database, clock: host.clock, worker: host.worker, stopping: shutdown.stopping }
  let told: ReadonlySet<string> = new Set()
  return async () => {
    if (!settings.partitions.enabled) return
    const now = new Set<string>()
    const once = (text: string, tell: () => void): void => {
      // Ages, processes and days differ from pass to pass.
      const kind = text.replace(/\d+/g, '0')
      if (!told.has(kind)) tell()
      now.add(kind)
    }
    for (const kept of settings.jobs.filter(isPartitionable)) {
      const { table } = kept.job
      const result = await makeAhead(context, kept, settings.partitions.aheadMs)
      if (result.kind !== 'done') continue
      if (result.made.length > 0) events.partitionsMade(table, result.made)
      for (const clause of result.skipped) once(clause, () => events.partitionsSkipped(table, clause))
      for (const sentence of result.failed) once(sentence, () => events.partitionsNotMade(table, sentence))
    }
    told = now
  }
}

/** At once and then every hour, until the worker stops. */
export async function keepPartitionsAhead(program: Program): Promise<void> {
  const { host, shutdown } = program
  const pass = partitionUpkeep(program)
  while (!shutdown.stopping.aborted) {
    await pass()
    await host.clock.sleep(HOUR, shutdown.stopping)
  }
}

function isPartitionable({ job }: JobSettings): boolean {
  return retentionOf(job) !== undefined
}
