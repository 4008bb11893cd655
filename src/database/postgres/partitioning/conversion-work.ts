import type { Clock, EpochMs } from '../../../time/clock.ts'
import type { ApplyOutside, ApplyTransaction, MigrationLockOptions } from '../../migrating.ts'
import type { ConversionListener } from '../../partitioning.ts'
import type { PartitioningOptions } from './tree.ts'

/** What changes a table's structure needs besides: the migration lock, under which nobody else does. */
export interface ConvertingOptions extends PartitioningOptions {
  readonly withMigrationLock: <T>(
    options: MigrationLockOptions,
    work: (apply: ApplyTransaction, outside: ApplyOutside) => Promise<T>,
  ) => Promise<T>
  readonly pooled: () => Promise<boolean>
  readonly clock: Clock
  /** From 0 to below 1. */
  readonly random: () => number
}

/** What each step is handed. */
export interface Work {
  readonly options: ConvertingOptions
  readonly apply: ApplyTransaction
  readonly outside: ApplyOutside
  readonly listener: ConversionListener
  readonly signal: AbortSignal
  /** The database's clock, as far as it can be told without asking. */
  readonly now: () => EpochMs
}
