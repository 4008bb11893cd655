import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FolderStore } from '../../src/archive/store/folder-store.ts'
import { storeAt } from '../../src/archive/store/store-at.ts'
import type { OpenFile, Store } from '../../src/archive/store/store.ts'
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
  readonly skip: string | false
  /** Whether a name is of bytes that mean nothing, so that one with `..` in it is a name like any other. */
  readonly flatNames: boolean
  fresh(): Promise<StorePlace>
}

export const STORE_KINDS: readonly StoreKind[] = [
  { name: 'a folder', skip: false, flatNames: false, fresh: folderPlace },
  { name: 'a bucket', skip: false, flatNames: true, fresh: bucketPlace },
]

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

async function bucketPlace(): Promise<StorePlace> {
  const archive = await freshBucket()
  const bucket = archive.server.bucket()
  return {
    store: (machine = 'this', table = 'audit_logs') => storeAt(placeAt(archive.server, join(archive.spool, machine)), table),
    plant: (path, content) => Promise.resolve(void bucket.put(`${PREFIX}/${path}`, Buffer.from(content), 0)),
    content: (path) => Promise.resolve(bucket.bytes(`${PREFIX}/${path}`)),
    paths: () => Promise.resolve(bucket.keys().map((key) => key.slice(PREFIX.length + 1))),
    [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose](),
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
