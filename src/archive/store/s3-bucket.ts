import { Readable } from 'node:stream'
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import { MaintenanceError } from '../../errors.ts'
import { hostClock, MINUTE, SECOND } from '../../time/clock.ts'
import { archiveFailed } from '../damage.ts'
import { locationText, type BucketPlace, type Patience } from '../archive-location.ts'
import { isLoopback } from '../loopback.ts'
import { failureOf, statusOf, type Failure } from './s3-failure.ts'

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

const PATIENCE: Patience = {
  connectMs: 5 * SECOND,
  idleMs: 20 * SECOND,
  requestMs: 30 * SECOND,
  pausesMs: [200, SECOND, 3 * SECOND, 8 * SECOND],
}
const BYTES_A_SECOND = 128 * 2 ** 10
const LONGEST_REQUEST_MS = 30 * MINUTE
const KEYS_A_PAGE = 1_000
/** So long a list is not the archive of one table: a page that names itself as the next would never end. */
const MOST_PAGES = 10_000

const clock = hostClock()

/** Of an answer that is no object; a page of a list has 1 KiB for a key at most, and some hundred bytes more. */
const MOST_ANSWER_BYTES = 4 * 2 ** 20

/** Without one the SDK writes its warnings on standard error, between the lines of the log. */
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }

type Sdk = typeof import('@aws-sdk/client-s3')

/**
 * The requests that an archive in object storage makes. Each is tried again a few times, by us: the SDK would not repeat one whose body is a stream, and
 * would take its own success before a lost answer for somebody else's.
 */
export class S3Bucket {
  readonly place: BucketPlace
  readonly #patience: Patience
  #opened: Promise<{ readonly sdk: Sdk; readonly client: S3Client }> | undefined
  /** Whether the server takes a condition on a PUT; until it has refused one, we think so. */
  #conditional = true

  constructor(place: BucketPlace) {
    this.place = place
    this.#patience = place.patience ?? PATIENCE
  }

  get conditional(): boolean {
    return this.#conditional
  }

  /** For messages. */
  absolute(path: string): string {
    return path === '' ? locationText(this.place) : `${locationText(this.place)}/${path}`
  }

  /**
   * Whether the object was put there. `false`: there is one of this name, perhaps ours of an attempt whose answer was lost. Where the server knows no such
   * condition, the caller has looked before.
   */
  async put(path: string, upload: Upload, signal?: AbortSignal): Promise<boolean> {
    const { bytes, md5, sha256 } = upload
    for (;;) {
      const conditional = this.#conditional
      const answer = await this.#tried(
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
      if (!conditional) throw this.failed(path, 'written', answer)
      this.#conditional = false
      if ((await this.head(path, signal)) !== undefined) return false
    }
  }

