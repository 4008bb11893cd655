import type { IncomingMessage } from 'node:http'
import { S3Failure } from './answer.ts'

export type Operation =
  | 'CreateBucket'
  | 'HeadBucket'
  | 'GetBucketLocation'
  | 'GetBucketVersioning'
  | 'ListObjectsV2'
  | 'DeleteObjects'
  | 'PutObject'
  | 'CopyObject'
  | 'GetObject'
  | 'HeadObject'
  | 'DeleteObject'

/** What a request asks for, before anything of it is believed. */
export interface S3Request {
  readonly method: string
  /** Path and query as they came. */
  readonly target: string
  /** Decoded. */
  readonly path: string
  readonly query: ReadonlyMap<string, string>
  /** Lower-case names; several of one name are joined by a comma. */
  readonly headers: ReadonlyMap<string, string>
  readonly style: 'path' | 'virtual'
  readonly bucket: string
  /** Empty for the bucket itself. */
  readonly key: string
  readonly operation: Operation
}

/** Hosts below this name are buckets; every other host means path style. */
const DOMAIN = '.localhost'
const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
const MOST_KEY_BYTES = 1_024

/** Parameters that an operation may have. S3 has more; a client that sends one relies on something that is not here. */
const PARAMETERS: Readonly<Record<Operation, readonly string[]>> = {
  CreateBucket: [],
  HeadBucket: [],
  GetBucketLocation: ['location'],
  GetBucketVersioning: ['versioning'],
  ListObjectsV2: ['list-type', 'prefix', 'delimiter', 'max-keys', 'continuation-token', 'start-after', 'encoding-type', 'fetch-owner'],
  DeleteObjects: ['delete'],
  PutObject: [],
  CopyObject: [],
  GetObject: ['versionId'],
  HeadObject: ['versionId'],
  DeleteObject: ['versionId'],
}

/** Of the SDK, for its own log; S3 does not look at it. */
const IGNORED_PARAMETER = 'x-id'

/** Throws an `S3Failure` for what is no request of S3. */
export function parseRequest(message: IncomingMessage): S3Request {
  const [method, target] = [message.method!, message.url!]
  const headers = headersOf(message.rawHeaders)
  const mark = target.indexOf('?')
  const path = decoded(mark === -1 ? target : target.slice(0, mark))
  const query = queryOf(mark === -1 ? '' : target.slice(mark + 1))
  const host = (headers.get('host') ?? '').replace(/:\d+$/, '').toLowerCase()
  const style = host.endsWith(DOMAIN) ? 'virtual' : 'path'
  const whole = style === 'virtual' ? `/${host.slice(0, -DOMAIN.length)}${path}` : path
  const end = whole.indexOf('/', 1)
  const bucket = end === -1 ? whole.slice(1) : whole.slice(1, end)
  const key = end === -1 ? '' : whole.slice(end + 1)
  if (bucket === '') throw new S3Failure(501, 'NotImplemented', 'Requests without a bucket are not answered here.')
  if (!BUCKET_NAME.test(bucket)) throw new S3Failure(400, 'InvalidBucketName', 'The specified bucket is not valid.')
  if (Buffer.byteLength(key) > MOST_KEY_BYTES) throw new S3Failure(400, 'KeyTooLongError', 'Your key is too long.')
  const operation = operationOf(method, key, query, headers)
  for (const name of query.keys())
    if (name !== IGNORED_PARAMETER && !PARAMETERS[operation].includes(name))
      throw new S3Failure(501, 'NotImplemented', `The parameter ${name} of ${operation} is not implemented.`)
  return { method, target, path, query, headers, style, bucket, key, operation }
}

function operationOf(method: string, key: string, query: ReadonlyMap<string, string>, headers: ReadonlyMap<string, string>): Operation {
  if (key !== '') {
    if (method === 'PUT') return headers.has('x-amz-copy-source') ? 'CopyObject' : 'PutObject'
    if (method === 'GET') return 'GetObject'
    if (method === 'HEAD') return 'HeadObject'
    if (method === 'DELETE') return 'DeleteObject'
  } else if (method === 'PUT') return 'CreateBucket'
  else if (method === 'HEAD') return 'HeadBucket'
  else if (method === 'POST' && query.has('delete')) return 'DeleteObjects'
  else if (method === 'GET' && query.has('location')) return 'GetBucketLocation'
  else if (method === 'GET' && query.has('versioning')) return 'GetBucketVersioning'
  else if (method === 'GET' && query.get('list-type') === '2') return 'ListObjectsV2'
  throw new S3Failure(501, 'NotImplemented', `${method} with these parameters is not implemented.`)
}

/** From the raw ones: Node drops some that come twice. */
function headersOf(raw: readonly string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]!.toLowerCase()
    // Node reads header values as Latin-1, and UTF-8 is what was signed.
    const value = Buffer.from(raw[at + 1]!, 'latin1').toString()
    headers.set(name, headers.has(name) ? `${headers.get(name)!},${value}` : value)
  }
  return headers
}

function queryOf(text: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>()
  for (const part of text.split('&')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = decoded(equals === -1 ? part : part.slice(0, equals))
    if (query.has(name)) throw new S3Failure(400, 'InvalidArgument', `The parameter ${name} came twice.`)
    query.set(name, equals === -1 ? '' : decoded(part.slice(equals + 1)))
  }
  return query
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new S3Failure(400, 'InvalidURI', "Couldn't parse the specified URI.")
  }
}
