import { Readable } from 'node:stream'
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import { hostClock, MINUTE, SECOND } from '../../time/clock.ts'
import { locationText, type BucketPlace, type Patience } from '../archive-location.ts'
import { archiveFailed } from '../damage.ts'
import { isLoopback } from '../loopback.ts'
import { failureOf, type Failure } from './s3-failure.ts'

const PATIENCE: Patience = {
  connectMs: 5 * SECOND,
  idleMs: 20 * SECOND,
  requestMs: 30 * SECOND,
  pausesMs: [200, SECOND, 3 * SECOND, 8 * SECOND],
}
const BYTES_A_SECOND = 128 * 2 ** 10
const LONGEST_REQUEST_MS = 30 * MINUTE

const clock = hostClock()

/** Of an answer that is no object; a page of a list has 1 KiB for a key at most, and some hundred bytes more. */
const MOST_ANSWER_BYTES = 4 * 2 ** 20

/** Without one the SDK writes its warnings on standard error, between the lines of the log. */
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }

type Sdk = typeof import('@aws-sdk/client-s3')

interface Opened {
  readonly sdk: Sdk
  readonly client: S3Client
}

export interface Request {
  /** Of its body, or of the answer. */
  readonly bytes?: number
  /** Failures that are an answer, too. */
  readonly kinds: readonly Failure['kind'][]
  readonly signal?: AbortSignal | undefined
}

/**
 * Sends requests, and tries each again a few times: the SDK would not repeat one whose body is a stream, and would take its own success before a lost answer for
 * somebody else's.
 */
export class S3Requests {
  readonly #place: BucketPlace
  readonly #patience: Patience
  #opened: Promise<Opened> | undefined

  constructor(place: BucketPlace) {
    this.#place = place
    this.#patience = place.patience ?? PATIENCE
  }

  /** So many attempts may fail one after the other before one more is the last. */
  get mostFailures(): number {
    return this.#patience.pausesMs.length
  }

  /** For messages. */
  absolute(path: string): string {
    return path === '' ? locationText(this.#place) : `${locationText(this.#place)}/${path}`
  }

  failed(path: string, what: string, { why, advice }: Failure, cause?: unknown): Error {
    return archiveFailed(`${this.absolute(path)} cannot be ${what}: ${why}`, cause, advice)
  }

  /** The request's answer, or a failure of one of these kinds; rejects with any other. */
  async tried<T extends object | string>(
    path: string,
    what: string,
    request: (opened: Opened, signal: AbortSignal) => Promise<T>,
    { bytes = 0, kinds, signal }: Request,
  ): Promise<T | Failure> {
    const pauses = [...this.#patience.pausesMs]
    for (;;) {
      const limit = this.limit(bytes)
      let failure: Failure
      let cause: unknown
      try {
        return await request(await this.#client(), limit.signal)
      } catch (error) {
        if (error instanceof InsecureRequest) throw this.failed(path, what, error.failure)
        failure = this.failureOf(error)
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

  failureOf(error: unknown): Failure {
    return error instanceof ShortAnswer ? NONSENSE : failureOf(error, this.#place.bucket)
  }

  /** When a request of so many bytes has taken too long. */
  limit(bytes: number): { readonly signal: AbortSignal; end(): void } {
    const controller = new AbortController()
    const ms = Math.min(this.#patience.requestMs + (bytes / BYTES_A_SECOND) * SECOND, LONGEST_REQUEST_MS)
    const timer = setTimeout(() => controller.abort(), ms)
    return { signal: controller.signal, end: () => clearTimeout(timer) }
  }

  #client(): Promise<Opened> {
    this.#opened ??= this.#open()
    return this.#opened
  }

  async #open(): Promise<Opened> {
    // Tens of megabytes that a worker with a folder, or without an archive, never loads.
    const sdk = await import('@aws-sdk/client-s3')
    const { endpoint, region, pathStyle, insecure } = this.#place
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
export class ShortAnswer extends Error {
  override readonly name = 'ShortAnswer'
}

export const NONSENSE: Failure = {
  kind: 'passing',
  why: 'the server’s answer is none of S3',
  advice: 'Check ARCHIVE_S3_ENDPOINT, and look at the server and its log',
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

/** What the SDK takes into memory as a whole. */
async function* bounded(body: Readable): AsyncGenerator<Buffer> {
  let bytes = 0
  for await (const chunk of body) {
    bytes += (chunk as Uint8Array).length
    if (bytes > MOST_ANSWER_BYTES) throw new ShortAnswer()
    yield chunk as Buffer
  }
}
