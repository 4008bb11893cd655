import type { Clock } from '../../../time/clock.ts'
import type { MigrationLockOptions, ApplyOutside, ApplyTransaction } from '../../migrating.ts'
import type { ConversionOptions, PartitionTerms } from '../../partitioning.ts'
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

export async function startConversion(_options: ConvertingOptions, _terms: PartitionTerms, _asked: ConversionOptions): Promise<void> {
  return Promise.reject(new Error('to be written'))
}
