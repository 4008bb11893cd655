import { codeOf, messageOf } from '../../errors.ts'

/** What a failed request to object storage was, as far as it decides what is done next. */
export type FailureKind =
  /** There is no such object. */
  | 'absent'
  /** There is one of this name already. */
  | 'taken'
  /** The server knows no condition on a PUT. */
  | 'unconditional'
  /** The server does not let us, or a lock or a rule of the bucket does not. */
  | 'forbidden'
  /** It may go well if it is tried again. */
  | 'passing'
  | 'lasting'

export interface Failure {
  readonly kind: FailureKind
  /** Why: a clause without a capital, no secret. */
  readonly why: string
  /** A sentence. */
  readonly advice: string
}

interface Answered {
  readonly name: string
  readonly status: number | undefined
  readonly region: string | undefined
}

const RIGHTS =
  'Check the rights of these credentials: s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on the objects below the path'
const CREDENTIALS =
  'Credentials come from where every AWS SDK looks for them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a shared credentials file, web identity, pod identity or the instance'
const ENDPOINT = 'Check ARCHIVE_S3_ENDPOINT, the network and its rules'
const SERVER = 'Look at the server and its log'

/** By the code of the answer, which every server gives alike, never by its text. `bucket`: its name. */
export function failureOf(error: unknown, bucket: string): Failure {
  const { name, status, region } = answered(error)
  const said = `the server answered ${status ?? ''} ${name}`.replace('  ', ' ')
  if (name === 'NoSuchBucket')
    return lasting(`there is no bucket ${bucket}`, 'Create it, or correct ARCHIVE_DIRECTORY and ARCHIVE_S3_ENDPOINT')
  if (name === 'PreconditionFailed' || status === 412) return { kind: 'taken', why: said, advice: SERVER }
  if (status === 501 || name === 'NotImplemented') return { kind: 'unconditional', why: said, advice: SERVER }
  if (REGION.has(name) || status === 301 || status === 307)
    return lasting(
      `the bucket ${bucket} is in another region${region === undefined ? '' : `, ${region}`}`,
      `Set ARCHIVE_S3_REGION${region === undefined ? ' to that of the bucket' : `=${region}`}`,
    )
  if (name === 'RequestTimeTooSkewed')
    return {
      kind: 'passing',
      why: 'the clock of this machine and that of the server differ by too much',
      advice: 'Set the clock of this machine, as by NTP',
    }
  if (CREDENTIALS_EXPIRED.has(name)) return lasting(`these credentials have expired (${name})`, `Renew them. ${CREDENTIALS}`)
  if (CREDENTIALS_WRONG.has(name)) return lasting(`the server does not accept these credentials (${name})`, CREDENTIALS)
  if (name === 'CredentialsProviderError') return lasting('there are no credentials', CREDENTIALS)
  if (status === 403 || status === 401 || name === 'AccessDenied') return { kind: 'forbidden', why: said, advice: RIGHTS }
  if (name === 'NoSuchKey') return { kind: 'absent', why: said, advice: SERVER }
  if (status === 409 || status === 408 || status === 429 || PASSING.has(name) || (status !== undefined && status >= 500))
    return { kind: 'passing', why: said, advice: `${SERVER}, or try again later` }
  // Of something that is not the store.
  if (status === 404) return { kind: 'passing', why: said, advice: ENDPOINT }
  if (status !== undefined && status >= 400) return lasting(said, SERVER)
  if (name === 'TimeoutError' || name === 'AbortError')
    return { kind: 'passing', why: 'the server did not answer in time', advice: ENDPOINT }
  const code = codeOf(error)
  if (code !== undefined && NETWORK.has(code)) return { kind: 'passing', why: `the server cannot be reached (${code})`, advice: ENDPOINT }
  if (code !== undefined && /CERT|TLS|SSL|SIGNED/.test(code))
    return lasting(`the server's certificate is not accepted (${code})`, 'Name the file of its authority in NODE_EXTRA_CA_CERTS')
  if (status !== undefined) return { kind: 'passing', why: 'the server’s answer is none of S3', advice: ENDPOINT }
  if (/region is missing/i.test(messageOf(error))) return lasting('no region is known', 'Set ARCHIVE_S3_REGION to that of the bucket')
  return lasting(messageOf(error), SERVER)
}

const REGION: ReadonlySet<string> = new Set([
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
  'TemporaryRedirect',
])
const CREDENTIALS_EXPIRED: ReadonlySet<string> = new Set(['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired'])
const CREDENTIALS_WRONG: ReadonlySet<string> = new Set([
  'InvalidAccessKeyId',
  'InvalidToken',
  'SignatureDoesNotMatch',
  'InvalidSecurity',
  'UnrecognizedClientException',
])
const PASSING: ReadonlySet<string> = new Set([
  'SlowDown',
  'RequestTimeout',
  'InternalError',
  'BadDigest',
  'IncompleteBody',
  'OperationAborted',
])
const NETWORK: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_SOCKET',
  'ERR_STREAM_PREMATURE_CLOSE',
])

function lasting(why: string, advice: string): Failure {
  return { kind: 'lasting', why, advice }
}

/** Of the answer; `undefined`: there was none. */
export function statusOf(error: unknown): number | undefined {
  return answered(error).status
}

/** Names are the server's: only those that look like a code are repeated. */
function answered(error: unknown): Answered {
  const given = record(error)
  const metadata = record(given['$metadata'])
  const headers = record(record(given['$response'])['headers'])
  const status = metadata['httpStatusCode']
  const region = headers['x-amz-bucket-region'] ?? given['Region']
  const name = [given['Code'], given['name']].find((each): each is string => typeof each === 'string') ?? ''
  return {
    name: /^[A-Za-z][\w.]{0,63}$/.test(name) ? name : 'an error without a code',
    status: typeof status === 'number' ? status : undefined,
    region: typeof region === 'string' && /^[a-z0-9-]{1,40}$/.test(region) ? region : undefined,
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- any object is one of named values
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
