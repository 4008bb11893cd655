import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  type HeadObjectCommandOutput,
  type S3ClientConfig,
} from '@aws-sdk/client-s3'
import { clientOf } from '../support/s3/client.ts'
import { ERRORS, NONSENSE, passingFaults, type Fault, type FaultRule } from '../support/s3/faults.ts'
import { ACCOUNT, S3Server, type S3ServerOptions } from '../support/s3/server.ts'
import { fateOf, keysOf, ODD_KEYS, pagesOf } from './support.ts'

const BUCKET = 'archive'

interface Pair extends AsyncDisposable {
  readonly server: S3Server
  readonly client: S3Client
  readonly put: (key: string, body?: string, more?: object) => Promise<string>
  readonly get: (key: string) => Promise<string | undefined>
}

async function pair(options: S3ServerOptions = {}, config: Partial<S3ClientConfig> = {}): Promise<Pair> {
  const server = await S3Server.start(options)
  const client = clientOf({ url: server.url, region: server.region, account: server.accounts[0] ?? ACCOUNT }, config)
  return {
    server,
    client,
    put: (key, body = key, more = {}) => fateOf(client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: body, ...more }))),
    get: async (key) => (await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }))).Body?.transformToString(),
    async [Symbol.asyncDispose]() {
      client.destroy()
      await server[Symbol.asyncDispose]()
    },
  }
}

/** Changes requests when all has been signed. */
function tampering(client: S3Client, change: (request: { headers: Record<string, string>; path: string; body: unknown }) => void): void {
  client.middlewareStack.add(
    (next) => (args) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an HttpRequest of the SDK
      change(args.request as Parameters<typeof change>[0])
      return next(args)
    },
    { step: 'deserialize', priority: 'low' },
  )
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('base64')
}

describe('what Amazon’s own client asks for', () => {
  for (const style of ['path', 'virtual'] as const) {
    it(`is answered, in ${style} style`, async () => {
      await using server = await S3Server.start()
      const url = style === 'path' ? server.url : `http://localhost:${server.port}`
      // Names below localhost are not in every resolver.
      const httpAgent = {
        lookup: (_: string, __: object, done: (...found: unknown[]) => void) => done(null, [{ address: '127.0.0.1', family: 4 }]),
      }
      const client = clientOf(
        { url, region: server.region, account: ACCOUNT },
        style === 'path' ? {} : { forcePathStyle: false, requestHandler: { httpAgent } },
      )
      const at = { Bucket: BUCKET, Key: 'a/b c' }
      const { ETag } = await client.send(
        new PutObjectCommand({ ...at, Body: 'hello', ContentType: 'text/plain', Metadata: { of: 'mine' } }),
      )
      assert.equal(ETag, `"${Buffer.from(md5('hello'), 'base64').toString('hex')}"`)
      const got = await client.send(new GetObjectCommand(at))
      assert.deepEqual(
        [await got.Body?.transformToString(), got.ETag, got.ContentType, got.Metadata],
        ['hello', ETag, 'text/plain', { of: 'mine' }],
      )
      const part = await client.send(new GetObjectCommand({ ...at, Range: 'bytes=1-2' }))
      assert.deepEqual([await part.Body?.transformToString(), part.ContentRange], ['el', 'bytes 1-2/5'])
      assert.equal(await (await client.send(new GetObjectCommand({ ...at, Range: 'bytes=-2' }))).Body?.transformToString(), 'lo')
      assert.equal(await fateOf(client.send(new GetObjectCommand({ ...at, Range: 'bytes=5-' }))), '416 InvalidRange')
      assert.equal((await client.send(new HeadObjectCommand(at))).ContentLength, 5)
      assert.equal(await fateOf(client.send(new HeadObjectCommand({ ...at, Key: 'a' }))), '404 NotFound')
      assert.equal(await fateOf(client.send(new GetObjectCommand({ ...at, Key: 'a' }))), '404 NoSuchKey')
      assert.equal(await fateOf(client.send(new GetObjectCommand({ ...at, IfMatch: '"another"' }))), '412 PreconditionFailed')
      await client.send(
        new CopyObjectCommand({
          Bucket: BUCKET,
          Key: 'copy',
          CopySource: `${BUCKET}/${encodeURIComponent('a/b c')}`,
          CopySourceIfMatch: ETag,
        }),
      )
      assert.equal(server.bucket().bytes('copy')?.toString(), 'hello')
      for (const _ of ['there', 'gone']) assert.equal(await fateOf(client.send(new DeleteObjectCommand(at))), '204')
      await client.send(new PutObjectCommand({ ...at, Body: '' }))
      const { Deleted } = await client.send(
        new DeleteObjectsCommand({ Bucket: BUCKET, Delete: { Objects: [{ Key: 'copy' }, { Key: 'a/b c' }, { Key: 'none' }] } }),
      )
      assert.deepEqual(
        Deleted?.map(({ Key }) => Key),
        ['copy', 'a/b c', 'none'],
      )
      assert.deepEqual(server.bucket().keys(), [])
      assert.equal(await fateOf(client.send(new HeadBucketCommand({ Bucket: BUCKET }))), '200')
      assert.equal((await client.send(new GetBucketLocationCommand({ Bucket: BUCKET }))).LocationConstraint, 'eu-central-1')
      assert.equal(await fateOf(client.send(new CreateBucketCommand({ Bucket: 'another' }))), '200')
      assert.equal(await fateOf(client.send(new CreateBucketCommand({ Bucket: BUCKET }))), '409 BucketAlreadyOwnedByYou')
      assert.deepEqual([...new Set(server.requests.map((request) => request.style))], [style])
      client.destroy()
    })
  }
})

