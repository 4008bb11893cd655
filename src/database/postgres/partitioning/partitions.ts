import type { Partitions } from '../../partitioning.ts'
import type { ConvertingOptions } from './conversion-work.ts'

/** What the other files of this folder do, as the boundary has it. Each is loaded when it is needed: most tables are plain, and stay so. */
export function partitionsOf(options: ConvertingOptions): Partitions {
  return {
    state: async () => (await import('./partition-state.ts')).partitionState(options),
    plan: async (terms) => (await import('./conversion-plan.ts')).planConversion(options, terms),
    start: async (terms, asked) => (await import('./conversion.ts')).startConversion(options, terms, asked),
    undo: async (asked) => (await import('./undo.ts')).undoConversion(options, asked),
    ahead: async (until, terms) => (await import('./making.ts')).missingAhead(options, until, terms),
    expired: async (cutoff) => (await import('./expired-partitions.ts')).expiredPartitions(options, cutoff),
    detached: async () => (await import('./dropping.ts')).detachedPartitions(options),
    sparedInDetached: async (spared, most) => (await import('./dropping.ts')).sparedInDetached(options, spared, most),
  }
}
