import type { ArchivePlace } from '../archive-location.ts'
import { FolderStore } from './folder-store.ts'
import { S3Bucket } from './s3-bucket.ts'
import { S3Store } from './s3-store.ts'
import type { Store } from './store.ts'

/** Buckets by their places: one keeps its connections and its credentials for all stores of a process. */
const buckets = new Map<string, S3Bucket>()

/** The published files of a table at a place. Nothing is made or asked yet. `stopping`: absent, requests are tried again whatever happens. */
export function storeAt({ directory, bucket: place, uid }: ArchivePlace, table: string, stopping?: AbortSignal): Store {
  if (place === undefined) return new FolderStore(directory, table, uid)
  const key = JSON.stringify(place)
  const bucket = buckets.get(key) ?? new S3Bucket(place)
  buckets.set(key, bucket)
  return new S3Store(bucket, { table, uid, stopping })
}
