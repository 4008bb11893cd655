import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ArchivePlace } from '../../src/archive/archive-location.ts'
import { ArchiveCopy, type Copied } from '../../src/archive/copy/copy.ts'
import { look } from '../../src/archive/read/look.ts'
import { verify } from '../../src/archive/read/verify.ts'
import { storeAt } from '../../src/archive/store/store-at.ts'
import { draftsOf } from '../../src/archive/write/draft-names.ts'
import type { Database } from '../../src/database/database.ts'
import { DAY } from '../../src/time/clock.ts'
import { auditLogs, migrated } from '../runs/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { ERRORS, passingFaults, type FaultRule } from '../support/s3/faults.ts'
import { freshBucket, purgedTo } from './bucket-support.ts'
import { freshFolder, recordOf, type Folder } from './support.ts'

interface Request {
  readonly database: Database
  readonly from: ArchivePlace
  readonly to: ArchivePlace
  /** What happens after the archive was looked at, and before a file is copied. */
  readonly meanwhile?: () => Promise<void>
}

async function copied({ database, from, to, meanwhile }: Request): Promise<Copied> {
  const [source, target] = [from, to].map((place) => storeAt(place, 'audit_logs')) as [
    ReturnType<typeof storeAt>,
    ReturnType<typeof storeAt>,
  ]
  return new ArchiveCopy({
    source,
    target,
    spool: target.spool(`copy-${await draftsOf(database)}`),
    look: async () => {
      const seen = await look({ database, record: recordOf(database), store: source })
      await meanwhile?.()
      return seen
    },
    ignored: () => Promise.resolve(new Set()),
    reading: () => {},
    copying: () => {},
    stopping: new AbortController().signal,
  }).complete()
}

/** With the place as the archive of the database. */
async function soundAt(place: ArchivePlace, database: Database): Promise<number> {
  const { problems, files } = await verify({ database, record: recordOf(database), store: storeAt(place, 'audit_logs'), since: undefined })
  assert.deepEqual(problems, [])
  return files
}

function at(folder: Folder): ArchivePlace {
  return { directory: folder.path, uid: process.getuid?.() }
}

for (const to of ['folder', 'bucket'] as const)
  test(`files that expire go from a copy in a ${to}, too, also while it is made`, async () => {
    await using fixture = await migrated(BOTH_ENGINES[0]!)
    await using source = await freshFolder()
    await using folder = await freshFolder()
    await using bucket = await freshBucket()
    const { database, outside } = fixture
    const request = { database, from: at(source), to: to === 'bucket' ? bucket.place : at(folder) }
    for (const days of [400, 300, 200, 100]) await auditLogs(outside, BOTH_ENGINES[0]!, 5, days)
    assert.equal((await purgedTo(request.from, database)).archived?.files, 4)
    const first = await copied(request)
    assert.deepEqual([first.files, first.removed, await soundAt(request.to, database)], [4, 0, 4])

    const shorter = async (keptMs: number): Promise<void> => {
      const accepted = new Set(['empty-table', 'shorter-archive-retention'] as const)
      const { outcome, error } = await purgedTo(request.from, database, { keptMs, accepted })
      assert.equal(outcome, 'succeeded', String(error))
    }
    await shorter(350 * DAY)
    const second = await copied(request)
    assert.deepEqual([second.files, second.removed, second.chain.files.size, await soundAt(request.to, database)], [0, 1, 3, 3])

    // Another copy, from which a file is taken away before it is copied.
    await using other = await freshFolder()
    let looks = 0
    const third = await copied({
      ...request,
      to: at(other),
      meanwhile: async () => {
        looks += 1
        if (looks === 1) await shorter(250 * DAY)
      },
    })
    assert.deepEqual([looks, third.files, third.chain.files.size, await soundAt(at(other), database)], [2, 2, 2, 2])
  })

for (const direction of ['to', 'from'] as const)
  test(`${direction} a bucket whose requests fail for a while: the copy is whole`, async () => {
    await using fixture = await migrated(BOTH_ENGINES[0]!)
    await using folder = await freshFolder()
    await using bucket = await freshBucket()
    const { database, outside } = fixture
    const [from, to] = direction === 'to' ? [at(folder), bucket.place] : [bucket.place, at(folder)]
    for (let days = 100; days < 130; days += 1) await auditLogs(outside, BOTH_ENGINES[0]!, 5, days)
    await purgedTo(from, database)
    bucket.server.faults.add(...passingFaults(0.05))
    const { files, bytes } = await copied({ database, from, to })
    bucket.server.faults.clear()
    assert.deepEqual([files, bytes > 0, await soundAt(to, database)], [30, true, 30])
  })

test('a bucket that refuses, or gives back something else: the copy fails, says so, and is completed later', async () => {
  await using fixture = await migrated(BOTH_ENGINES[0]!)
  await using folder = await freshFolder()
  await using bucket = await freshBucket()
  const { database, outside } = fixture
  for (let days = 100; days < 110; days += 1) await auditLogs(outside, BOTH_ENGINES[0]!, 5, days)
  const request = { database, from: at(folder), to: bucket.place }
  await purgedTo(request.from, database)
  const incomplete = String.raw`\. The archive is as it was, and the copy is not complete\. .*; then copy again, which goes on from there`
  for (const [rule, says] of [
    [{ fault: ERRORS.accessDenied, operations: ['PutObject'] }, 'cannot be written: .*AccessDenied'],
    [{ fault: { kind: 'altered' }, operations: ['GetObject'] }, 'does not give back what was written there: audit_logs/'],
  ] as const satisfies readonly (readonly [FaultRule, string])[]) {
    bucket.server.faults.add(rule)
    await assert.rejects(copied(request), new RegExp(`the copy to s3://archive/of/tests: .*${says}.*${incomplete}`))
    bucket.server.faults.clear()
  }
  assert.equal((await copied(request)).chain.files.size, 10)
  assert.deepEqual([await soundAt(request.to, database), await soundAt(request.from, database)], [10, 10])
})

for (const engine of BOTH_ENGINES)
  test(`${engine.name}: copies beside runs that archive are whole, each as far as the chain went`, async () => {
    await using fixture = await migrated(engine)
    await using source = await freshFolder()
    await using folder = await freshFolder()
    const { database, outside } = fixture
    const request = { database, from: at(source), to: at(folder) }
    await auditLogs(outside, engine, 50, 200)
    await purgedTo(request.from, database)
    for (let days = 100; days < 140; days += 1) await auditLogs(outside, engine, 20, days)
    const runs = { over: false }
    const running = (async () => {
      // Each makes the chain longer while it is copied.
      for (let run = 0; run < 5; run += 1) {
        for (let days = 100; days < 105; days += 1) await auditLogs(outside, engine, 20, days)
        const { outcome, error } = await purgedTo(request.from, database)
        assert.equal(outcome, 'succeeded', String(error))
      }
    })().finally(() => (runs.over = true))
    const lengths: number[] = []
    do lengths.push((await copied(request)).chain.pieces.length)
    while (!runs.over)
    await running
    const last = await copied(request)
    assert.deepEqual(
      lengths,
      lengths.toSorted((a, b) => a - b),
    )
    assert.ok(last.chain.pieces.length > lengths[0]!)
    assert.equal(last.pending, 0)
    assert.equal(await soundAt(request.to, database), last.chain.files.size)
    assert.equal(last.chain.head.sha256, (await recordOf(database).load(database)).head?.sha256)
  })
