import type { ConversionPlan, PartitionTerms } from '../../partitioning.ts'
import type { PartitioningOptions } from './tree.ts'

export async function planConversion(_options: PartitioningOptions, _terms: PartitionTerms): Promise<ConversionPlan> {
  return Promise.reject(new Error('to be written'))
}
