import { MaintenanceError } from '../../../errors.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Work } from './conversion.ts'
import type { PartitioningOptions } from './tree.ts'

/** One step, as the listener hears of it. */
export async function told(work: Work, sentence: string, step: () => Promise<{ readonly lockedMs: number } | void>): Promise<void> {
  const { clock } = work.options
  work.listener.step(sentence)
  const beganMs = clock.monotonicMs()
  const done = await step()
  work.listener.done(clock.monotonicMs() - beganMs, done?.lockedMs)
}

export function blocked({ listener }: Work): (by: string, waitedMs: number) => void {
  return (by, waitedMs) => listener.blocked(by, waitedMs)
}

export function titleOf({ schema, column }: PartitioningOptions): string {
  return `${schema}.${column.table}`
}

export function refused(problems: readonly string[]): MaintenanceError {
  return new MaintenanceError('PARTITION_REFUSED', problems)
}

/** Another session has changed what the statements were made for: nothing was done. */
export function changed(options: PartitioningOptions): DatabaseError {
  return new DatabaseError(
    'busy',
    `${titleOf(options)} was changed by another session meanwhile, and nothing was done. Run: mcp-gateway-maintenance partition undo`,
  )
}
