import { createHash } from 'node:crypto'
import { concurrently } from '../concurrently.ts'
import { archiveFailed, damaged } from '../damage.ts'
import { MOST_MANIFEST_BYTES } from '../format.ts'
import { FolderAccess, rowsFirst } from './folder-access.ts'
import { MANIFEST_SUFFIX, parsePath, RECONCILED, ROWS_SUFFIX, type ArchivePath } from './path.ts'
import { S3Bucket, TooLong, type ObjectFacts } from './s3-bucket.ts'
import { S3Spool } from './s3-spool.ts'
import { mustTakeDrafts } from './spool-folder.ts'
import type { FileFacts, Listing, OpenFile, Spool, Store } from './store.ts'

const AT_ONCE = 8
/** A file of rows is read twice, once for its digest: one of this size is asked for once. */
const KEPT_BYTES = 8 * 2 ** 20

export interface S3StoreOptions {
  readonly table: string
  readonly uid: number | undefined
  /** No request is tried again after that; absent: all are. */
  readonly stopping?: AbortSignal | undefined
}

/** A bucket, or what lies below a path in it. */
export class S3Store implements Store {
  readonly root: string
  readonly table: string
  readonly mayVanish = false
  readonly publishesLate = true
  readonly readsAtOnce = AT_ONCE
  readonly #bucket: S3Bucket
  readonly #access: FolderAccess
  readonly #options: S3StoreOptions
  #notes: string[] = []
  #toldUnconditional = false

  constructor(bucket: S3Bucket, options: S3StoreOptions) {
    this.root = bucket.absolute('')
    this.table = options.table
    this.#bucket = bucket
    this.#options = options
    this.#access = new FolderAccess(bucket.place.spool, options.uid)
  }