describe('a request is refused', () => {
  const cases: readonly (readonly [why: string, fate: string, S3ServerOptions, Partial<S3ClientConfig>])[] = [
    ['without the secret', '403 SignatureDoesNotMatch', {}, { credentials: { ...ACCOUNT, secretAccessKey: 'another' } }],
    ['of nobody', '403 InvalidAccessKeyId', {}, { credentials: { ...ACCOUNT, accessKeyId: 'AKIANOBODY' } }],
    ['for another region', '400 AuthorizationHeaderMalformed', {}, { region: 'us-east-1' }],
    ['with a token that is none', '400 InvalidToken', {}, { credentials: { ...ACCOUNT, sessionToken: 'mine' } }],
    ['without the token', '400 InvalidToken', { accounts: [{ ...ACCOUNT, sessionToken: 'ours' }] }, { credentials: ACCOUNT }],
    ['whose token has expired', '400 ExpiredToken', { accounts: [{ ...ACCOUNT, sessionToken: 'ours', expiresAt: 1 }] }, {}],
    ['16 minutes late', '403 RequestTimeTooSkewed', { now: () => Date.now() + 16 * 60_000 }, {}],
    ['16 minutes early', '403 RequestTimeTooSkewed', { now: () => Date.now() - 16 * 60_000 }, {}],
    ['to a bucket that is not there', '404 NoSuchBucket', { buckets: {} }, {}],
    ['to a bucket of another region', '301 PermanentRedirect', { buckets: { archive: { region: 'us-west-2' } } }, {}],
    ['without a digest, where objects are locked', '400 InvalidRequest', { buckets: { archive: { locked: true } } }, {}],
    // What the client sends unless told otherwise.
    ['with a checksum after a body of unknown length', '501 NotImplemented', {}, { requestChecksumCalculation: 'WHEN_SUPPORTED' }],
  ]
  for (const [why, fate, options, config] of cases)
    it(why, async () => {
      await using at = await pair(options, config)
      const Body = fate.startsWith('501') ? Readable.from(['x']) : 'x'
      assert.equal(await at.put('key', 'x', { Body, ContentLength: 1 }), fate)
      assert.deepEqual(
        [...at.server.buckets.values()].flatMap((bucket) => bucket.keys()),
        [],
      )
    })

  const changes: readonly (readonly [why: string, fate: string, Parameters<typeof tampering>[1]])[] = [
    ['to another key than was signed', '403 SignatureDoesNotMatch', (request) => (request.path += 'x')],
    ['with a header changed since', '403 SignatureDoesNotMatch', (request) => (request.headers['x-amz-meta-of'] = 'another')],
    ['with a header that is not signed', '403 AccessDenied', (request) => (request.headers['x-amz-meta-new'] = 'mine')],
    ['with another body than was signed', '400 XAmzContentSHA256Mismatch', (request) => (request.body = 'worlds')],
    ['without a date', '403 AccessDenied', ({ headers }) => delete headers['x-amz-date']],
    ['without the digest of its payload', '400 InvalidRequest', ({ headers }) => delete headers['x-amz-content-sha256']],
    ['without a signature', '403 AccessDenied', ({ headers }) => delete headers['authorization']],
  ]
  for (const [why, fate, change] of changes)
    it(why, async () => {
      await using at = await pair()
      tampering(at.client, change)
      assert.equal(await at.put('key', 'world.', { Metadata: { of: 'mine' } }), fate)
      assert.deepEqual(at.server.bucket().keys(), [])
    })

  it('with a digest that is wrong, or none', async () => {
    await using at = await pair()
    assert.equal(await at.put('key', 'world', { ContentMD5: md5('worle') }), '400 BadDigest')
    assert.equal(await at.put('key', 'world', { ContentMD5: 'AAAA' }), '400 InvalidDigest')
    for (const name of ['ChecksumSHA256', 'ChecksumSHA1', 'ChecksumCRC32'])
      assert.equal(await at.put('key', 'world', { [name]: 'AAAAAA==' }), '400 BadDigest')
    assert.deepEqual(at.server.bucket().keys(), [])
    const sha256 = createHash('sha256').update('world').digest('base64')
    assert.equal(await at.put('key', 'world', { ContentMD5: md5('world'), ChecksumSHA256: sha256 }), '200')
    assert.equal(await at.put('key', 'world', { ChecksumAlgorithm: 'CRC32' }), '200')
  })

  it('if its payload is not signed, unless that is allowed', async () => {
    for (const unsignedPayload of [false, true]) {
      await using at = await pair({ unsignedPayload })
      const body = { Body: Readable.from(['stream']), ContentLength: 6 }
      assert.equal(await at.put('key', '', body), unsignedPayload ? '200' : '400 InvalidRequest')
      assert.equal(at.server.bucket().bytes('key')?.toString(), unsignedPayload ? 'stream' : undefined)
    }
  })

  it('if it asks for what is not here', async () => {
    await using at = await pair()
    assert.equal(await at.put('key', 'x', { StorageClass: 'GLACIER' }), '501 NotImplemented')
    assert.equal(await at.put('key', 'x', { ACL: 'public-read' }), '501 NotImplemented')
    assert.equal(await at.put('k'.repeat(1_025)), '400 KeyTooLongError')
    assert.equal(await fateOf(at.client.send(new HeadBucketCommand({ Bucket: 'no' }))), '400 Unknown')
    assert.deepEqual(at.server.bucket().keys(), [])
  })
})

