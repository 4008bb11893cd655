import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { concurrently } from '../concurrently.ts'
import { archiveFailed, damaged, SHARED } from '../damage.ts'
import { DraftFolder } from './draft-folder.ts'
import type { FolderAccess } from './folder-access.ts'
import { rowsFirst } from './folder-access.ts'
import { shelfOf, spoolFolderOf } from './folder-spool.ts'
import { openFile } from './open-file.ts'
import type { ArchivePath } from './path.ts'
import type { S3Bucket, Upload } from './s3-bucket.ts'
import type { Shelf, Spool, Store } from './store.ts'

/** Each holds a file, up to `IN_MEMORY_BYTES`, and a connection. */
const AT_ONCE = 4
/** A larger file is sent as it is read from the disk. */
const IN_MEMORY_BYTES = 4 * 2 ** 20

export interface S3SpoolOptions {
  readonly bucket: S3Bucket
  /** The folder of this machine. */
  readonly access: FolderAccess
  readonly store: Store
  readonly prefix: string
  readonly stopping: AbortSignal | undefined
}

/** The spool of an `S3Store`: a folder of this machine, whose files are sent to the bucket one by one. */
export class S3Spool extends DraftFolder implements Spool {
  readonly shelf: Shelf
  readonly #options: S3SpoolOptions

  constructor(options: S3SpoolOptions) {
    const { access, store, prefix } = options
    super(access, spoolFolderOf(store.table), prefix)
    this.#options = options
    this.shelf = shelfOf(this, store)
  }

  async collides(path: ArchivePath): Promise<boolean> {
    const draft = await this.#digested(path)
    return draft !== undefined && (await this.#compared(path, draft)) === 'other'
  }

  /** An object is whole or not there at all, and durable once it is. */
  async publish(paths: readonly ArchivePath[]): Promise<void> {
    const [rows, manifests] = rowsFirst(paths)
    for (const some of [manifests, rows]) await concurrently(AT_ONCE, some, (path) => this.#publish(path))
    const { access } = this.#options
    for (const path of paths) await rm(access.absolute(this.at(path)), { force: true })
  }

  async #publish(path: ArchivePath): Promise<void> {
    const { bucket, store, stopping } = this.#options
    const draft = await this.#digested(path)
    if (draft === undefined) {
      if (await store.exists(path)) return
      // Whoever has taken the lease from a run that stood still cleans the spool.
      throw archiveFailed(
        `${store.absolute(path)} cannot be put in its place: it is neither there nor waiting to be sent there`,
        undefined,
        'If no other worker was at work, see to it that nobody else removes files from ARCHIVE_SPOOL. The next run goes on',
      )
    }
    const sent = (bucket.conditional || !(await store.exists(path))) && (await bucket.put(path, draft, stopping))
    if (sent) return
    // What has this place is somebody else's, or ours, of an attempt whose answer was lost.
    const found = await this.#compared(path, draft)
    if (found === 'other') throw damaged(`${store.absolute(path)}: another file has this place, and was left there. ${SHARED}`)
    if (found === 'none')
      throw archiveFailed(`${store.absolute(path)} cannot be written: the server says that it is there already, and it is not`)
  }

  /** What there is of this path, beside the draft. */
  async #compared(path: ArchivePath, draft: Upload): Promise<'none' | 'same' | 'other'> {
    const { bucket, stopping } = this.#options
    const facts = await bucket.head(path, stopping)
    if (facts === undefined) return 'none'
    if (facts.bytes !== draft.bytes) return 'other'
    if (facts.md5 === draft.md5) return 'same'
    // An ETag that looks like a digest need not be one.
    const hash = createHash('sha256')
    for await (const chunk of bucket.chunks(path, facts, stopping)) hash.update(chunk)
    return hash.digest('hex') === draft.sha256 ? 'same' : 'other'
  }

  /** `undefined`: no file is waiting. */
  async #digested(path: ArchivePath): Promise<Upload | undefined> {
    const opened = await this.open(path)
    if (opened === undefined) return undefined
    const file = openFile(opened)
    const [md5, sha256] = [createHash('md5'), createHash('sha256')]
    const small = file.bytes <= IN_MEMORY_BYTES ? Buffer.allocUnsafeSlow(file.bytes) : undefined
    let bytes = 0
    try {
      for await (const chunk of file.chunks('reused')) {
        md5.update(chunk)
        sha256.update(chunk)
        small?.set(chunk, bytes)
        bytes += chunk.length
      }
    } finally {
      await file.close()
    }
    const at = this.#options.access.absolute(this.at(path))
    // Should the file be replaced meanwhile, the server refuses what does not have these digests.
    return {
      bytes,
      md5: md5.digest('hex'),
      sha256: sha256.digest('hex'),
      body: () => small?.subarray(0, bytes) ?? createReadStream(at, { end: bytes - 1 }),
    }
  }
}
