import type { ArchivePlace, Patience } from '../../src/archive/archive-location.ts'
import type { S3Server } from '../support/s3/server.ts'

/** Where archives lie in the buckets of tests. */
export const PREFIX = 'of/tests'

/** As long as a machine with many tests takes for one request; the pauses are short. */
const PATIENCE: Patience = { connectMs: 5_000, idleMs: 5_000, requestMs: 5_000, pausesMs: [1, 5, 20, 50, 100, 200] }

/** The same bucket, as a machine with this spool sees it. */
export function placeAt({ url, region }: S3Server, spool: string, prefix = PREFIX): ArchivePlace {
  const bucket = {
    kind: 's3',
    bucket: 'archive',
    prefix,
    endpoint: url,
    region,
    pathStyle: undefined,
    insecure: false,
    spool,
    spoolChosen: true,
    patience: PATIENCE,
  } as const
  return { directory: `s3://archive/${prefix}`, bucket, uid: process.getuid?.() }
}