describe('lists', () => {
  const keys = ['a/1', 'a/2', 'a/b/3', 'a/b/4', 'a/c/5', 'b', 'c/6']

  it('have pages of two, whatever is asked for, in the order of bytes', async () => {
    await using at = await pair()
    // U+FB01 comes before U+1F9C0 in UTF-8, and after it in UTF-16.
    const all = [...keys, ...ODD_KEYS, '\ufb01', '\u{1f9c0}']
    for (const key of all) assert.equal(await at.put(key), '200', key)
    const pages = await pagesOf(at.client, { Bucket: BUCKET, MaxKeys: 1_000, EncodingType: 'url' })
    assert.deepEqual(new Set(pages.slice(0, -1).map(({ KeyCount }) => KeyCount)), new Set([2]))
    const listed = await keysOf(at.client, { Bucket: BUCKET })
    assert.deepEqual(
      listed,
      all.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    )
    for (const key of all) assert.equal(await at.get(key), key)
    const bare = await pagesOf(at.client, { Bucket: BUCKET })
    assert.deepEqual(
      bare.flatMap(({ Contents }) => Contents!.map(({ Key }) => Key)),
      listed,
    )
    const one = await at.client.send(new ListObjectsV2Command({ Bucket: BUCKET, MaxKeys: 1 }))
    assert.deepEqual([one.KeyCount, one.IsTruncated, one.Contents?.[0]?.Size], [1, true, listed[0]!.length])
  })

  it('begin where they are told, and gather what has a delimiter', async () => {
    await using at = await pair()
    for (const key of keys) await at.put(key)
    assert.deepEqual(await keysOf(at.client, { Bucket: BUCKET, Prefix: 'a/b' }), ['a/b/3', 'a/b/4'])
    assert.deepEqual(await keysOf(at.client, { Bucket: BUCKET, StartAfter: 'a/c/5' }), ['b', 'c/6'])
    assert.deepEqual(await keysOf(at.client, { Bucket: BUCKET, Prefix: 'z' }), [])
    const pages = await pagesOf(at.client, { Bucket: BUCKET, Prefix: 'a/', Delimiter: '/' })
    assert.deepEqual(
      pages.map(({ Contents = [], CommonPrefixes = [] }) => [
        ...Contents.map(({ Key }) => Key),
        ...CommonPrefixes.map(({ Prefix }) => Prefix),
      ]),
      [
        ['a/1', 'a/2'],
        ['a/b/', 'a/c/'],
      ],
    )
  })

  it('go on only from a token of their own', async () => {
    await using at = await pair()
    for (const key of keys) await at.put(key)
    const { NextContinuationToken: token } = await at.client.send(new ListObjectsV2Command({ Bucket: BUCKET }))
    for (const wrong of [{ ContinuationToken: 'a/2' }, { ContinuationToken: token, Prefix: 'a/' }])
      assert.equal(await fateOf(at.client.send(new ListObjectsV2Command({ Bucket: BUCKET, ...wrong }))), '400 InvalidArgument')
  })
})

