import type { SparedRows } from '../../../policy/spared.ts'
import type { EpochMs } from '../../../time/clock.ts'
import type { DetachedPartition, ExpiredPartition } from '../../partitioning.ts'
import type { PartitioningOptions } from './tree.ts'

export async function expiredPartitions(_options: PartitioningOptions, _cutoff: EpochMs): Promise<readonly ExpiredPartition[]> {
  return Promise.reject(new Error('to be written'))
}

export async function detachedPartitions(_options: PartitioningOptions): Promise<readonly DetachedPartition[]> {
  return Promise.reject(new Error('to be written'))
}

export async function sparedInDetached(_options: PartitioningOptions, _spared: SparedRows, _most: number): Promise<number> {
  return Promise.reject(new Error('to be written'))
}
