import { Readable } from 'node:stream'
import { MaintenanceError } from '../../errors.ts'
import type { BucketPlace } from '../archive-location.ts'
import { statusOf, type Failure } from './s3-failure.ts'
import { NONSENSE, S3Requests, ShortAnswer } from './s3-requests.ts'

/** What the server says of an object. */
export interface ObjectFacts {
  readonly bytes: number
  /** As it is sent back in conditions. */
  readonly etag: string
  /** Of its content, in hexadecimal, where the ETag is one. */
  readonly md5: string | undefined
}

export interface Listed extends ObjectFacts {
  readonly key: string
}

export interface Upload {
  readonly bytes: number
  /** In hexadecimal. */
  readonly md5: string
  readonly sha256: string
  /** From the beginning each time. */
  readonly body: () => Uint8Array | Readable
}

const KEYS_A_PAGE = 1_000
/** So long a list is not the archive of one table: a page that names itself as the next would never end. */
const MOST_PAGES = 10_000

/** What an archive in object storage asks of its bucket. */
export class S3Bucket {
  readonly place: BucketPlace
  readonly #requests: S3Requests
  /** Whether the server takes a condition on a PUT; until it has refused one, we think so. */
  #conditional = true

  constructor(place: BucketPlace) {
    this.place = place
    this.#requests = new S3Requests(place)
  }

  get conditional(): boolean {
    return this.#conditional
  }

  /** For messages. */
  absolute(path: string): string {
    return this.#requests.absolute(path)
  }