describe('conditions', () => {
  it('of twenty that create the same object at once, one does', async () => {
    await using at = await pair()
    const fates = await Promise.all(Array.from({ length: 20 }, (_, n) => at.put('key', `of ${n}`, { IfNoneMatch: '*' })))
    assert.deepEqual(
      fates.filter((fate) => fate !== '412 PreconditionFailed'),
      ['200'],
    )
    assert.equal(await at.get('key'), `of ${fates.indexOf('200')}`)
    assert.equal(await at.put('key', 'next', { IfMatch: '"another"' }), '412 PreconditionFailed')
    assert.equal(await at.put('none', 'next', { IfMatch: '"another"' }), '404 NoSuchKey')
    await at.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'key' }))
    assert.equal(await at.put('key', 'again', { IfNoneMatch: '*' }), '200')
  })

  it('are a conflict, not implemented, or ignored, in other stores', async () => {
    await using refusing = await pair({ buckets: { archive: { conditions: 'refused' } } })
    assert.equal(await refusing.put('key', 'x', { IfNoneMatch: '*' }), '501 NotImplemented')
    await using ignoring = await pair({ buckets: { archive: { conditions: 'ignored' } } })
    for (const body of ['first', 'second']) assert.equal(await ignoring.put('key', body, { IfNoneMatch: '*' }), '200')
    assert.equal(await ignoring.get('key'), 'second')
    await using racing = await pair({
      buckets: { archive: { conditions: 'conflicting' } },
      faults: [{ fault: { kind: 'late', client: 'waits' }, times: 1 }],
    })
    const slow = racing.put('key', 'slow', { IfNoneMatch: '*' })
    await until(() => racing.server.requests.length === 1)
    assert.equal(await racing.put('key', 'quick', { IfNoneMatch: '*' }), '200')
    assert.equal(racing.server.land(), 1)
    assert.equal(await slow, '409 ConditionalRequestConflict')
    assert.equal(await racing.put('key', 'later', { IfNoneMatch: '*' }), '412 PreconditionFailed')
    assert.equal(await racing.get('key'), 'quick')
  })
})

