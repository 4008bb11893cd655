import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import type { ArchivePlace } from '../../src/archive/archive-location.ts'
import { DiscardedFiles } from '../../src/archive/discarded-files.ts'
import { verify, type Verification } from '../../src/archive/read/verify.ts'
import { storeAt } from '../../src/archive/store/store-at.ts'
import type { Database } from '../../src/database/database.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { DAY } from '../../src/time/clock.ts'
import { AUDIT_LOGS, run } from '../runs/support.ts'
import { S3Server, type S3ServerOptions } from '../support/s3/server.ts'
import { placeAt } from './bucket-place.ts'
import { recordOf } from './support.ts'

export { placeAt, PREFIX } from './bucket-place.ts'

export interface BucketArchive extends AsyncDisposable {
  readonly server: S3Server
  readonly place: ArchivePlace
  /** What a machine has of the archive, which may be lost. */
  readonly spool: string
}

/** An object store of its own, with an empty archive. The credentials are those of this process from now on. */
export async function freshBucket(options: S3ServerOptions = {}): Promise<BucketArchive> {
  const server = await S3Server.start(options)
  Object.assign(process.env, server.env)
  const spool = await mkdtemp(join(tmpdir(), 'maintenance-spool-'))
  return {
    server,
    spool,
    place: placeAt(server, spool),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await rm(spool, { recursive: true, force: true })
    },
  }
}

/** Runs the purge of audit logs older than 90 days, with the archive. */
export function purgedTo(
  place: ArchivePlace,
  database: Database,
  { keptMs, ...request }: Parameters<typeof run>[1] & { readonly keptMs?: number } = {},
  options: Parameters<typeof run>[2] = {},
): Promise<RunResult> {
  return run(
    database,
    { job: AUDIT_LOGS, retentionMs: 90 * DAY, accepted: new Set(['empty-table'] as const), ...request },
    { archive: { ...place, keptMs, lateKeptMs: 0 }, ...options },
  )
}

export function verifiedAt(place: ArchivePlace, database: Database): Promise<Verification> {
  const discarded = new DiscardedFiles((name) => database.named(name), 'audit_logs')
  return verify({ database, record: recordOf(database), store: storeAt(place, 'audit_logs'), discarded, since: undefined })
}

/** The ids of the rows of every object, each as often as it occurs. */
export function idsInBucket({ server }: Pick<BucketArchive, 'server'>): number[] {
  const bucket = server.bucket()
  return bucket
    .keys()
    .filter((key) => key.endsWith('.ndjson.zst') && !key.includes('/reconciled/'))
    .flatMap((key) =>
      zstdDecompressSync(bucket.bytes(key)!)
        .toString()
        .split('\n')
        .slice(0, -1)
        .map((line) => Number((JSON.parse(line) as { id: unknown }).id)),
    )
    .toSorted((a, b) => a - b)
}
