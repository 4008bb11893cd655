import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { MaintenanceError } from '../../src/errors.ts'
import { auditLogs, migrated } from '../runs/support.ts'
import { BOTH_ENGINES, type TestEngine } from '../support/engines.ts'
import type { BucketOptions } from '../support/s3/bucket.ts'
import { ERRORS, passingFaults, type FaultRule } from '../support/s3/faults.ts'
import type { Operation } from '../support/s3/request.ts'
import type { S3ServerOptions } from '../support/s3/server.ts'
import { placeAt, purgedTo, verifiedAt } from './bucket-support.ts'
import { reconciledAt } from './restorable.ts'
import { bucketSite, rowsAt, type BucketSite } from './sites.ts'
import { becomes, forgetLease, goesOn, nothingLost, stagedAt, type Stage } from './stage.ts'
import { idsOf } from './support.ts'

const [SQLITE] = BOTH_ENGINES as [TestEngine, TestEngine]

/** A restored database, and three files that it does not know: all, some and none of their rows are in it. */
async function restoredStage(engine: TestEngine, options: S3ServerOptions = {}): Promise<Stage<BucketSite>> {
  const stage = await stagedAt(engine, await bucketSite(options))
  await stage.add(10, 110)
  await stage.purge()
  await stage.add(20, 106)
  await stage.add(15, 104)
  const restore = await stage.base.backUp()
  await stage.add(15, 104)
  await stage.add(20, 102)
  await stage.purge()
  await restore()
  return stage
}

const EACH_WAY = ['set aside', 'rewritten', 'joined']

/** Each row is in the table or in an object, or in both. */
async function noneLost({ site, base, ids }: Stage): Promise<void> {
  const found = new Set([...(await rowsAt(site)).map((row) => Number(row['id'])), ...(await idsOf(base.outside))])
  assert.deepEqual(
    ids.filter((id) => !found.has(id)),
    [],
  )
}