describe('buckets', () => {
  it('with versions keep what is deleted, and those with a lock do not give it up', async () => {
    for (const locked of [false, true]) {
      await using at = await pair({ buckets: { archive: locked ? { locked } : { versioned: true } } })
      const md5Of = (body: string): object => ({ ContentMD5: md5(body) })
      for (const body of ['first', 'second']) assert.equal(await at.put('key', body, md5Of(body)), '200')
      const gone = await at.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'key' }))
      assert.deepEqual(
        [gone.DeleteMarker, await fateOf(at.client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'key' })))],
        [true, '404 NoSuchKey'],
      )
      assert.equal(await at.put('key', 'third', { IfNoneMatch: '*', ...md5Of('third') }), '200')
      const { id } = at.server.bucket().versions('key')[0]!
      const ended = await fateOf(at.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'key', VersionId: id })))
      assert.equal(ended, locked ? '403 AccessDenied' : '204')
      const first = await fateOf(at.client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'key', VersionId: id })))
      assert.equal(first, locked ? '200' : '404 NoSuchVersion')
    }
  })

  it('may forbid to delete, one by one and many at once', async () => {
    await using at = await pair({ buckets: { archive: { deletes: 'forbidden' } } })
    await at.put('key')
    assert.equal(await fateOf(at.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'key' }))), '403 AccessDenied')
    const { Errors } = await at.client.send(new DeleteObjectsCommand({ Bucket: BUCKET, Delete: { Objects: [{ Key: 'key' }] } }))
    assert.deepEqual(
      Errors?.map(({ Key, Code }) => [Key, Code]),
      [['key', 'AccessDenied']],
    )
    assert.deepEqual(at.server.bucket().keys(), ['key'])
  })

  it('may have ETags that are no MD5', async () => {
    await using at = await pair({ buckets: { archive: { etags: 'opaque' } } })
    await at.put('key', 'x')
    assert.notEqual(at.server.bucket().current('key')?.etag, `"${Buffer.from(md5('x'), 'base64').toString('hex')}"`)
  })

  it('may have the files of a folder as objects, as they are when one asks', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'maintenance-objects-'))
    try {
      await using at = await pair({ buckets: { archive: { folder } } })
      assert.equal(await at.put('a/b', 'first'), '200')
      assert.equal(await readFile(join(folder, 'a/b'), 'utf8'), 'first')
      assert.equal(await at.put('a/b', 'second', { IfNoneMatch: '*' }), '412 PreconditionFailed')
      const head = (): Promise<HeadObjectCommandOutput> => at.client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: 'a/b' }))
      const { ETag } = await head()
      assert.equal(ETag, `"${Buffer.from(md5('first'), 'base64').toString('hex')}"`)
      await writeFile(join(folder, 'a/b'), 'other')
      assert.notEqual((await head()).ETag, ETag)
      assert.equal(await at.get('a/b'), 'other')
      const conditional = new GetObjectCommand({ Bucket: BUCKET, Key: 'a/b', IfMatch: ETag })
      assert.equal(await fateOf(at.client.send(conditional)), '412 PreconditionFailed')

      await symlink(join(folder, 'a/b'), join(folder, 'a/link'))
      for (const name of ['a.b', 'a/c', 'a-b']) await writeFile(join(folder, name), name)
      assert.deepEqual(await keysOf(at.client, { Bucket: BUCKET }), ['a-b', 'a.b', 'a/b', 'a/c'])
      assert.deepEqual(await keysOf(at.client, { Bucket: BUCKET, Prefix: 'a/' }), ['a/b', 'a/c'])
      assert.deepEqual(await keysOf(at.client, { Bucket: BUCKET, Prefix: 'a/c' }), ['a/c'])
      for (const none of ['a', 'a/link', 'a/b/c', 'a/./b'])
        assert.equal(await fateOf(at.client.send(new GetObjectCommand({ Bucket: BUCKET, Key: none }))), '404 NoSuchKey', none)
      assert.equal(await at.put('x/../../outside'), '501 NotImplemented')

      for (const _ of ['first', 'again'])
        assert.equal(await fateOf(at.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'a/b' }))), '204')
      assert.equal(await at.put('a/b', 'again', { IfNoneMatch: '*' }), '200')
      assert.deepEqual((await readdir(join(folder, 'a'))).toSorted(), ['b', 'c', 'link'])
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('faults', () => {
  const lost = /^no answer /

  it('a connection is lost before the object is there, while it comes, or when it is there', async () => {
    for (const [when, isThere] of [
      ['before', false],
      ['during', false],
      ['after', true],
    ] as const) {
      await using at = await pair({ faults: [{ fault: { kind: 'lost', when }, operations: ['PutObject'], times: 1 }] })
      assert.match(await at.put('key', 'x'.repeat(200_000)), lost)
      assert.equal(at.server.bucket().current('key') !== undefined, isThere, when)
      assert.equal(await at.put('key', 'again'), '200')
    }
  })

  it('an object comes late, also to a client that has gone', async () => {
    await using at = await pair({
      faults: [
        late({ kind: 'late', client: 'loses' }),
        late({ kind: 'late', client: 'waits' }),
        late({ kind: 'late', client: 'loses', afterMs: 20 }),
      ],
    })
    assert.match(await at.put('late'), lost)
    assert.deepEqual(at.server.bucket().keys(), [])
    const waiting = at.put('waiting')
    await until(() => at.server.requests.length === 2)
    assert.equal(await fateOf(at.client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: 'waiting' }))), '404 NotFound')
    assert.equal(at.server.land(), 2)
    assert.equal(await waiting, '200')
    assert.match(await at.put('timed'), lost)
    await until(() => at.server.bucket().keys().length === 3)
    assert.equal(at.server.land(), 0)
  })

  it('an error is answered instead, and nothing done', async () => {
    const answers: readonly (readonly [Fault, string])[] = [
      [ERRORS.slowDown, '503 SlowDown'],
      [ERRORS.internal, '500 InternalError'],
      [ERRORS.conflict, '409 ConditionalRequestConflict'],
      [ERRORS.accessDenied, '403 AccessDenied'],
      [ERRORS.objectLocked, '403 AccessDenied'],
      [ERRORS.expiredToken, '400 ExpiredToken'],
      [ERRORS.noSuchBucket, '404 NoSuchBucket'],
      [{ kind: 'redirect', region: 'us-west-2' }, '301 PermanentRedirect'],
    ]
    await using at = await pair({ faults: answers.map(([fault]) => ({ fault, times: 1 })) })
    for (const [, fate] of answers) assert.equal(await at.put('key'), fate)
    assert.deepEqual(at.server.bucket().keys(), [])
    assert.deepEqual(
      at.server.requests.map(({ status, code }) => `${status} ${code}`),
      answers.map(([, fate]) => fate),
    )
    assert.equal(await at.put('key'), '200')
  })

  it('a clock that is off is told, and the client goes by it from then on', async () => {
    await using at = await pair({ faults: [{ fault: { kind: 'skewed', ms: 20 * 60_000 } }] })
    assert.equal(await at.put('key'), '403 RequestTimeTooSkewed')
    assert.equal(await at.put('key'), '200')
  })

  it('a body is cut off, shorter than it was, or another one', async () => {
    const body = 'a body of thirty-two characters.'
    await using at = await pair({
      faults: (['truncated', 'shortened', 'altered'] as const).map((kind) => ({ fault: { kind }, operations: ['GetObject'], times: 1 })),
    })
    await at.put('key', body)
    await assert.rejects(at.get('key'), /aborted|ECONNRESET|socket hang up|terminated/i)
    assert.equal(await at.get('key'), body.slice(0, 16))
    assert.notEqual(await at.get('key'), body)
    assert.equal(await at.get('key'), body)
  })

  it('an answer never comes, or never ends', async () => {
    for (const kind of ['silent', 'endless'] as const) {
      await using at = await pair({ faults: [{ fault: { kind } }] })
      const giveUp = AbortSignal.timeout(100)
      await assert.rejects(at.client.send(new ListObjectsV2Command({ Bucket: BUCKET }), { abortSignal: giveUp }), /aborted/i, kind)
    }
  })

  it('something else than a store answers', async () => {
    for (const body of Object.keys(NONSENSE) as (keyof typeof NONSENSE)[]) {
      await using at = await pair({ faults: [{ fault: { kind: 'nonsense', body } }] })
      const got = await fetch(`${at.server.url}/archive?list-type=2`, { headers: { authorization: 'nobody' } })
      assert.equal(got.status, 400, 'a request that is wrong is refused before it meets a fault')
      const answered = await at.client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'key' }))
      const text = await answered.Body!.transformToString()
      assert.equal(text, NONSENSE[body][1]())
    }
  })

  it('a rule meets what it names, from where it says, as often as it says', async () => {
    const rule: FaultRule = { fault: ERRORS.slowDown, operations: ['PutObject'], key: '^b', from: 2, times: 2 }
    await using at = await pair({ faults: [rule] })
    const fates = []
    for (const key of ['b1', 'a1', 'b2', 'b3', 'b4']) fates.push(await at.put(key))
    assert.deepEqual(fates, ['200', '200', '503 SlowDown', '503 SlowDown', '200'])
    at.server.faults.add({ fault: ERRORS.internal })
    assert.equal(await at.put('a2'), '500 InternalError')
    at.server.faults.clear()
    assert.equal(await at.put('a2'), '200')
  })

  it('a seed chooses the same faults, in whatever order requests come, and another seed others', async () => {
    const keys = Array.from({ length: 40 }, (_, n) => `key ${n}`)
    const ofSeven = await fatesOf(7, keys)
    assert.deepEqual(await fatesOf(7, keys.toReversed()), ofSeven)
    assert.notDeepEqual(await fatesOf(8, keys), ofSeven)
    assert.ok(new Set(Object.values(ofSeven).flatMap((both) => both.split(','))).size > 3)
  })
})

