import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import type { ArchivePlace } from '../../src/archive/archive-location.ts'
import { manifestOf, pathOf, ROWS_SUFFIX } from '../../src/archive/store/path.ts'
import { storeAt } from '../../src/archive/store/store-at.ts'
import { purgedTo, verifiedAt } from '../archive/bucket-support.ts'
import { storeContract } from '../archive/store-contract.ts'
import { PATIENT, type StorePlace } from '../archive/store-places.ts'
import { contents, idsOf, restored } from '../archive/support.ts'
import { auditLogs, migrated } from '../runs/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { clientOf } from '../support/s3/client.ts'
import { startSwift, withoutSwift, type Swift } from '../support/swift.ts'
import { eachOf, keysOf } from './support.ts'

const PREFIX = 'of/tests/ü & +'

/** The archive on a server that others wrote, and that has no conditional PUT. */
describe('Swift', { skip: withoutSwift() }, () => {
  let swift: Swift
  let client: S3Client
  let buckets = 0

  before(async () => {
    swift = await startSwift()
    client = clientOf(swift)
    process.env['AWS_ACCESS_KEY_ID'] = swift.account.accessKeyId
    process.env['AWS_SECRET_ACCESS_KEY'] = swift.account.secretAccessKey
  })
  after(async () => {
    client.destroy()
    await swift[Symbol.asyncDispose]()
  })

  async function fresh(): Promise<StorePlace & { at(machine: string): ArchivePlace }> {
    const Bucket = `archive-${(buckets += 1)}`
    await client.send(new CreateBucketCommand({ Bucket }))
    const machines = await mkdtemp(join(tmpdir(), 'maintenance-spool-'))
    const { url: endpoint, region } = swift
    const common = { kind: 's3', bucket: Bucket, prefix: PREFIX, endpoint, region, pathStyle: true, insecure: false } as const
    const at = (machine: string): ArchivePlace => ({
      directory: `s3://${Bucket}/${PREFIX}`,
      bucket: { ...common, patience: PATIENT, spool: join(machines, machine), spoolChosen: true },
      uid: process.getuid?.(),
    })
    return {
      at,
      store: (machine = 'this', table = 'audit_logs') => storeAt(at(machine), table),
      plant: async (path, content) => void (await client.send(new PutObjectCommand({ Bucket, Key: `${PREFIX}/${path}`, Body: content }))),
      async content(path) {
        try {
          const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: `${PREFIX}/${path}` }))
          return Buffer.from(await Body!.transformToByteArray())
        } catch (error) {
          if ((error as Error).name === 'NoSuchKey') return undefined
          throw error
        }
      },
      paths: async () => (await keysOf(client, { Bucket, Prefix: PREFIX })).map((key) => key.slice(PREFIX.length + 1)),
      [Symbol.asyncDispose]: () => rm(machines, { recursive: true, force: true }),
    }
  }

  describe('as a store', () => storeContract({ name: 'Swift', flatNames: true, unconditional: 'Swift has no conditional PUT', fresh }))

  it('has more files than fit into a page of a list', async () => {
    await using place = await fresh()
    const paths = Array.from({ length: 501 }, (_, n) => pathOf('audit_logs', '2026-08-25', 1, n, ROWS_SUFFIX)).flatMap((rows) => [
      rows,
      manifestOf(rows),
    ])
    await eachOf(paths, (path) => place.plant(path, path))
    const store = place.store()
    assert.deepEqual(await store.list(), paths.toSorted())
    await store.remove(paths)
    assert.deepEqual(await store.list(), [])
  })

  for (const engine of BOTH_ENGINES)
    it(`${engine.name}: takes what is purged, has it sound, and gives every value back`, async () => {
      await using fixture = await migrated(engine)
      await using place = await fresh()
      const { outside, database } = fixture
      await auditLogs(outside, engine, 500, 100)
      const rows = await contents(outside, 'audit_logs')
      await auditLogs(outside, engine, 20, 1)
      const result = await purgedTo(place.at('one machine'), database)
      assert.deepEqual([result.outcome, result.deleted, result.archived?.rows], ['succeeded', 500, 500], String(result.error))
      assert.equal((await idsOf(outside)).length, 20)
      const whole = await verifiedAt(place.at('one machine'), database)
      assert.deepEqual([whole.problems, whole.pending, whole.rows], [[], 0, 500])

      assert.equal((await restored(database, '', { store: place.store('a third') })).inserted, 500)
      assert.deepEqual(await contents(outside, 'audit_logs_restored'), rows)

      // Files are removed whose time has come, by another machine.
      await auditLogs(outside, engine, 10, 95)
      const accepted = new Set(['empty-table', 'shorter-archive-retention'] as const)
      const next = await purgedTo(place.at('another'), database, { keptMs: 1, accepted })
      assert.deepEqual([next.outcome, next.deleted], ['succeeded', 10], String(next.error))
      const left = await verifiedAt(place.at('another'), database)
      assert.deepEqual([left.problems, left.pending, left.rows], [[], 0, 0])
      assert.ok((await place.paths()).every((path) => path.endsWith('.json')))
    })
})