  /** That a PUT was answered with success by something else than the store would cost rows: an ETag that is no digest is looked for. */
  async #mustBeThere(path: string, put: ObjectFacts, md5: string, signal: AbortSignal | undefined): Promise<void> {
    if (put.md5 === md5) return
    const found = await this.head(path, signal)
    if (found?.etag !== put.etag || found.bytes !== put.bytes) throw this.failed(path, 'written', NOT_THERE)
  }

  /** `undefined`: there is none. */
  async head(path: string, signal?: AbortSignal): Promise<ObjectFacts | undefined> {
    const at = { Bucket: this.place.bucket, Key: this.#key(path) }
    const answer = await this.#tried(
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
    const answer = await this.#tried(
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
      const limit = this.#limit(bytes - from)
      try {
        for await (const chunk of within(await this.#bodyFrom(path, facts, from, signal), bytes - from)) {
          limit.signal.throwIfAborted()
          at += chunk.length
          yield chunk
        }
      } catch (error) {
        if (error instanceof MaintenanceError) throw error
        const failure = this.#failureOf(error)
        failures = at > from ? 0 : failures + 1
        if (failure.kind !== 'passing' || failures > this.#patience.pausesMs.length || limit.signal.aborted || signal?.aborted === true)
          throw this.failed(path, 'read', failure, error)
      } finally {
        limit.end()
      }
    }
  }

  async #bodyFrom(path: string, { bytes, etag }: ObjectFacts, from: number, signal: AbortSignal | undefined): Promise<Readable> {
    const answer = await this.#tried(
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
    throw this.failed(path, 'read', { ...answer, why: 'it was replaced or removed while it was being read' })
  }

  /** Removes an object, if it is there. `false`: a lock, or the lack of a right, keeps it. */
  async remove(path: string, signal?: AbortSignal): Promise<boolean> {
    const answer = await this.#tried(
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
    if (answer === 'perhaps' && (await this.head(path, signal)) !== undefined) throw this.failed(path, 'removed', NONSENSE)
    return typeof answer === 'string' || answer.kind === 'absent'
  }

  /** Copies an object within the bucket, over whatever is at `to`. Its content does not pass through here. */
  async copy(from: string, to: string, signal?: AbortSignal): Promise<void> {
    const source = [this.place.bucket, ...this.#key(from).split('/')].map(encodeURIComponent).join('/')
    await this.#tried(
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
      const answer = await this.#tried(
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
      if ('kind' in answer) throw this.failed(beginning, 'listed', answer)
      for (const { Key, Size, ETag } of answer.Contents ?? []) {
        const key = answer.EncodingType === 'url' ? decoded(Key) : Key
        // A list that goes back would have files twice, or never end.
        if (key?.startsWith(root) !== true || Buffer.compare(Buffer.from(key), Buffer.from(last)) <= 0)
          throw this.failed(beginning, 'listed', NONSENSE)
        last = key
        yield { key: key.slice(root.length), ...factsOf(Size, ETag, undefined) }
      }
      if (answer.IsTruncated !== true) return
      token = answer.NextContinuationToken
      if (token === undefined || token === '') throw this.failed(beginning, 'listed', NONSENSE)
    }
    throw this.failed(beginning, 'listed', NONSENSE)
  }

  failed(path: string, what: string, { why, advice }: Failure, cause?: unknown): Error {
    return archiveFailed(`${this.absolute(path)} cannot be ${what}: ${why}`, cause, advice)
  }

  /** The request's answer, or a failure of one of these kinds; rejects with any other. */
  async #tried<T extends object | string>(
    path: string,
    what: string,
    request: (opened: { readonly sdk: Sdk; readonly client: S3Client }, signal: AbortSignal) => Promise<T>,
    {
      bytes = 0,
      kinds,
      signal,
    }: { readonly bytes?: number; readonly kinds: readonly Failure['kind'][]; readonly signal?: AbortSignal | undefined },
  ): Promise<T | Failure> {
    const pauses = [...this.#patience.pausesMs]
    for (;;) {
      const limit = this.#limit(bytes)
      let failure: Failure
      let cause: unknown
      try {
        return await request(await this.#client(), limit.signal)
      } catch (error) {
        if (error instanceof InsecureRequest) throw this.failed(path, what, error.failure)
        failure = this.#failureOf(error)
        cause = error
      } finally {
        limit.end()
      }
      if (kinds.includes(failure.kind)) return failure
      // The next attempt looks for credentials anew.
      if (failure.kind === 'lasting') this.#opened = undefined
      const pause = failure.kind === 'passing' ? pauses.shift() : undefined
      if (pause === undefined || signal?.aborted === true) throw this.failed(path, what, failure, cause)
      await clock.sleep(pause, signal)
    }
  }

  #failureOf(error: unknown): Failure {
    return error instanceof ShortAnswer ? NONSENSE : failureOf(error, this.place.bucket)
  }

  #limit(bytes: number): { readonly signal: AbortSignal; end(): void } {
    const controller = new AbortController()
    const ms = Math.min(this.#patience.requestMs + (bytes / BYTES_A_SECOND) * SECOND, LONGEST_REQUEST_MS)
    const timer = setTimeout(() => controller.abort(), ms)
    return { signal: controller.signal, end: () => clearTimeout(timer) }
  }

  #client(): Promise<{ readonly sdk: Sdk; readonly client: S3Client }> {
    this.#opened ??= this.#open()
    return this.#opened
  }

  async #open(): Promise<{ readonly sdk: Sdk; readonly client: S3Client }> {
    // Tens of megabytes that a worker with a folder, or without an archive, never loads.
    const sdk = await import('@aws-sdk/client-s3')
    const { endpoint, region, pathStyle, insecure } = this.place
    const { connectMs, idleMs } = this.#patience
    const config: S3ClientConfig & { readonly ignoreCache: true } = {
      // Handed down to what reads the shared files, which may hold other credentials than when this process began.
      ignoreCache: true,
      ...(endpoint === undefined ? {} : { endpoint }),
      forcePathStyle: pathStyle ?? endpoint !== undefined,
      maxAttempts: 1,
      logger: SILENT,
      // Servers that are not of AWS refuse or ignore the checksums that have become the default.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: connectMs, socketTimeout: idleMs },
    }
    const client = new sdk.S3Client({ ...config, ...(await regionOf(sdk, config, region)) })
    client.middlewareStack.add(
      (next) => (args) => {
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the SDK's own request
        const { protocol, hostname } = args.request as { protocol: string; hostname: string }
        // The endpoint may come from the environment or from a configuration file of the SDKs.
        if (protocol !== 'https:' && !insecure && !isLoopback(hostname)) throw new InsecureRequest(hostname)
        return next(args)
      },
      { step: 'finalizeRequest', priority: 'high', name: 'noClearText' },
    )
    client.middlewareStack.add(
      (next, { commandName }) =>
        async (args) => {
          const result = await next(args)
          // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the SDK's own response
          const response = result.response as { statusCode: number; body: unknown }
          const isContent = commandName === 'GetObjectCommand' && response.statusCode < 300
          if (!isContent && response.body instanceof Readable) response.body = Readable.from(bounded(response.body))
          return result
        },
      { step: 'deserialize', priority: 'low', name: 'boundedAnswers' },
    )
    return { sdk, client }
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

