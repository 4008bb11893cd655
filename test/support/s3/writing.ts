import { S3Failure, textElements, unescaped, xml, type Answer } from './answer.ts'
import type { Bucket } from './bucket.ts'
import type { Version } from './objects.ts'
import type { S3Request } from './request.ts'

const MOST_DELETED_AT_ONCE = 1_000

export interface Write {
  readonly request: S3Request
  readonly body: Buffer
  readonly bucket: Bucket
  readonly now: number
  /** Whether the object was there when the request began to arrive. */
  readonly wasThere: boolean
}

/** Between the look at what is there and the write nothing else happens: of many conditional writes at once one succeeds. */
export function putObject({ request, body, bucket, now, wasThere }: Write): Answer {
  mayWrite(request, bucket, wasThere)
  return { status: 200, headers: headersOf(bucket.put(request.key, body, now, metadataOf(request)), bucket) }
}

export function copyObject({ request, bucket, now, wasThere }: Write, bucketNamed: (name: string) => Bucket): Answer {
  const source = decodeURIComponent(request.headers.get('x-amz-copy-source')!).replace(/^\//, '')
  const slash = source.indexOf('/')
  if (slash === -1)
    throw new S3Failure(400, 'InvalidArgument', 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey')
  const from = bucketNamed(source.slice(0, slash)).current(source.slice(slash + 1))
  if (from?.body === undefined) throw new S3Failure(404, 'NoSuchKey', 'The specified key does not exist.')
  const expected = request.headers.get('x-amz-copy-source-if-match')
  if (expected !== undefined && expected !== from.etag) throw precondition('x-amz-copy-source-If-Match')
  mayWrite(request, bucket, wasThere)
  const made = bucket.put(request.key, from.body, now, from.metadata)
  const result = textElements({ LastModified: new Date(made.modifiedAt).toISOString(), ETag: made.etag })
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: xml('CopyObjectResult', result) }
}

export function deleteObject({ request: { key, query }, bucket, now }: Write): Answer {
  const id = query.get('versionId')
  if (id !== undefined) {
    bucket.removeVersion(key, id)
    return { status: 204, headers: { 'x-amz-version-id': id } }
  }
  const marker = bucket.remove(key, now)
  return { status: 204, headers: marker === undefined ? {} : { 'x-amz-version-id': marker.id, 'x-amz-delete-marker': 'true' } }
}

export function deleteObjects({ body, bucket, now }: Write): Answer {
  const text = body.toString()
  const named = [...text.matchAll(/<Object>([\s\S]*?)<\/Object>/g)].map(([, object]) => ({
    key: elementIn(object!, 'Key'),
    id: elementIn(object!, 'VersionId'),
  }))
  if (!/^(<\?xml[^>]*\?>)?\s*<Delete[ >]/.test(text) || named.length === 0 || named.length > MOST_DELETED_AT_ONCE)
    throw new S3Failure(400, 'MalformedXML', 'The XML you provided was not well-formed or did not validate against our published schema')
  const isQuiet = elementIn(text, 'Quiet') === 'true'
  const results = named.map(({ key, id }) => {
    if (key === undefined) throw new S3Failure(400, 'MalformedXML', 'The XML you provided was not well-formed')
    try {
      if (id === undefined) bucket.remove(key, now)
      else bucket.removeVersion(key, id)
      return isQuiet ? '' : `<Deleted>${textElements({ Key: key, VersionId: id })}</Deleted>`
    } catch (error) {
      if (!(error instanceof S3Failure)) throw error
      return `<Error>${textElements({ Key: key, VersionId: id, Code: error.code, Message: error.message })}</Error>`
    }
  })
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: xml('DeleteResult', results.join('')) }
}

function mayWrite({ headers, key }: S3Request, bucket: Bucket, wasThere: boolean): void {
  const [none, match] = [headers.get('if-none-match'), headers.get('if-match')]
  if ((none === undefined && match === undefined) || bucket.conditions === 'ignored') return
  if (bucket.conditions === 'refused' || (none !== undefined && none !== '*'))
    throw new S3Failure(501, 'NotImplemented', 'A header you provided implies functionality that is not implemented.', {
      elements: { Header: none === undefined ? 'If-Match' : 'If-None-Match' },
    })
  const current = bucket.current(key)
  const isThere = current?.body !== undefined
  if (none !== undefined && isThere) {
    if (!wasThere && bucket.conditions === 'conflicting')
      throw new S3Failure(409, 'ConditionalRequestConflict', 'The conditional request cannot succeed due to a conflicting operation.')
    throw precondition('If-None-Match')
  }
  if (match === undefined) return
  if (!isThere) throw new S3Failure(404, 'NoSuchKey', 'The specified key does not exist.')
  if (match !== current.etag) throw precondition('If-Match')
}

export function precondition(header: string): S3Failure {
  return new S3Failure(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', {
    elements: { Condition: header },
  })
}

function headersOf(version: Version, bucket: Bucket): Readonly<Record<string, string>> {
  return bucket.versioned ? { etag: version.etag, 'x-amz-version-id': version.id } : { etag: version.etag }
}

function metadataOf({ headers }: S3Request): Readonly<Record<string, string>> {
  return Object.fromEntries([...headers].filter(([name]) => name === 'content-type' || name.startsWith('x-amz-meta-')))
}

function elementIn(text: string, name: string): string | undefined {
  const found = new RegExp(`<${name}>([\\s\\S]*?)</${name}>`).exec(text)?.[1]
  return found === undefined ? undefined : unescaped(found)
}
