import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { S3Failure, type Answer } from './answer.ts'
import { Bucket, type BucketOptions } from './bucket.ts'
import { verifyDigests } from './digests.ts'
import { Faults, NONSENSE, type Fault, type FaultRule } from './faults.ts'
import { bucketLocation, bucketVersioning, getObject, listObjects } from './reading.ts'
import { parseRequest, type Operation, type S3Request } from './request.ts'
import { verifySignature, type Account } from './signature.ts'
import { copyObject, deleteObject, deleteObjects, putObject, type Write } from './writing.ts'

export const ACCOUNT: Account = { accessKeyId: 'AKIATESTS', secretAccessKey: 'secret/of+the/tests' }

export interface S3ServerOptions {
  /** By name; one bucket, `archive`, if there is none. */
  readonly buckets?: Readonly<Record<string, BucketOptions>>
  readonly region?: string
  readonly accounts?: readonly Account[]
  /** In milliseconds since 1970. */
  readonly now?: () => number
  /** The most objects in a page of a list. */
  readonly pageSize?: number
  readonly unsignedPayload?: boolean
  readonly seed?: number
  readonly faults?: readonly FaultRule[]
  readonly port?: number
}

/** A request, as somebody reads it in a failed test. */
export interface Seen {
  readonly operation: Operation
  readonly style: 'path' | 'virtual'
  readonly bucket: string
  readonly key: string
  readonly headers: ReadonlyMap<string, string>
  readonly bytes: number
  readonly fault: Fault['kind'] | undefined
  /** `undefined`: it has had no answer. */
  status: number | undefined
  /** Of S3, where it refused. */
  code: string | undefined
}

/**
 * What speaks S3 on 127.0.0.1, and believes nothing: every request has its signature, its date and its digests computed anew, and what S3 has and this
 * has not is refused with 501. Objects are in the memory of this process, or files that a test can look at, so that they outlive the workers that tests kill. Path style at `url`; a host
 * `BUCKET.localhost` is virtual-hosted style.
 */
export class S3Server implements AsyncDisposable {
  readonly region: string
  readonly faults: Faults
  readonly requests: Seen[] = []
  readonly buckets: Map<string, Bucket>
  /** Whoever signs now: tests let credentials expire by replacing them. */
  accounts: readonly Account[]
  readonly #options: S3ServerOptions
  readonly #server = createServer((message, response) => void this.#serve(message, response))
  readonly #late = new Set<() => void>()

  constructor(options: S3ServerOptions = {}) {
    this.#options = options
    this.region = options.region ?? 'eu-central-1'
    this.accounts = options.accounts ?? [ACCOUNT]
    this.faults = new Faults(options.seed ?? 1, options.faults ?? [])
    this.buckets = new Map(Object.entries(options.buckets ?? { archive: {} }).map(([name, each]) => [name, new Bucket(name, each)]))
    // A silent answer is the client's to give up, not the server's.
    this.#server.requestTimeout = 0
  }

  static async start(options: S3ServerOptions = {}): Promise<S3Server> {
    const server = new S3Server(options)
    server.#server.listen(options.port ?? 0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  get port(): number {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** What a process needs to be the first account, in variables that clients of AWS read. */
  get env(): Readonly<Record<string, string>> {
    const { accessKeyId, secretAccessKey, sessionToken } = this.accounts[0] ?? ACCOUNT
    return {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      ...(sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: sessionToken }),
    }
  }

  bucket(name = 'archive'): Bucket {
    const bucket = this.buckets.get(name)
    if (bucket === undefined) throw new S3Failure(404, 'NoSuchBucket', 'The specified bucket does not exist')
    return bucket
  }