function reconciling({ base, site }: Stage): Promise<unknown> {
  return base.with((database) => reconciledAt(database, site.place))
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: a dry run says what would become of each object, and asks for no change`, async () => {
    await using stage = await restoredStage(engine)
    const { requests } = stage.site.server
    const before = requests.length
    const { files } = await stage.base.with((database) => reconciledAt(database, stage.site.place, true))
    assert.deepEqual(
      files.map((file) => file.becomes),
      EACH_WAY,
    )
    const asked = new Set<Operation>(requests.slice(before).map(({ operation }) => operation))
    assert.deepEqual([...asked].toSorted(), ['GetObject', 'HeadObject', 'ListObjectsV2'])
    assert.deepEqual(await becomes(stage), EACH_WAY)
    await nothingLost(stage)
    await goesOn(stage)
  })

  for (const seed of [1, 2])
    test(`${engine.name}: requests that fail now and then, seed ${seed}: whoever repeats it completes it`, async () => {
      await using stage = await restoredStage(engine, { seed })
      const { faults, requests } = stage.site.server
      faults.add(...passingFaults(0.06))
      for (let attempt = 1; ; attempt += 1) {
        try {
          await reconciling(stage)
          break
        } catch (error) {
          assert.ok(error instanceof MaintenanceError && error.code === 'ARCHIVE_FAILED' && attempt < 9, String(error))
          await noneLost(stage)
        }
      }
      assert.ok(requests.some(({ fault }) => fault !== undefined))
      faults.clear()
      await nothingLost(stage)
      await goesOn(stage)
    })

  test(`${engine.name}: 403 for each DELETE: nothing is lost, runs delete nothing and say why, and go on once there is the right`, async () => {
    for (const by of ['reconcile', 'purge'] as const) {
      await using stage = await restoredStage(engine)
      const { site, base } = stage
      const says =
        /s3:\/\/archive\/of\/tests\/audit_logs\/\S+ was copied to reconciled\/audit_logs\/\S+, and cannot be removed: the bucket locks it, or a right is missing.*s3:DeleteObject/
      site.server.faults.add({ fault: ERRORS.accessDenied, operations: ['DeleteObject'] })
      await assert.rejects(reconciling(stage), says)
      const left = await idsOf(base.outside)
      for (const _ of ['at first', 'again']) {
        await forgetLease(base)
        const { outcome, deleted, error } = await base.with((database) => purgedTo(site.place, database))
        assert.deepEqual([outcome, deleted, await idsOf(base.outside)], ['failed', 0, left])
        assert.match(String(error), says)
        await noneLost(stage)
      }
      site.server.faults.clear()
      if (by === 'reconcile') await reconciling(stage)
      await goesOn(stage)
    }
  })
}

describe('a bucket that is not as that of AWS, or has versions', () => {
  const BUCKETS: readonly BucketOptions[] = [
    { versioned: true },
    { locked: true },
    { etags: 'opaque' },
    { conditions: 'refused' },
    { conditions: 'ignored' },
    { conditions: 'conflicting' },
  ]
  for (const options of BUCKETS)
    test(JSON.stringify(options), async () => {
      await using stage = await restoredStage(SQLITE, { buckets: { archive: options } })
      assert.deepEqual(await becomes(stage), EACH_WAY)
      await nothingLost(stage)
      await goesOn(stage)
    })
})

describe('what cannot be set aside stays, and is named', () => {
  const FAULTS: readonly (readonly [says: RegExp, rule: FaultRule])[] = [
    [/cannot be copied: the server answered 403 AccessDenied/, { fault: ERRORS.accessDenied, operations: ['CopyObject'] }],
    [/cannot be set aside: reconciled\/\S+ is another object/, { fault: { kind: 'nonsense', body: 'html' }, operations: ['CopyObject'] }],
  ]
  for (const [says, rule] of FAULTS)
    test(String(says), async () => {
      await using stage = await restoredStage(SQLITE)
      stage.site.server.faults.add(rule)
      await assert.rejects(reconciling(stage), says)
      assert.deepEqual(
        (await stage.site.paths()).filter((path) => path.startsWith('reconciled/')),
        [],
      )
      await noneLost(stage)
      stage.site.server.faults.clear()
      await goesOn(stage)
    })

  test('something else lies below reconciled/', async () => {
    await using stage = await restoredStage(SQLITE)
    const { site } = stage
    const taken = (await site.paths()).map((path) => `reconciled/${path}`)
    for (const path of taken) await site.put(path, 'of somebody else')
    await assert.rejects(
      reconciling(stage),
      /cannot be set aside: reconciled\/\S+ is another object.* Move that out of the archive, and keep it/,
    )
    await noneLost(stage)
    for (const path of taken) {
      assert.equal(String(await site.content(path)), 'of somebody else')
      await site.remove(path)
    }
    await goesOn(stage)
  })
})

describe('a PUT that takes effect late', () => {
  const LATE = { kind: 'late', client: 'loses' } as const

  for (const landing of ['before it is repeated', 'afterwards'] as const)
    test(`of a reconciliation that died, ${landing}: another machine completes it, and no row is in two objects`, async () => {
      await using stage = await restoredStage(SQLITE)
      const { site, base } = stage
      site.server.faults.add({ fault: LATE, operations: ['PutObject'] })
      await assert.rejects(reconciling(stage), /cannot be written/)
      site.server.faults.clear()
      await site.loseSpool()
      if (landing === 'before it is repeated') assert.ok(site.server.land() > 0)
      assert.deepEqual(await becomes(stage), EACH_WAY)
      if (landing === 'afterwards') assert.ok(site.server.land() > 0)
      assert.deepEqual((await base.with((database) => verifiedAt(site.place, database))).problems, [])
      await goesOn(stage)
    })

  test('of the run that wrote what is set aside: it goes again, and no row is in two objects', async () => {
    await using stage = await stagedAt(SQLITE, await bucketSite())
    const { site, base } = stage
    await stage.add(40, 104)
    const restore = await base.backUp()
    // The first PUT of each of the two is sent again, and there before the first has taken effect.
    for (const key of ['\\.zst$', '\\.json$']) site.server.faults.add({ fault: LATE, operations: ['PutObject'], key, times: 1 })
    await stage.purge()
    await restore()
    assert.deepEqual(await becomes(stage), ['set aside'])
    const before = await site.paths()
    assert.equal(site.server.land(), 2)
    await setImmediate()
    assert.equal((await site.paths()).length, before.length + 2)
    assert.deepEqual((await base.with((database) => verifiedAt(site.place, database))).problems, [])
    assert.deepEqual(await becomes(stage), [])
    await goesOn(stage)
  })
})

test('another database in the same bucket, under a path that begins alike, keeps its archive as it is', async () => {
  await using stage = await restoredStage(SQLITE)
  await using other = await migrated(SQLITE)
  const { server, place } = stage.site
  const beside = placeAt(server, place.bucket!.spool, 'of/tests-2')
  const ofOther = () =>
    server
      .bucket()
      .keys()
      .filter((key) => key.startsWith('of/tests-2/'))
  await auditLogs(other.outside, SQLITE, 30, 104)
  assert.equal((await purgedTo(beside, other.database)).deleted, 30)
  const before = ofOther()
  assert.deepEqual(await becomes(stage), EACH_WAY)
  assert.deepEqual(ofOther(), before)
  await auditLogs(other.outside, SQLITE, 5, 103)
  assert.equal((await purgedTo(beside, other.database)).deleted, 5)
  assert.equal((await verifiedAt(beside, other.database)).rows, 35)
  await goesOn(stage)
})
