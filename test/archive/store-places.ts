import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FolderStore } from '../../src/archive/store/folder-store.ts'
import { PATIENCE, S3Bucket, type Patience } from '../../src/archive/store/s3-bucket.ts'
import { S3Store } from '../../src/archive/store/s3-store.ts'
import type { OpenFile, Store } from '../../src/archive/store/store.ts'
import type { BucketOptions } from '../support/s3/bucket.ts'
import { S3Server } from '../support/s3/server.ts'
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
  readonly skip: string | false
  /** Whether a name is of bytes that mean nothing, so that one with `..` in it is a name like any other. */
  readonly flatNames: boolean
  fresh(): Promise<StorePlace>
}

const PREFIX = 'of/the tests'

export const STORE_KINDS: readonly StoreKind[] = [
  { name: 'a folder', skip: false, flatNames: false, fresh: folderPlace },
  { name: 'a bucket', skip: false, flatNames: true, fresh: () => bucketPlace({}) },
  { name: 'a bucket with versions', skip: false, flatNames: true, fresh: () => bucketPlace({ versioned: true }) },
  { name: 'a bucket whose ETags are no digests', skip: false, flatNames: true, fresh: () => bucketPlace({ etags: 'opaque' }) },
]

/** As long as a slow machine may need, without the pauses. */
const PATIENT: Patience = { ...PATIENCE, pausesMs: [1, 1] }

export interface BucketStorePlace extends StorePlace {
  readonly server: S3Server
  store(machine?: string, table?: string, patience?: Patience): Store
}

/** In a bucket beside what others have in it. */
export async function bucketPlace(bucketOptions: BucketOptions): Promise<BucketStorePlace> {
  const server = await S3Server.start({ buckets: { archive: bucketOptions } })
  Object.assign(process.env, server.env)
  const machines = await freshFolder()
  const bucket = server.bucket()
  bucket.put(`${PREFIX}2/audit_logs/2026/08/25/1-1.json`, Buffer.from('beside it'), Date.now())
  bucket.put('audit_logs/2026/08/25/1-1.json', Buffer.from('above it'), Date.now())
  const beginning = `${PREFIX}/`
  return {
    server,
    store: (machine = 'this', table = 'audit_logs', patience = PATIENT) =>
      new S3Store(
        new S3Bucket(
          {
            kind: 's3',
            bucket: 'archive',
            prefix: PREFIX,
            endpoint: server.url,
            region: server.region,
            pathStyle: undefined,
            insecure: false,
            spool: join(machines.path, machine),
            spoolChosen: true,
          },
          patience,
        ),
        { table, uid: process.getuid?.() },
      ),
    plant: (path, content) => Promise.resolve(void bucket.put(beginning + path, Buffer.from(content), Date.now())),
    content: (path) => Promise.resolve(bucket.bytes(beginning + path)),
    paths: () =>
      Promise.resolve(
        bucket
          .keys()
          .filter((key) => key.startsWith(beginning))
          .map((key) => key.slice(beginning.length)),
      ),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await machines[Symbol.asyncDispose]()
    },
  }
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
