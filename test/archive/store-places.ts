import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Patience } from '../../src/archive/archive-location.ts'
import { FolderStore } from '../../src/archive/store/folder-store.ts'
import { storeAt } from '../../src/archive/store/store-at.ts'
import type { OpenFile, Store } from '../../src/archive/store/store.ts'
import type { BucketOptions } from '../support/s3/bucket.ts'
import type { S3Server } from '../support/s3/server.ts'
import { freshBucket, placeAt, PREFIX } from './bucket-support.ts'
import { freshFolder } from './support.ts'

/** Somewhere that archives can lie, and what others see of it. */
export interface StorePlace extends AsyncDisposable {
  /** As a worker on this machine sees it: what waits in spools is a machine's own, unless all machines share it. */
  store(machine?: string, table?: string): Store
  /** Puts something there behind the store's back. Paths are below the archive's root. */
  plant(path: string, content: string | Buffer): Promise<void>
  content(path: string): Promise<Buffer | undefined>
  /** Everything that lies there, but for what is being written, in no order. */
  paths(): Promise<readonly string[]>
}

export interface StoreKind {
  readonly name: string
  /** Why two that write the same name at the same moment may both succeed; `false`: one of them fails. */
  readonly unconditional: string | false
  /** Whether a name is of bytes that mean nothing, so that one with `..` in it is a name like any other. */
  readonly flatNames: boolean
  fresh(): Promise<StorePlace>
}

export const STORE_KINDS: readonly StoreKind[] = [
  { name: 'a folder', unconditional: false, flatNames: false, fresh: folderPlace },
  { name: 'a bucket', unconditional: false, flatNames: true, fresh: () => bucketPlace({}) },
  { name: 'a bucket with versions', unconditional: false, flatNames: true, fresh: () => bucketPlace({ versioned: true }) },
  { name: 'a bucket whose objects are files', unconditional: false, flatNames: false, fresh: fileBucketPlace },
  { name: 'a bucket whose ETags are no digests', unconditional: false, flatNames: true, fresh: () => bucketPlace({ etags: 'opaque' }) },
]

/** As long as a slow machine may need, without pauses. */
export const PATIENT: Patience = { connectMs: 5_000, idleMs: 20_000, requestMs: 30_000, pausesMs: [1, 1] }

export interface BucketStorePlace extends StorePlace {
  readonly server: S3Server
  store(machine?: string, table?: string, patience?: Patience): Store
}

async function folderPlace(): Promise<StorePlace> {
  const folder = await freshFolder()
  return {
    store: (_machine, table = 'audit_logs') => new FolderStore(folder.path, table, process.getuid?.()),
    async plant(path, content) {
      await mkdir(join(folder.path, dirname(path)), { recursive: true, mode: 0o700 })
      await writeFile(join(folder.path, path), content, { mode: 0o600 })
    },
    content: (path) =>
      readFile(join(folder.path, path)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw error
      }),
    async paths() {
      const found = await readdir(folder.path, { recursive: true, withFileTypes: true })
      return found
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(folder.path.length + 1))
        .filter((path) => !path.includes('/.writing/'))
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

/** In a bucket beside what others have in it. */
export async function bucketPlace(options: BucketOptions): Promise<BucketStorePlace> {
  const archive = await freshBucket({ buckets: { archive: options } })
  const { server } = archive
  const bucket = server.bucket()
  const beginning = `${PREFIX}/`
  for (const other of [`${PREFIX}2/audit_logs/2026/08/25/1-1.json`, 'audit_logs/2026/08/25/1-1.json'])
    bucket.put(other, Buffer.from(other), 0)
  return {
    server,
    store(machine = 'this', table = 'audit_logs', patience = PATIENT) {
      const place = placeAt(server, join(archive.spool, machine))
      return storeAt({ ...place, bucket: { ...place.bucket!, patience } }, table)
    },
    plant: (path, content) => Promise.resolve(void bucket.put(beginning + path, Buffer.from(content), 0)),
    content: (path) => Promise.resolve(bucket.bytes(beginning + path)),
    paths: () => {
      const ours = bucket.keys().filter((key) => key.startsWith(beginning))
      return Promise.resolve(ours.map((key) => key.slice(beginning.length)))
    },
    [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose](),
  }
}

/** The bucket that other tests of archives have, see `ON_BUCKET`. */
async function fileBucketPlace(): Promise<StorePlace> {
  const folder = await mkdtemp(join(tmpdir(), 'maintenance-objects-'))
  const place = await bucketPlace({ folder })
  return {
    ...place,
    async [Symbol.asyncDispose]() {
      await place[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

/** Everything in a file of a store, which is closed. */
export async function bytesOf(file: OpenFile | undefined): Promise<Buffer | undefined> {
  if (file === undefined) return undefined
  try {
    const chunks: Buffer[] = []
    for await (const chunk of file.chunks()) chunks.push(chunk)
    return Buffer.concat(chunks)
  } finally {
    await file.close()
  }
}
