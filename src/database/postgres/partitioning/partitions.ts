import type { Partitions } from '../../partitioning.ts'
import { startConversion, type ConvertingOptions } from './conversion.ts'
import { missingAhead } from './making.ts'
import { planConversion } from './conversion-plan.ts'
import { detachedPartitions, sparedInDetached } from './dropping.ts'
import { expiredPartitions } from './expired-partitions.ts'
import { partitionState } from './partition-state.ts'
import { undoConversion } from './undo.ts'

/** What the other files of this folder do, as the boundary has it. */
export function partitionsOf(options: ConvertingOptions): Partitions {
  return {
    state: () => partitionState(options),
    plan: (terms) => planConversion(options, terms),
    start: (terms, asked) => startConversion(options, terms, asked),
    undo: (asked) => undoConversion(options, asked),
    ahead: (until, terms) => missingAhead(options, until, terms),
    expired: (cutoff) => expiredPartitions(options, cutoff),
    detached: () => detachedPartitions(options),
    sparedInDetached: (spared, most) => sparedInDetached(options, spared, most),
  }
}
