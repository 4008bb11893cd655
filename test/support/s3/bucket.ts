import { createHash } from 'node:crypto'
import { S3Failure } from './answer.ts'
import { md5Of } from './digests.ts'
import { FolderObjects } from './folder-objects.ts'
import { MemoryObjects, type Objects, type Version } from './objects.ts'

export interface BucketOptions {
  /** Another one than the server's: requests are sent there. */
  readonly region?: string
  readonly versioned?: boolean
  /** With Object Lock every PUT needs a digest, versions cannot be deleted, and the bucket has versions. */
  readonly locked?: boolean
  /** As of policies that forbid it. */
  readonly deletes?: 'allowed' | 'forbidden'
  /** What `If-None-Match` and `If-Match` do to a PUT. `conflicting`: 409 where the object came into being while the body arrived. */
  readonly conditions?: 'atomic' | 'conflicting' | 'refused' | 'ignored'
  /** The MD5, except under keys of KMS. */
  readonly etags?: 'md5' | 'opaque'
  /** The objects are the files of this folder, under their paths, and without versions. Absent: they are in memory. */
  readonly folder?: string
}

/** Objects with all their versions. Whatever is in it was complete when it came. */
export class Bucket {
  readonly name: string
  readonly region: string | undefined
  readonly versioned: boolean
  readonly locked: boolean
  readonly deletesForbidden: boolean
  readonly conditions: NonNullable<BucketOptions['conditions']>
  readonly #etags: NonNullable<BucketOptions['etags']>
  readonly #objects: Objects
  #made = 0

  constructor(name: string, options: BucketOptions = {}) {
    this.name = name
    this.region = options.region
    this.locked = options.locked === true
    this.versioned = options.versioned === true || this.locked
    this.deletesForbidden = options.deletes === 'forbidden'
    this.conditions = options.conditions ?? 'atomic'
    this.#etags = options.etags ?? 'md5'
    if (options.folder !== undefined && this.versioned) throw new TypeError('a folder keeps no versions')
    this.#objects = options.folder === undefined ? new MemoryObjects() : new FolderObjects(options.folder, (body) => this.#etagOf(body))
  }

  /** Of all objects that are there and begin so, in the order of their UTF-8 bytes. */
  keys(prefix = ''): readonly string[] {
    return this.#objects.keys(prefix)
  }

  /** May be a marker. */
  current(key: string): Version | undefined {
    return this.versions(key).at(-1)
  }

  versions(key: string): readonly Version[] {
    return this.#objects.versions(key)
  }

  bytes(key: string): Buffer | undefined {
    return this.current(key)?.body
  }

  put(key: string, body: Buffer, at: number, metadata: Readonly<Record<string, string>> = {}): Version {
    return this.#add(key, { etag: this.#etagOf(body), body, metadata, modifiedAt: at })
  }

  /** Returns the marker, in a bucket with versions. Nothing is there to delete: nothing happens. */
  remove(key: string, at: number): Version | undefined {
    this.#mayDelete()
    if (this.versioned) return this.#add(key, { etag: '', body: undefined, metadata: {}, modifiedAt: at })
    this.#objects.replace(key, [])
    return undefined
  }

  removeVersion(key: string, id: string): void {
    this.#mayDelete()
    const gone = this.versions(key).find((version) => version.id === id)
    if (gone?.body !== undefined && this.locked)
      throw new S3Failure(403, 'AccessDenied', 'Access Denied because object protected by object lock.')
    this.#objects.replace(
      key,
      this.versions(key).filter((version) => version !== gone),
    )
  }

  #etagOf(body: Buffer): string {
    const md5 = md5Of(body)
    return `"${this.#etags === 'md5' ? md5 : createHash('md5').update(`under a key ${md5}`).digest('hex')}"`
  }

  #mayDelete(): void {
    if (this.deletesForbidden) throw new S3Failure(403, 'AccessDenied', 'Access Denied')
  }

  #add(key: string, version: Omit<Version, 'id'>): Version {
    const added = { ...version, id: this.versioned ? `v${(this.#made += 1)}` : 'null' }
    this.#objects.replace(key, this.versioned ? [...this.versions(key), added] : [added])
    return added
  }
}
