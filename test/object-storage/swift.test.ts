import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { clientOf } from '../support/s3/client.ts'
import { startSwift, withoutSwift, type Swift } from '../support/swift.ts'
import { eachOf, fateOf, keysOf, ODD_KEYS, pagesOf } from './support.ts'

/** What a server of other people's makes of the same requests: the tests' own is right where both answer the same. */
describe('Swift', { skip: withoutSwift() }, () => {
  let swift: Swift
  let client: S3Client
  let buckets = 0

  before(async () => {
    swift = await startSwift()
    client = clientOf(swift)
  })
  after(async () => {
    client.destroy()
    await swift[Symbol.asyncDispose]()
  })

  async function bucket(): Promise<string> {
    const name = `archive-${(buckets += 1)}`
    assert.equal(await fateOf(client.send(new CreateBucketCommand({ Bucket: name }))), '200')
    return name
  }

  it('keeps an object as it was sent', async () => {
    const at = { Bucket: await bucket(), Key: 'a/b' }
    const body = Buffer.from(Array.from({ length: 100_000 }, (_, n) => n % 251))
    const md5 = createHash('md5').update(body).digest()
    const { ETag } = await client.send(new PutObjectCommand({ ...at, Body: body, ContentMD5: md5.toString('base64') }))
    assert.equal(ETag, `"${md5.toString('hex')}"`)
    const got = await client.send(new GetObjectCommand(at))
    assert.deepEqual(Buffer.from(await got.Body!.transformToByteArray()), body)
    assert.equal((await client.send(new HeadObjectCommand(at))).ETag, ETag)
    const part = await client.send(new GetObjectCommand({ ...at, Range: 'bytes=10-19' }))
    assert.deepEqual(
      [Buffer.from(await part.Body!.transformToByteArray()), part.ContentRange],
      [body.subarray(10, 20), 'bytes 10-19/100000'],
    )
    await client.send(new CopyObjectCommand({ Bucket: at.Bucket, Key: 'copy', CopySource: `${at.Bucket}/a/b` }))
    assert.equal((await client.send(new HeadObjectCommand({ ...at, Key: 'copy' }))).ETag, ETag)
    for (const _ of ['there', 'gone']) assert.equal(await fateOf(client.send(new DeleteObjectCommand(at))), '204')
    assert.equal(await fateOf(client.send(new GetObjectCommand(at))), '404 NoSuchKey')
  })

  it('refuses what is signed with another secret, or is not what its digest says', async () => {
    const at = { Bucket: await bucket(), Key: 'key', Body: 'body' }
    const stranger = clientOf({ ...swift, account: { ...swift.account, secretAccessKey: 'another' } })
    assert.equal(await fateOf(stranger.send(new PutObjectCommand(at))), '403 SignatureDoesNotMatch')
    stranger.destroy()
    const wrong = createHash('md5').update('another').digest('base64')
    assert.equal(await fateOf(client.send(new PutObjectCommand({ ...at, ContentMD5: wrong }))), '400 BadDigest')
    assert.equal(await fateOf(client.send(new PutObjectCommand({ ...at, Bucket: 'nowhere' }))), '404 NoSuchBucket')
    assert.deepEqual(await keysOf(client, { Bucket: at.Bucket }), [])
  })

  it('says that it has no conditional PUT', async () => {
    const at = { Bucket: await bucket(), Key: 'key', Body: 'body' }
    assert.equal(await fateOf(client.send(new PutObjectCommand({ ...at, IfNoneMatch: '*' }))), '501 NotImplemented')
    assert.deepEqual(await keysOf(client, { Bucket: at.Bucket }), [])
  })

  it('takes any letters in a key, and gives them back', async () => {
    const Bucket = await bucket()
    for (const Key of ODD_KEYS) await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }))
    assert.deepEqual(
      await keysOf(client, { Bucket, MaxKeys: 2 }),
      ODD_KEYS.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    )
    for (const Key of ODD_KEYS)
      assert.equal(await (await client.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToString(), Key)
    for (const Key of ODD_KEYS) await client.send(new DeleteObjectCommand({ Bucket, Key }))
    assert.deepEqual(await keysOf(client, { Bucket }), [])
  })

  it('lists more objects than fit into a page', async () => {
    const Bucket = await bucket()
    const keys = Array.from({ length: 23 }, (_, n) => `list/${String(n).padStart(2, '0')}`)
    await eachOf(keys, (Key) => client.send(new PutObjectCommand({ Bucket, Key, Body: Key })))
    const pages = await pagesOf(client, { Bucket, Prefix: 'list/', MaxKeys: 10 })
    assert.deepEqual(
      pages.map(({ KeyCount }) => KeyCount),
      [10, 10, 3],
    )
    assert.deepEqual(
      pages.flatMap(({ Contents }) => Contents!.map(({ Key }) => Key)),
      keys,
    )
    await eachOf(keys, (Key) => client.send(new DeleteObjectCommand({ Bucket, Key })))
    assert.deepEqual(await keysOf(client, { Bucket }), [])
  })

  it('deletes many at once only with a digest that the client of Amazon no longer sends', async () => {
    const Bucket = await bucket()
    await client.send(new PutObjectCommand({ Bucket, Key: 'key', Body: 'body' }))
    const several = new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'key' }] } })
    assert.equal(await fateOf(client.send(several)), '400 InvalidRequest')
    assert.deepEqual(await keysOf(client, { Bucket }), ['key'])
  })
})