it('the server runs as a program, and ends with its standard input', async () => {
  const main = fileURLToPath(new URL('../support/s3/main.ts', import.meta.url))
  const child = spawn(process.execPath, [main, '--bucket', 'one', '--bucket', 'two', '--page-size', '3'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const { url, region, env }: { url: string; region: string; env: Record<string, string> } = JSON.parse(line.toString())
  const account = { accessKeyId: env['AWS_ACCESS_KEY_ID']!, secretAccessKey: env['AWS_SECRET_ACCESS_KEY']! }
  const client = clientOf({ url, region, account })
  for (const Key of ['a', 'b', 'c', 'd']) await client.send(new PutObjectCommand({ Bucket: 'two', Key, Body: Key }))
  assert.deepEqual(
    (await pagesOf(client, { Bucket: 'two' })).map(({ KeyCount }) => KeyCount),
    [3, 1],
  )
  assert.deepEqual(await keysOf(client, { Bucket: 'one' }), [])
  client.destroy()
  child.stdin.end()
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

function late(fault: Fault): FaultRule {
  return { fault, operations: ['PutObject'], times: 1 }
}

/** What becomes of two attempts at each key. */
async function fatesOf(seed: number, keys: readonly string[]): Promise<Record<string, string>> {
  await using at = await pair({ seed, faults: passingFaults(0.15) })
  const all: Record<string, string> = {}
  for (const key of keys) all[key] = [await at.put(key), await at.put(key)].map((fate) => fate.slice(0, 3)).join()
  return all
}

/** What another part of this process is about to do. */
async function until(done: () => boolean): Promise<void> {
  while (!done()) await sleep(1)
}