class InsecureRequest extends Error {
  override readonly name = 'InsecureRequest'
  readonly failure: Failure

  constructor(host: string) {
    super('a request in clear text')
    this.failure = {
      kind: 'lasting',
      why: `the endpoint ${host} is reached by http://, in clear text`,
      advice: 'Give an endpoint with https://, or set ARCHIVE_S3_INSECURE=true where nobody else is on the way',
    }
  }
}

/** The body is not as long as it was announced, or is not what was asked for. */
class ShortAnswer extends Error {
  override readonly name = 'ShortAnswer'
}

const NONSENSE: Failure = {
  kind: 'passing',
  why: 'the server’s answer is none of S3',
  advice: 'Check ARCHIVE_S3_ENDPOINT, and look at the server and its log',
}

const NOT_THERE: Failure = {
  kind: 'lasting',
  why: 'the server answered that it was, and it is not there',
  advice: 'Check that ARCHIVE_S3_ENDPOINT is that of the object store, and nothing between',
}

/** Servers that are not of AWS take any region. */
async function regionOf(sdk: Sdk, config: S3ClientConfig, region: string | undefined): Promise<S3ClientConfig> {
  if (region !== undefined) return { region }
  if (config.endpoint === undefined) return {}
  return await new sdk.S3Client(config).config.region().then(
    () => ({}),
    () => ({ region: 'us-east-1' }),
  )
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

/** What the SDK takes into memory as a whole. */
async function* bounded(body: Readable): AsyncGenerator<Buffer> {
  let bytes = 0
  for await (const chunk of body) {
    bytes += (chunk as Uint8Array).length
    if (bytes > MOST_ANSWER_BYTES) throw new ShortAnswer()
    yield chunk as Buffer
  }
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