  /** Lets every late PUT take effect. Returns how many there were. */
  land(): number {
    const landing = [...this.#late]
    this.#late.clear()
    for (const each of landing) each()
    return landing.length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    // Whoever is gone has no use for an answer.
    response.on('error', () => {})
    let seen: Seen | undefined
    try {
      const request = parseRequest(message)
      const fault = this.faults.choose(request)
      const wasThere = this.buckets.get(request.bucket)?.current(request.key)?.body !== undefined
      if (fault?.kind === 'lost' && fault.when === 'during') message.once('data', () => message.destroy())
      const body = await bodyOf(message)
      seen = { ...pick(request), bytes: body?.length ?? 0, fault: fault?.kind, status: undefined, code: undefined }
      this.requests.push(seen)
      // Half a body is no request: nothing is done.
      if (body === undefined) return
      await this.#answer(request, body, wasThere, fault, response, seen)
    } catch (error) {
      const failure = error instanceof S3Failure ? error : new S3Failure(500, 'InternalError', String(error))
      if (seen !== undefined) seen.code = failure.code
      send(response, message.method!, failure.answer(), seen)
    }
  }

  async #answer(
    request: S3Request,
    body: Buffer,
    wasThere: boolean,
    fault: Fault | undefined,
    response: ServerResponse,
    seen: Seen,
  ): Promise<void> {
    const now = (this.#options.now ?? Date.now)() + (fault?.kind === 'skewed' ? fault.ms : 0)
    // Clients set their clocks by it.
    response.setHeader('date', new Date(now).toUTCString())
    const payload = verifySignature(request, {
      accounts: this.accounts,
      region: this.region,
      now,
      unsignedPayload: this.#options.unsignedPayload === true,
    })
    const locked = this.buckets.get(request.bucket)?.locked === true
    verifyDigests(request, payload, body, request.operation === 'DeleteObjects' || (locked && request.operation === 'PutObject'))
    knownHeaders(request)
    if (fault?.kind === 'silent') return
    if (fault?.kind === 'lost' && fault.when === 'before') return void response.destroy()
    if (fault?.kind === 'error') throw new S3Failure(fault.status, fault.code, fault.message ?? fault.code)
    if (fault?.kind === 'redirect') throw elsewhere(request.bucket, fault.region)
    if (fault?.kind === 'nonsense') {
      const [type, text] = NONSENSE[fault.body]
      return send(response, request.method, { status: fault.status ?? 200, headers: { 'content-type': type }, body: text() }, seen)
    }
    if (fault?.kind === 'endless') return await endless(response, seen)
    if (fault?.kind === 'late') {
      if (fault.client === 'loses') response.destroy()
      await this.#landing(fault.afterMs)
    }
    const answer = this.#perform(request, body, wasThere, now)
    if (fault?.kind === 'lost') return void response.destroy()
    send(response, request.method, answer, seen, fault)
  }

  #landing(afterMs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      this.#late.add(resolve)
      if (afterMs !== undefined) setTimeout(() => this.#late.delete(resolve) && resolve(), afterMs).unref()
    })
  }

  /** Nothing in it waits, so that each request takes effect at one moment. */
  #perform(request: S3Request, body: Buffer, wasThere: boolean, now: number): Answer {
    if (request.operation === 'CreateBucket') return this.#createBucket(request.bucket)
    const bucket = this.bucket(request.bucket)
    if (bucket.region !== undefined && bucket.region !== this.region) throw elsewhere(bucket.name, bucket.region)
    const write: Write = { request, body, bucket, now, wasThere }
    switch (request.operation) {
      case 'HeadBucket':
        return { status: 200, headers: { 'x-amz-bucket-region': this.region } }
      case 'GetBucketLocation':
        return bucketLocation(this.region)
      case 'GetBucketVersioning':
        return bucketVersioning(bucket)
      case 'ListObjectsV2':
        return listObjects(request, bucket, this.#options.pageSize ?? 2)
      case 'GetObject':
      case 'HeadObject':
        return getObject(request, bucket)
      case 'PutObject':
        return putObject(write)
      case 'CopyObject':
        return copyObject(write, (name) => this.bucket(name))
      case 'DeleteObject':
        return deleteObject(write)
      case 'DeleteObjects':
        return deleteObjects(write)
    }
  }

  #createBucket(name: string): Answer {
    if (this.buckets.has(name))
      throw new S3Failure(
        409,
        'BucketAlreadyOwnedByYou',
        'Your previous request to create the named bucket succeeded and you already own it.',
      )
    this.buckets.set(name, new Bucket(name))
    return { status: 200, headers: { location: `/${name}` } }
  }
}

/** `undefined`: its sender went away before its end. */
async function bodyOf(message: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk)
  } catch {
    return undefined
  }
  return message.complete ? Buffer.concat(chunks) : undefined
}

const KNOWN_HEADERS =
  /^x-amz-(?:content-sha256|date|security-token|user-agent|meta-.*|checksum-.*|sdk-checksum-algorithm|copy-source|copy-source-if-match|metadata-directive)$/

/** Each of the others would change what S3 does with the object. */
function knownHeaders({ headers }: S3Request): void {
  const unknown = [...headers.keys()].find((name) => name.startsWith('x-amz-') && !KNOWN_HEADERS.test(name))
  if (unknown !== undefined) throw new S3Failure(501, 'NotImplemented', `The header ${unknown} is not implemented.`)
}

function elsewhere(bucket: string, region: string): S3Failure {
  return new S3Failure(
    301,
    'PermanentRedirect',
    'The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.',
    { elements: { Endpoint: `s3.${region}.amazonaws.com`, Bucket: bucket }, headers: { 'x-amz-bucket-region': region } },
  )
}

function send(response: ServerResponse, method: string, answer: Answer, seen: Seen | undefined, fault?: Fault): void {
  if (seen !== undefined) seen.status = answer.status
  const whole = Buffer.from(answer.body ?? '')
  const body = damaged(whole, fault)
  const length = fault?.kind === 'truncated' ? whole.length : body.length
  // These two statuses have no body, and saying how long it is would be another answer.
  const sized = answer.status === 204 || answer.status === 304 ? {} : { 'content-length': length }
  response.writeHead(answer.status, { ...answer.headers, ...sized, 'x-amz-request-id': 'TESTS' })
  if (method === 'HEAD') response.end()
  else if (fault?.kind === 'truncated') response.write(body, () => response.destroy())
  else response.end(body)
}

function damaged(body: Buffer, fault: Fault | undefined): Buffer {
  if (fault?.kind === 'truncated' || fault?.kind === 'shortened') return body.subarray(0, Math.floor(body.length / 2))
  if (fault?.kind !== 'altered' || body.length === 0) return body
  const copy = Buffer.from(body)
  const middle = Math.floor(copy.length / 2)
  copy[middle] = copy[middle]! ^ 1
  return copy
}

/** Until the client has had enough. */
async function endless(response: ServerResponse, seen: Seen): Promise<void> {
  seen.status = 200
  response.writeHead(200, { 'content-type': 'application/xml' }).write('<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult>')
  while (!response.destroyed) {
    response.write('<Contents><Key>x</Key></Contents>')
    await sleep(5)
  }
}

function pick({ operation, style, bucket, key, headers }: S3Request): Pick<Seen, 'operation' | 'style' | 'bucket' | 'key' | 'headers'> {
  return { operation, style, bucket, key, headers }
}
