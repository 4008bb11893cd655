import type { ConversionOptions } from '../../partitioning.ts'
import type { ConvertingOptions } from './conversion.ts'

export async function undoConversion(_options: ConvertingOptions, _asked: ConversionOptions): Promise<void> {
  return Promise.reject(new Error('to be written'))
}