  spool(prefix: string): Spool {
    return new S3Spool({ bucket: this.#bucket, access: this.#access, store: this, prefix, stopping: this.#options.stopping })
  }

  make(): Promise<void> {
    return this.#access.guarded('cannot be used for the files that are being written', '', () =>
      mustTakeDrafts(this.#access, this.#bucket.place, this.table, this.#options.uid),
    )
  }

  warning(): Promise<string | undefined> {
    return Promise.resolve(undefined)
  }

  takeNotes(): readonly string[] {
    const notes = this.#notes
    this.#notes = []
    if (!this.#bucket.conditional && !this.#toldUnconditional) {
      this.#toldUnconditional = true
      notes.push(
        `the server of ${this.root} knows no condition on a PUT (If-None-Match), so each object is looked for before it is sent, and read back afterwards. ` +
          'See to it that no other database archives to this place',
      )
    }
    return notes
  }

  absolute(path: string): string {
    return this.#bucket.absolute(path)
  }

  async exists(path: ArchivePath): Promise<boolean> {
    return (await this.#bucket.head(path, this.#options.stopping)) !== undefined
  }

  async read(path: ArchivePath): Promise<Buffer | undefined> {
    try {
      return await this.#bucket.read(path, MOST_MANIFEST_BYTES, this.#options.stopping)
    } catch (error) {
      throw error instanceof TooLong ? damaged(this.absolute(error.message), error) : error
    }
  }

  async open(path: ArchivePath): Promise<OpenFile | undefined> {
    const facts = await this.#bucket.head(path, this.#options.stopping)
    if (facts === undefined) return undefined
    let kept: readonly Buffer[] | undefined
    return {
      bytes: facts.bytes,
      chunks: () => (kept === undefined ? this.#kept(path, facts, (chunks) => void (kept = chunks)) : each(kept)),
      close: () => {
        kept = undefined
        return Promise.resolve()
      },
    }
  }

  async *#kept(path: ArchivePath, facts: ObjectFacts, keep: (chunks: readonly Buffer[]) => void): AsyncGenerator<Buffer> {
    const chunks: Buffer[] = []
    for await (const chunk of this.#bucket.chunks(path, facts, this.#options.stopping)) {
      if (facts.bytes <= KEPT_BYTES) chunks.push(chunk)
      yield chunk
    }
    if (facts.bytes <= KEPT_BYTES) keep(chunks)
  }

  async remove(paths: readonly ArchivePath[]): Promise<readonly ArchivePath[]> {
    const stay: ArchivePath[] = []
    for (const some of rowsFirst(paths))
      await concurrently(AT_ONCE, some, async (path) => {
        if (!(await this.#bucket.remove(path, this.#options.stopping))) stay.push(path)
      })
    if (stay.length > 0)
      this.#notes.push(
        `${stay.length} objects in ${this.root} were not removed, ${stay[0]} first: the bucket locks them, or these credentials have no right to s3:DeleteObject. ` +
          'They are no longer part of the archive, and the next runs try again',
      )
    return stay
  }

  async setAside(paths: readonly ArchivePath[]): Promise<void> {
    const { stopping } = this.#options
    for (const path of paths) {
      const facts = await this.#bucket.head(path, stopping)
      if (facts === undefined) continue
      const to = `${RECONCILED}/${path}`
      const there = await this.#bucket.head(to, stopping)
      if (there === undefined) await this.#bucket.copy(path, to, stopping)
      if (!(await this.#areSame(path, facts, to)))
        throw archiveFailed(
          `${this.absolute(path)} cannot be set aside: ${to} is another object`,
          undefined,
          'Move that out of the archive, and keep it',
        )
      if (!(await this.#bucket.remove(path, stopping)))
        throw archiveFailed(
          `${this.absolute(path)} was copied to ${to}, and cannot be removed: the bucket locks it, or a right is missing`,
          undefined,
          'Give these credentials the right to s3:DeleteObject, or wait until the lock ends',
        )
    }
  }

  async #areSame(path: ArchivePath, facts: ObjectFacts, to: string): Promise<boolean> {
    const { stopping } = this.#options
    const copied = await this.#bucket.head(to, stopping)
    if (copied?.bytes !== facts.bytes) return false
    const digests = await Promise.all(
      (
        [
          [path, facts],
          [to, copied],
        ] as const
      ).map(async ([at, of]) => {
        const hash = createHash('sha256')
        for await (const chunk of this.#bucket.chunks(at, of, stopping)) hash.update(chunk)
        return hash.digest('hex')
      }),
    )
    return digests[0] === digests[1]
  }

  async *files(): AsyncGenerator<ArchivePath> {
    for await (const { key } of this.#bucket.list(`${this.table}/`, this.#options.stopping)) {
      const path = parsePath(key, this.table)
      if (path !== undefined) yield path
    }
  }

  async list(): Promise<readonly ArchivePath[]> {
    const paths: ArchivePath[] = []
    for await (const path of this.files()) paths.push(path)
    return paths.toSorted()
  }

  async inspect(): Promise<Listing> {
    const paths: ArchivePath[] = []
    const problems: string[] = []
    for await (const { key } of this.#bucket.list(`${this.table}/`, this.#options.stopping)) {
      const path = parsePath(key, this.table)
      if (path !== undefined) paths.push(path)
      // People would take it for a file of the archive.
      else if (key.endsWith(ROWS_SUFFIX) || key.endsWith(MANIFEST_SUFFIX))
        problems.push(`${key}: does not have the name of an archive file`)
    }
    return { paths: paths.toSorted(), problems }
  }

  async facts(): Promise<ReadonlyMap<ArchivePath, FileFacts>> {
    const facts = new Map<ArchivePath, FileFacts>()
    for await (const { key, bytes, md5 } of this.#bucket.list(`${this.table}/`, this.#options.stopping)) {
      const path = parsePath(key, this.table)
      if (path !== undefined) facts.set(path, { bytes, md5 })
    }
    return facts
  }

  async md5(path: ArchivePath): Promise<string | undefined> {
    return (await this.#bucket.head(path, this.#options.stopping))?.md5
  }
}

async function* each(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* await Promise.resolve(chunks)
}
