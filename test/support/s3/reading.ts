import { S3Failure, textElements, xml, type Answer } from './answer.ts'
import type { Bucket } from './bucket.ts'
import { pageOf, type Position } from './listing.ts'
import type { Version } from './objects.ts'
import type { S3Request } from './request.ts'
import { precondition } from './writing.ts'

const XML = { 'content-type': 'application/xml' }
const MOST_KEYS = 1_000

/** GET and HEAD: the server leaves the body of a HEAD out. */
export function getObject({ key, query, headers }: S3Request, bucket: Bucket): Answer {
  const version = versionOf(bucket, key, query.get('versionId'))
  const [match, none] = [headers.get('if-match'), headers.get('if-none-match')]
  if (match !== undefined && match !== '*' && match !== version.etag) throw precondition('If-Match')
  if (none !== undefined && (none === '*' || none === version.etag)) return { status: 304, headers: { etag: version.etag } }
  const common = {
    'content-type': 'binary/octet-stream',
    ...version.metadata,
    etag: version.etag,
    'last-modified': new Date(version.modifiedAt).toUTCString(),
    'accept-ranges': 'bytes',
    ...(bucket.versioned ? { 'x-amz-version-id': version.id } : {}),
  }
  const range = rangeOf(headers.get('range'), version.body.length)
  if (range === undefined) return { status: 200, headers: common, body: version.body }
  return {
    status: 206,
    headers: { ...common, 'content-range': `bytes ${range.from}-${range.to - 1}/${version.body.length}` },
    body: version.body.subarray(range.from, range.to),
  }
}

function versionOf(bucket: Bucket, key: string, id: string | undefined): Version & { readonly body: Buffer } {
  const version = id === undefined ? bucket.current(key) : bucket.versions(key).find((each) => each.id === id)
  if (version === undefined && id !== undefined) throw new S3Failure(404, 'NoSuchVersion', 'The specified version does not exist.')
  const { body } = version ?? {}
  if (version !== undefined && body !== undefined) return { ...version, body }
  throw new S3Failure(404, 'NoSuchKey', 'The specified key does not exist.', {
    elements: { Key: key },
    headers: version === undefined ? {} : { 'x-amz-delete-marker': 'true', 'x-amz-version-id': version.id },
  })
}

/** `undefined`: the whole object. What is no single range is ignored, as in S3. */
function rangeOf(header: string | undefined, length: number): { readonly from: number; readonly to: number } | undefined {
  const parts = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  if (parts === null || (parts[1] === '' && parts[2] === '')) return undefined
  const from = parts[1] === '' ? Math.max(0, length - Number(parts[2])) : Number(parts[1])
  const to = parts[1] === '' || parts[2] === '' ? length : Math.min(length, Number(parts[2]) + 1)
  if (from >= to) {
    if (from < length) return undefined
    throw new S3Failure(416, 'InvalidRange', 'The requested range is not satisfiable', {
      headers: { 'content-range': `bytes */${length}` },
    })
  }
  return { from, to }
}

/** `pageSize`: pages are no longer, whatever the client asks for. */
export function listObjects({ query }: S3Request, bucket: Bucket, pageSize: number): Answer {
  const [prefix, delimiter] = [query.get('prefix') ?? '', query.get('delimiter') ?? '']
  const encoding = query.get('encoding-type')
  if (encoding !== undefined && encoding !== 'url') throw argument('Invalid Encoding Method specified in Request')
  const asked = query.get('max-keys') ?? String(MOST_KEYS)
  if (!/^\d{1,9}$/.test(asked)) throw argument('Provided max-keys not an integer or within integer range')
  const token = query.get('continuation-token')
  const startAfter = query.get('start-after')
  const after = token === undefined ? (startAfter === undefined ? undefined : { key: startAfter }) : positionOf(token, prefix, delimiter)
  const page = pageOf(bucket.keys(prefix), { prefix, delimiter, after, most: Math.min(Number(asked), MOST_KEYS, pageSize) })
  const shown = encoding === undefined ? (text: string) => text : formEncoded
  const contents = page.keys.map((key) => {
    const { etag, body, modifiedAt } = bucket.current(key)!
    const about = { Key: shown(key), LastModified: new Date(modifiedAt).toISOString(), ETag: etag, Size: body!.length }
    return `<Contents>${textElements({ ...about, StorageClass: 'STANDARD' })}</Contents>`
  })
  const groups = page.prefixes.map((each) => `<CommonPrefixes>${textElements({ Prefix: shown(each) })}</CommonPrefixes>`)
  const head = textElements({
    Name: bucket.name,
    Prefix: shown(prefix),
    Delimiter: query.has('delimiter') ? shown(delimiter) : undefined,
    MaxKeys: asked,
    EncodingType: encoding,
    KeyCount: page.keys.length + page.prefixes.length,
    IsTruncated: page.next !== undefined,
    ContinuationToken: token,
    StartAfter: startAfter === undefined ? undefined : shown(startAfter),
    NextContinuationToken: page.next === undefined ? undefined : tokenOf(page.next, prefix, delimiter),
  })
  return { status: 200, headers: XML, body: xml('ListBucketResult', head + contents.join('') + groups.join('')) }
}

/** A token is good for the list that it comes from, and for no other. */
function tokenOf(position: Position, prefix: string, delimiter: string): string {
  return Buffer.from(JSON.stringify({ position, prefix, delimiter })).toString('base64')
}

function positionOf(token: string, prefix: string, delimiter: string): Position {
  try {
    const known: { position: Position; prefix: string; delimiter: string } = JSON.parse(Buffer.from(token, 'base64').toString())
    if (known.prefix === prefix && known.delimiter === delimiter && tokenOf(known.position, prefix, delimiter) === token)
      return known.position
  } catch {
    // No token of this server.
  }
  throw argument('The continuation token provided is incorrect')
}

export function bucketLocation(region: string): Answer {
  // The oldest region has no name here.
  return { status: 200, headers: XML, body: xml('LocationConstraint', region === 'us-east-1' ? '' : region) }
}

export function bucketVersioning(bucket: Bucket): Answer {
  return {
    status: 200,
    headers: XML,
    body: xml('VersioningConfiguration', textElements({ Status: bucket.versioned ? 'Enabled' : undefined })),
  }
}

function argument(message: string): S3Failure {
  return new S3Failure(400, 'InvalidArgument', message)
}

/** As S3 encodes keys in lists: like a form, with slashes. */
function formEncoded(text: string): string {
  return encodeURIComponent(text)
    .replaceAll('%20', '+')
    .replaceAll('%2F', '/')
    .replaceAll(/[!'()~]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)
}
