import type { PartitionState } from '../../partitioning.ts'
import type { PartitioningOptions } from './tree.ts'

export async function partitionState(_options: PartitioningOptions): Promise<PartitionState> {
  return Promise.reject(new Error('to be written'))
}
