import { createHash, createHmac } from 'node:crypto'
import { S3Failure } from './answer.ts'
import type { S3Request } from './request.ts'

export interface Account {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** In milliseconds since 1970. */
  readonly expiresAt?: number
}

export interface SigningRules {
  readonly accounts: readonly Account[]
  readonly region: string
  readonly now: number
  /** Whether a request may leave its payload out of what it signs. */
  readonly unsignedPayload: boolean
}

export const UNSIGNED = 'UNSIGNED-PAYLOAD'
const ALGORITHM = 'AWS4-HMAC-SHA256'
const MOST_SKEW_MS = 15 * 60_000
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=(?<key>[^/, ]+)\/(?<day>\d{8})\/(?<region>[^/, ]+)\/(?<service>[^/, ]+)\/aws4_request, ?SignedHeaders=(?<signed>[a-z0-9;-]+), ?Signature=(?<signature>[0-9a-f]{64})$/

/**
 * Computes the Signature V4 of a request anew, from what arrived. Returns what it says its payload's SHA-256 is, or `UNSIGNED`; throws an `S3Failure`.
 * See "Authenticating Requests: Using the Authorization Header" in the S3 API reference.
 */
export function verifySignature(request: S3Request, { accounts, region, now, unsignedPayload }: SigningRules): string {
  const { headers } = request
  const authorization = headers.get('authorization')
  if (authorization === undefined) throw new S3Failure(403, 'AccessDenied', 'Access Denied')
  const parts = AUTHORIZATION.exec(authorization)?.groups
  if (parts === undefined) throw malformed('the header is not of the form that Signature Version 4 has')
  const account = accounts.find(({ accessKeyId }) => accessKeyId === parts['key'])
  if (account === undefined)
    throw new S3Failure(403, 'InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.')
  if (parts['service'] !== 's3') throw malformed(`incorrect service "${parts['service']}". This endpoint belongs to "s3".`)
  if (parts['region'] !== region) throw malformed(`the region '${parts['region']}' is wrong; expecting '${region}'`, { Region: region })

  const stamp = headers.get('x-amz-date') ?? ''
  const signedAt = instantOf(stamp)
  if (signedAt === undefined) throw new S3Failure(403, 'AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header')
  if (stamp.slice(0, 8) !== parts['day']) throw malformed(`invalid credential date "${parts['day']}"`)
  if (Math.abs(now - signedAt) > MOST_SKEW_MS)
    throw new S3Failure(403, 'RequestTimeTooSkewed', 'The difference between the request time and the current time is too large.', {
      elements: { RequestTime: stamp, ServerTime: new Date(now).toISOString(), MaxAllowedSkewMilliseconds: String(MOST_SKEW_MS) },
    })

  const payload = headers.get('x-amz-content-sha256')
  if (payload === undefined) throw new S3Failure(400, 'InvalidRequest', 'Missing required header for this request: x-amz-content-sha256')
  if (payload.startsWith('STREAMING-')) throw new S3Failure(501, 'NotImplemented', `The payload ${payload} is not implemented.`)
  if (payload === UNSIGNED && !unsignedPayload) throw new S3Failure(400, 'InvalidRequest', 'The payload has to be signed here.')
  if (payload !== UNSIGNED && !/^[0-9a-f]{64}$/.test(payload))
    throw new S3Failure(400, 'InvalidArgument', 'x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value.')

  const signed = parts['signed']!.split(';')
  if (signed.join(';') !== signed.toSorted().join(';')) throw malformed('SignedHeaders are not sorted')
  const unsigned = [...headers.keys()].filter((name) => (name === 'host' || name.startsWith('x-amz-')) && !signed.includes(name))
  if (unsigned.length > 0)
    throw new S3Failure(403, 'AccessDenied', 'There were headers present in the request which were not signed', {
      elements: { HeadersNotSigned: unsigned.join(', ') },
    })

  const scope = `${parts['day']}/${region}/s3/aws4_request`
  const toSign = [ALGORITHM, stamp, scope, sha256(canonical(request, signed, payload))].join('\n')
  const key = [region, 's3', 'aws4_request'].reduce(hmac, hmac(`AWS4${account.secretAccessKey}`, parts['day'] ?? ''))
  if (hmac(key, toSign).toString('hex') !== parts['signature'])
    throw new S3Failure(
      403,
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    )
  if (account.sessionToken !== headers.get('x-amz-security-token'))
    throw new S3Failure(400, 'InvalidToken', 'The provided token is malformed or otherwise invalid.')
  if (account.expiresAt !== undefined && account.expiresAt <= now)
    throw new S3Failure(400, 'ExpiredToken', 'The provided token has expired.')
  return payload
}

function canonical({ method, path, query, headers }: S3Request, signed: readonly string[], payload: string): string {
  const parameters = [...query].map(([name, value]) => `${encoded(name)}=${encoded(value)}`).toSorted()
  const lines = signed.map((name) => `${name}:${(headers.get(name) ?? '').trim().replaceAll(/ +/g, ' ')}\n`)
  const place = path.split('/').map(encoded).join('/')
  return [method, place, parameters.join('&'), lines.join(''), signed.join(';'), payload].join('\n')
}

/** Every byte but letters, digits and `-._~`. */
function encoded(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** `20260825T031500Z`. */
function instantOf(stamp: string): number | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(stamp)
  if (parts === null) return undefined
  const instant = Date.parse(`${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}:${parts[5]}:${parts[6]}Z`)
  return Number.isNaN(instant) ? undefined : instant
}

function malformed(why: string, elements: Readonly<Record<string, string>> = {}): S3Failure {
  const headers = elements['Region'] === undefined ? {} : { 'x-amz-bucket-region': elements['Region'] }
  return new S3Failure(400, 'AuthorizationHeaderMalformed', `The authorization header is malformed; ${why}`, { elements, headers })
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