  #failed(path: string, what: string, failure: Failure, cause?: unknown): Error {
    return this.#requests.failed(path, what, failure, cause)
  }

  /**
   * Whether the object was put there. `false`: there is one of this name, perhaps ours of an attempt whose answer was lost. Where the server knows no such
   * condition, the caller has looked before.
   */
  async put(path: string, upload: Upload, signal?: AbortSignal): Promise<boolean> {
    const { bytes, md5, sha256 } = upload
    for (;;) {
      const conditional = this.#conditional
      const answer = await this.#requests.tried(
        path,
        'written',
        async ({ sdk, client }, abortSignal) => {
          const command = new sdk.PutObjectCommand({
            Bucket: this.place.bucket,
            Key: this.#key(path),
            Body: upload.body(),
            ContentLength: bytes,
            ContentMD5: Buffer.from(md5, 'hex').toString('base64'),
            ContentType: 'application/octet-stream',
            ...(conditional ? { IfNoneMatch: '*' } : {}),
          })
          // The signature covers the content, also of a stream.
          command.middlewareStack.add(
            (next) => (args) => {
              // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the SDK's own request
              const { headers } = args.request as { headers: Record<string, string> }
              headers['x-amz-content-sha256'] = sha256
              return next(args)
            },
            { step: 'build', name: 'contentDigest' },
          )
          const { ETag, ServerSideEncryption } = await client.send(command, { abortSignal })
          return factsOf(bytes, ETag, ServerSideEncryption)
        },
        { bytes, kinds: ['taken', 'unconditional'], signal },
      )
      if (!('kind' in answer)) {
        await this.#mustBeThere(path, answer, md5, signal)
        return true
      }
      if (answer.kind === 'taken') return false
      if (!conditional) throw this.#failed(path, 'written', answer)
      this.#conditional = false
      if ((await this.head(path, signal)) !== undefined) return false
    }
  }

  /** That a PUT was answered with success by something else than the store would cost rows: an ETag that is no digest is looked for. */
  async #mustBeThere(path: string, put: ObjectFacts, md5: string, signal: AbortSignal | undefined): Promise<void> {
    if (put.md5 === md5) return
    const found = await this.head(path, signal)
    if (found?.etag !== put.etag || found.bytes !== put.bytes) throw this.#failed(path, 'written', NOT_THERE)
  }

  /** `undefined`: there is none. */
  async head(path: string, signal?: AbortSignal): Promise<ObjectFacts | undefined> {
    const at = { Bucket: this.place.bucket, Key: this.#key(path) }
    const answer = await this.#requests.tried(
      path,
      'looked at',
      async ({ sdk, client }, abortSignal) => {
        const found = await client.send(new sdk.HeadObjectCommand(at), { abortSignal }).catch(unlessUntold)
        if (found !== undefined) return factsOf(found.ContentLength, found.ETag, found.ServerSideEncryption)
        // What answers a HEAD cannot say why: which of object, bucket and S3 is not there, or whether a right, the clock or the region is wrong.
        const { Body } = await client.send(new sdk.GetObjectCommand({ ...at, Range: 'bytes=0-0' }), { abortSignal })
        if (Body instanceof Readable) Body.destroy()
        throw new ShortAnswer()
      },
      { kinds: ['absent'], signal },
    )
    return 'kind' in answer ? undefined : answer
  }

  /** The bytes of an object; `undefined`: there is none. Rejects if it has more than `most`. */
  async read(path: string, most: number, signal?: AbortSignal): Promise<Buffer | undefined> {
    const answer = await this.#requests.tried(
      path,
      'read',
      async ({ sdk, client }, abortSignal) => {
        const command = new sdk.GetObjectCommand({ Bucket: this.place.bucket, Key: this.#key(path) })
        const { Body, ContentLength, ETag } = await client.send(command, { abortSignal })
        if (!(Body instanceof Readable)) throw new ShortAnswer()
        const { bytes } = factsOf(ContentLength, ETag, undefined)
        if (bytes > most) {
          Body.destroy()
          return { tooLong: bytes }
        }
        const chunks: Buffer[] = []
        for await (const chunk of within(Body, bytes)) chunks.push(chunk)
        return { content: Buffer.concat(chunks) }
      },
      { kinds: ['absent'], signal },
    )
    if ('kind' in answer) return undefined
    if (answer.content === undefined) throw new TooLong(path, answer.tooLong)
    return answer.content
  }

  /**
   * The bytes of an object that was looked at before. An answer that breaks off is asked for again from there, as long as it is of the same object.
   */
  async *chunks(path: string, facts: ObjectFacts, signal?: AbortSignal): AsyncGenerator<Buffer> {
    const { bytes } = facts
    let at = 0
    let failures = 0
    while (at < bytes) {
      const from = at
      const limit = this.#requests.limit(bytes - from)
      try {
        for await (const chunk of within(await this.#bodyFrom(path, facts, from, signal), bytes - from)) {
          limit.signal.throwIfAborted()
          at += chunk.length
          yield chunk
        }
      } catch (error) {
        if (error instanceof MaintenanceError) throw error
        const failure = this.#requests.failureOf(error)
        failures = at > from ? 0 : failures + 1
        if (failure.kind !== 'passing' || failures > this.#requests.mostFailures || limit.signal.aborted || signal?.aborted === true)
          throw this.#failed(path, 'read', failure, error)
      } finally {
        limit.end()
      }
    }
  }

  async #bodyFrom(path: string, { bytes, etag }: ObjectFacts, from: number, signal: AbortSignal | undefined): Promise<Readable> {
    const answer = await this.#requests.tried(
      path,
      'read',
      async ({ sdk, client }, abortSignal) => {
        const { Body, ContentRange, ContentLength, ETag } = await client.send(
          new sdk.GetObjectCommand({
            Bucket: this.place.bucket,
            Key: this.#key(path),
            IfMatch: etag,
            ...(from === 0 ? {} : { Range: `bytes=${from}-` }),
          }),
          { abortSignal },
        )
        if (!(Body instanceof Readable)) throw new ShortAnswer()
        const isPart = from === 0 || ContentRange === `bytes ${from}-${bytes - 1}/${bytes}`
        if (ETag !== etag || storedBytes(ContentLength) !== bytes - from || !isPart) {
          Body.destroy()
          throw new ShortAnswer()
        }
        return Body
      },
      { kinds: ['absent', 'taken'], signal },
    )
    if (answer instanceof Readable) return answer
    throw this.#failed(path, 'read', { ...answer, why: 'it was replaced or removed while it was being read' })
  }

  /** Removes an object, if it is there. `false`: a lock, or the lack of a right, keeps it. */
  async remove(path: string, signal?: AbortSignal): Promise<boolean> {
    const answer = await this.#requests.tried(
      path,
      'removed',
      async ({ sdk, client }, abortSignal) => {
        const command = new sdk.DeleteObjectCommand({ Bucket: this.place.bucket, Key: this.#key(path) })
        const { $metadata } = await client.send(command, { abortSignal })
        // Of S3; others answer 200 to whatever they do not understand.
        return $metadata.httpStatusCode === 204 ? ('removed' as const) : ('perhaps' as const)
      },
      { kinds: ['absent', 'forbidden'], signal },
    )
    if (answer === 'perhaps' && (await this.head(path, signal)) !== undefined) throw this.#failed(path, 'removed', NONSENSE)
    return typeof answer === 'string' || answer.kind === 'absent'
  }

  /** Copies an object within the bucket, over whatever is at `to`. Its content does not pass through here. */
  async copy(from: string, to: string, signal?: AbortSignal): Promise<void> {
    const source = [this.place.bucket, ...this.#key(from).split('/')].map(encodeURIComponent).join('/')
    await this.#requests.tried(
      from,
      'copied',
      async ({ sdk, client }, abortSignal) =>
        await client.send(new sdk.CopyObjectCommand({ Bucket: this.place.bucket, Key: this.#key(to), CopySource: source }), {
          abortSignal,
        }),
      { kinds: [], signal },
    )
  }

  /** All objects whose paths begin so, in the order of their keys. */
  async *list(beginning: string, signal?: AbortSignal): AsyncGenerator<Listed> {
    const root = this.#key('')
    let token: string | undefined
    let last = ''
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const answer = await this.#requests.tried(
        beginning,
        'listed',
        async ({ sdk, client }, abortSignal) => {
          const command = new sdk.ListObjectsV2Command({
            Bucket: this.place.bucket,
            Prefix: this.#key(beginning),
            MaxKeys: KEYS_A_PAGE,
            // XML knows fewer characters than keys have.
            EncodingType: 'url',
            ...(token === undefined ? {} : { ContinuationToken: token }),
          })
          const listed = await client.send(command, { abortSignal })
          // Of what is no list, or the beginning of one, the SDK makes one without objects.
          if (listed.Name !== this.place.bucket || (listed.KeyCount ?? listed.Contents?.length ?? 0) !== (listed.Contents?.length ?? 0))
            throw new ShortAnswer()
          return listed
        },
        { kinds: [], signal },
      )
      if ('kind' in answer) throw this.#failed(beginning, 'listed', answer)
      for (const { Key, Size, ETag } of answer.Contents ?? []) {
        const key = answer.EncodingType === 'url' ? decoded(Key) : Key
        // A list that goes back would have files twice, or never end.
        if (key?.startsWith(root) !== true || Buffer.compare(Buffer.from(key), Buffer.from(last)) <= 0)
          throw this.#failed(beginning, 'listed', NONSENSE)
        last = key
        yield { key: key.slice(root.length), ...factsOf(Size, ETag, undefined) }
      }
      if (answer.IsTruncated !== true) return
      token = answer.NextContinuationToken
      if (token === undefined || token === '') throw this.#failed(beginning, 'listed', NONSENSE)
    }
    throw this.#failed(beginning, 'listed', NONSENSE)
  }

  #key(path: string): string {
    const { prefix } = this.place
    return prefix === '' ? path : `${prefix}/${path}`
  }
}

