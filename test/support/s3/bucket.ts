import { createHash } from 'node:crypto'
import { S3Failure } from './answer.ts'
import { md5Of } from './digests.ts'

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
}

export interface Version {
  readonly id: string
  readonly modifiedAt: number
  readonly etag: string
  readonly metadata: Readonly<Record<string, string>>
  /** `undefined`: a marker, which says that the object was deleted. */
  readonly body: Buffer | undefined
}

/** Objects in memory, with all their versions. Whatever is in it was complete when it came. */
export class Bucket {
  readonly name: string
  readonly region: string | undefined
  readonly versioned: boolean
  readonly locked: boolean
  readonly deletesForbidden: boolean
  readonly conditions: NonNullable<BucketOptions['conditions']>
  readonly #etags: NonNullable<BucketOptions['etags']>
  readonly #objects = new Map<string, Version[]>()
  #sorted: readonly string[] | undefined
  #made = 0

  constructor(name: string, options: BucketOptions = {}) {
    this.name = name
    this.region = options.region
    this.locked = options.locked === true
    this.versioned = options.versioned === true || this.locked
    this.deletesForbidden = options.deletes === 'forbidden'
    this.conditions = options.conditions ?? 'atomic'
    this.#etags = options.etags ?? 'md5'
  }

  /** Of all objects that are there, in the order of their UTF-8 bytes. */
  keys(): readonly string[] {
    this.#sorted ??= [...this.#objects.keys()]
      .filter((key) => this.current(key)?.body !== undefined)
      .map((key) => ({ key, bytes: Buffer.from(key) }))
      .toSorted((a, b) => Buffer.compare(a.bytes, b.bytes))
      .map(({ key }) => key)
    return this.#sorted
  }

  /** May be a marker. */
  current(key: string): Version | undefined {
    return this.#objects.get(key)?.at(-1)
  }

  versions(key: string): readonly Version[] {
    return this.#objects.get(key) ?? []
  }

  bytes(key: string): Buffer | undefined {
    return this.current(key)?.body
  }

  put(key: string, body: Buffer, at: number, metadata: Readonly<Record<string, string>> = {}): Version {
    const md5 = md5Of(body)
    const etag = this.#etags === 'md5' ? md5 : createHash('md5').update(`under a key ${md5}`).digest('hex')
    return this.#add(key, { etag: `"${etag}"`, body, metadata, modifiedAt: at })
  }

  /** Returns the marker, in a bucket with versions. Nothing is there to delete: nothing happens. */
  remove(key: string, at: number): Version | undefined {
    this.#mayDelete()
    if (this.versioned) return this.#add(key, { etag: '', body: undefined, metadata: {}, modifiedAt: at })
    this.#objects.delete(key)
    this.#sorted = undefined
    return undefined
  }

  removeVersion(key: string, id: string): void {
    this.#mayDelete()
    const gone = this.versions(key).find((version) => version.id === id)
    if (gone?.body !== undefined && this.locked)
      throw new S3Failure(403, 'AccessDenied', 'Access Denied because object protected by object lock.')
    const left = this.versions(key).filter((version) => version !== gone)
    if (left.length === 0) this.#objects.delete(key)
    else this.#objects.set(key, left)
    this.#sorted = undefined
  }

  #mayDelete(): void {
    if (this.deletesForbidden) throw new S3Failure(403, 'AccessDenied', 'Access Denied')
  }

  #add(key: string, version: Omit<Version, 'id'>): Version {
    const added = { ...version, id: this.versioned ? `v${(this.#made += 1)}` : 'null' }
    if (this.versioned) this.#objects.set(key, [...this.versions(key), added])
    else this.#objects.set(key, [added])
    this.#sorted = undefined
    return added
  }
}
