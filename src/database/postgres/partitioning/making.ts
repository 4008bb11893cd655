import type { Ahead, PartitionTerms } from '../../partitioning.ts'
import type { EpochMs } from '../../../time/clock.ts'
import type { PartitioningOptions } from './tree.ts'

export async function missingAhead(_options: PartitioningOptions, _until: EpochMs, _terms: PartitionTerms): Promise<Ahead> {
  return Promise.reject(new Error('to be written'))
}