/** An object that has more bytes than are read. */
export class TooLong extends Error {
  override readonly name = 'TooLong'

  constructor(path: string, bytes: number) {
    super(`${path}: has ${bytes} bytes, more than any manifest`)
  }
}

const NOT_THERE: Failure = {
  kind: 'lasting',
  why: 'the server answered that it was, and it is not there',
  advice: 'Check that ARCHIVE_S3_ENDPOINT is that of the object store, and nothing between',
}

function factsOf(bytes: unknown, etag: unknown, encryption: string | undefined): ObjectFacts {
  const given = givenEtag(etag)
  const md5 = /^"?([0-9a-f]{32})"?$/.exec(given)?.[1]
  // Under a key of KMS it is a digest of something else.
  return { bytes: storedBytes(bytes), etag: given, md5: encryption?.startsWith('aws:kms') === true ? undefined : md5 }
}

/** Every object of S3 has one; what a proxy or a page of its own answers has none. */
function givenEtag(etag: unknown): string {
  if (typeof etag !== 'string' || etag === '' || etag.length > 200) throw new ShortAnswer()
  return etag
}

const UNTOLD: ReadonlySet<number | undefined> = new Set([301, 400, 403, 404])

function unlessUntold(error: unknown): undefined {
  if (!UNTOLD.has(statusOf(error))) throw error
}

function decoded(key: string | undefined): string | undefined {
  try {
    return key === undefined ? undefined : decodeURIComponent(key.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

function storedBytes(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new ShortAnswer()
  return value
}

/** Rejects if there are more or fewer bytes. */
async function* within(body: Readable, bytes: number): AsyncGenerator<Buffer> {
  let at = 0
  for await (const chunk of body) {
    const piece = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk as Uint8Array)
    at += piece.length
    if (at > bytes) throw new ShortAnswer()
    yield piece
  }
  if (at < bytes) throw new ShortAnswer()
}
