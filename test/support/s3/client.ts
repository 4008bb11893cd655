import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import type { Account } from './signature.ts'

export interface Place {
  readonly url: string
  readonly region: string
  readonly account: Account
}

/** Asks once, and takes nothing from the environment. */
export function clientOf({ url, region, account }: Place, more: Partial<S3ClientConfig> = {}): S3Client {
  return new S3Client({
    endpoint: url,
    region,
    credentials: account,
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...more,
  })
}
