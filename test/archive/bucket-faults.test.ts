import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { ArchivePlace } from '../../src/archive/archive-location.ts'
import type { Database } from '../../src/database/database.ts'
import type { Acceptance } from '../../src/purge/safety.ts'
import { DAY } from '../../src/time/clock.ts'
import { auditLogs, intercepted, migrated } from '../runs/support.ts'
import { BOTH_ENGINES, ENGINES, type TestEngine } from '../support/engines.ts'
import { ERRORS, NONSENSE, passingFaults, type Fault, type FaultRule } from '../support/s3/faults.ts'
import type { BucketOptions } from '../support/s3/bucket.ts'
import type { S3ServerOptions } from '../support/s3/server.ts'
import { freshBucket, idsInBucket, placeAt, purgedTo, verifiedAt, type BucketArchive } from './bucket-support.ts'
import { idsOf, recordOf } from './support.ts'

const SQLITE = ENGINES.find(({ name }) => name === 'sqlite')!
const LEASES = 'UPDATE maintenance_leases SET expires_at = 0'

/** A bucket with a file that has expired, and rows that have to go. */
async function begun(engine: TestEngine, rows: number, options: S3ServerOptions = {}) {
  const fixture = await migrated(engine)
  const archive = await freshBucket(options)
  const { outside, database } = fixture
  await auditLogs(outside, engine, OLD, 400)
  assert.equal((await purgedTo(archive.place, database)).outcome, 'succeeded')
  await auditLogs(outside, engine, rows, 100)
  const ids = await idsOf(outside)
  return {
    archive,
    outside,
    database,
    ids,
    async [Symbol.asyncDispose]() {
      await archive[Symbol.asyncDispose]()
      await fixture[Symbol.asyncDispose]()
    },
  }
}

const OLD = 20
const REQUEST = { keptMs: 365 * DAY, accepted: new Set<Acceptance>(['empty-table', 'shorter-archive-retention']) }

/** Each of these rows is in one object, and none in the table. */
async function archivedOnce(archive: BucketArchive, database: Database, ids: readonly number[]): Promise<void> {
  assert.deepEqual(
    idsInBucket(archive).filter((id) => ids.includes(id)),
    ids.toSorted((a, b) => a - b),
  )
  const { problems, pending } = await verifiedAt(archive.place, database)
  assert.deepEqual([problems, pending], [[], 0])
  assert.equal((await recordOf(database).load(database)).step, undefined)
}

describe('a machine that dies, with its spool', () => {
  /** Returns whether the second run had that many transactions. */
  async function diesAt(engine: TestEngine, moment: number, side: 'before' | 'behind'): Promise<boolean> {
    await using it = await begun(engine, ROWS)
    const { archive, outside, database, ids } = it
    let machine = 0
    const next = (): ArchivePlace => placeAt(archive.server, join(archive.spool, `machine ${(machine += 1)}`))
    const lost = async (): Promise<void> => {
      await rm(archive.spool, { recursive: true, force: true })
      await outside.sql(LEASES)
    }
    const first = intercepted(database, async (_, transact) => {
      const value = await transact()
      if ((await idsOf(outside)).length < ROWS) throw new Error('the machine is gone')
      return value
    })
    assert.match(String((await purgedTo(next(), first)).error), /the machine is gone/)
    await lost()
    let met = false
    const second = intercepted(database, async (number, transact) => {
      met ||= number === moment
      if (number === moment && side === 'before') throw new Error('the machine is gone')
      const value = await transact()
      if (number === moment) throw new Error('the machine is gone')
      return value
    })
    const cut = await purgedTo(next(), second, REQUEST)
    const at = `${side} transaction ${moment}: ${String(cut.error)}`
    assert.equal(cut.outcome, met ? 'failed' : 'succeeded', at)
    if (met) await lost()
    const ended = await purgedTo(next(), database, REQUEST)
    assert.equal(ended.outcome, 'succeeded', `${at}; then ${String(ended.error)}`)
    await archivedOnce(archive, database, ids)
    assert.equal((await verifiedAt(archive.place, database)).rows, ROWS, at)
    return met
  }
  const ROWS = 2_000
  /** Those that settle what the first machine left. */
  const SETTLING = 6

  for (const engine of BOTH_ENGINES)
    for (const side of engine.name === 'sqlite' ? (['before', 'behind'] as const) : (['behind'] as const))
      test(
        `${engine.name}: ${side} ${engine.name === 'sqlite' && side === 'behind' ? 'any' : 'a settling'} transaction, another machine goes on, and no row is lost or archived twice`,
        { timeout: 600_000 },
        async () => {
          let moment = 1
          // Before a transaction of the work that follows, all is as behind the one before it.
          const last = engine.name === 'sqlite' && side === 'behind' ? Infinity : SETTLING
          while (moment <= last && (await diesAt(engine, moment, side))) moment += 1
          assert.ok(moment > SETTLING, String(moment))
        },
      )
})

describe('faults that pass', () => {
  for (const seed of [1, 2, 3, 4])
    test(`answers that are lost after the write, 503, 409, broken connections, seed ${seed}: the run goes on`, async () => {
      await using it = await begun(SQLITE, 500, { seed })
      const { archive, database, ids } = it
      archive.server.faults.add(...passingFaults(0.15))
      const result = await purgedTo(archive.place, database, REQUEST)
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.ok(archive.server.requests.some(({ fault }) => fault !== undefined))
      archive.server.faults.clear()
      await archivedOnce(archive, database, ids)
    })

  test('a PUT whose answer is lost, each of them, is ours when it is sent again', async () => {
    await using it = await begun(SQLITE, 100)
    const { archive, database, ids } = it
    archive.server.faults.add({ fault: { kind: 'lost', when: 'after' }, operations: ['PutObject'], share: 0.6 })
    const result = await purgedTo(archive.place, database, REQUEST)
    assert.equal(result.outcome, 'succeeded', String(result.error))
    archive.server.faults.clear()
    assert.ok(archive.server.requests.some(({ status }) => status === 412))
    await archivedOnce(archive, database, ids)
  })

  test('the clock of this machine is twenty minutes off: the request is signed again by the server’s', async () => {
    await using it = await begun(SQLITE, 100, { now: () => Date.now() + 20 * 60_000 })
    assert.equal((await purgedTo(it.archive.place, it.database)).outcome, 'succeeded')
    await archivedOnce(it.archive, it.database, it.ids)
  })
})

describe('what does not pass fails the run before it deletes, in a sentence', () => {
  const FAULTS: readonly (readonly [name: string, fault: Fault, says: RegExp])[] = [
    [
      'no bucket',
      ERRORS.noSuchBucket,
      /there is no bucket archive\. Rows that are not in the archive were not deleted\. Create it, or correct ARCHIVE_DIRECTORY/,
    ],
    ['no right', ERRORS.accessDenied, /the server answered 403 AccessDenied\..* Check the rights of these credentials: s3:ListBucket/],
    ['expired credentials', ERRORS.expiredToken, /these credentials have expired \(ExpiredToken\)\..* Renew them\./],
    [
      'another region',
      { kind: 'redirect', region: 'us-west-2' },
      /the bucket archive is in another region, us-west-2\..* Set ARCHIVE_S3_REGION=us-west-2/,
    ],
    ['a server that is down', ERRORS.slowDown, /the server answered 503 SlowDown\./],
    ['a server that says nothing', { kind: 'silent' }, /the server did not answer in time/],
    ['an answer that never ends', { kind: 'endless' }, /cannot be (?:read|listed|looked at|written): /],
    ...Object.keys(NONSENSE).map(
      (body) =>
        [
          `nonsense: ${body}`,
          { kind: 'nonsense', body: body as keyof typeof NONSENSE },
          /cannot be (?:read|listed|looked at|written): |is not what it was|more than any manifest/,
        ] as const,
    ),
  ]
  const SHORT = { connectMs: 1_000, idleMs: 300, requestMs: 600, pausesMs: [1] }
  for (const [name, fault, says] of FAULTS)
    for (const operations of [undefined, ['PutObject']] as const)
      test(`${name}, ${operations === undefined ? 'for every request' : 'when files are sent'}`, async () => {
        await using it = await begun(SQLITE, 100)
        const { archive, database, ids, outside } = it
        const rule: FaultRule = operations === undefined ? { fault } : { fault, operations }
        archive.server.faults.add(rule)
        const { bucket } = archive.place
        const hasty = { ...archive.place, bucket: { ...bucket!, patience: SHORT } }
        const result = await purgedTo(hasty, database)
        // Some bodies are as good as any where only the status counts.
        if (operations === undefined || fault.kind !== 'nonsense') {
          assert.equal(result.outcome, 'failed')
          assert.match(String(result.error), says)
          assert.deepEqual(await idsOf(outside), ids)
        }
        assert.doesNotMatch(String(result.error), /secret\/of|AKIA/)
        archive.server.faults.clear()
        await outside.sql(LEASES)
        assert.equal((await purgedTo(archive.place, database)).outcome, 'succeeded')
        await archivedOnce(archive, database, ids)
      })
})

describe('a bucket that is not as that of AWS', () => {
  for (const conditions of ['conflicting', 'refused', 'ignored'] as const)
    test(`conditions on a PUT are ${conditions}`, async () => {
      await using it = await begun(SQLITE, 300, { buckets: { archive: { conditions } } })
      const { archive, database, ids } = it
      const result = await purgedTo(archive.place, database, REQUEST)
      assert.equal(result.outcome, 'succeeded', String(result.error))
      await archivedOnce(archive, database, ids)
    })

  test('ETags that are no digests', async () => {
    await using it = await begun(SQLITE, 300, { buckets: { archive: { etags: 'opaque' } } })
    it.archive.server.faults.add({ fault: { kind: 'lost', when: 'after' }, operations: ['PutObject'], share: 0.5 })
    assert.equal((await purgedTo(it.archive.place, it.database, REQUEST)).outcome, 'succeeded')
    it.archive.server.faults.clear()
    await archivedOnce(it.archive, it.database, it.ids)
  })

  const BUCKETS: readonly BucketOptions[] = [{ deletes: 'forbidden' }, { versioned: true }, { locked: true }]
  for (const options of BUCKETS)
    test(`${JSON.stringify(options)}: expired files do not fail the purge`, async () => {
      await using it = await begun(SQLITE, 300, { buckets: { archive: options } })
      const { archive, database, ids } = it
      for (const _ of ['first', 'second']) {
        const result = await purgedTo(archive.place, database, REQUEST)
        assert.equal(result.outcome, 'succeeded', String(result.error))
      }
      await archivedOnce(archive, database, ids)
      assert.ok((await verifiedAt(archive.place, database)).removedFiles > 0)
      const [left] = await it.outside.sql<{ kept: number }>('SELECT COUNT(*) AS kept FROM maintenance_discarded WHERE kept = 1')
      assert.equal(left!.kept > 0, options.deletes === 'forbidden')
    })
})

test('two databases on one path: the second is refused, and nothing of the first is touched', async () => {
  await using it = await begun(SQLITE, 100)
  await using other = await migrated(SQLITE)
  await auditLogs(other.outside, SQLITE, 50, 100)
  const before = it.archive.server.bucket().keys()
  const result = await purgedTo(it.archive.place, other.database)
  assert.match(String(result.error), /are of runs that this database knows nothing of/)
  assert.equal((await idsOf(other.outside)).length, 50)
  assert.deepEqual(it.archive.server.bucket().keys(), before)
  assert.equal((await purgedTo(it.archive.place, it.database)).outcome, 'succeeded')
})

describe('a PUT that takes effect after its process has died', () => {
  test('what settling has discarded is removed again, and verify does not mind it', async () => {
    await using it = await begun(SQLITE, 200)
    const { archive, database, ids, outside } = it
    archive.server.faults.add({ fault: { kind: 'late', client: 'loses' }, operations: ['PutObject'] })
    const failed = await purgedTo(archive.place, database)
    assert.equal(failed.outcome, 'failed')
    archive.server.faults.clear()
    await outside.sql(LEASES)
    const other = placeAt(archive.server, join(archive.spool, 'another machine'))
    assert.equal((await purgedTo(other, database)).outcome, 'succeeded')
    assert.ok(archive.server.land() > 0)
    const { problems } = await verifiedAt(archive.place, database)
    assert.deepEqual(problems, [])
    assert.equal((await purgedTo(other, database)).outcome, 'succeeded')
    await archivedOnce(archive, database, ids)
  })

  test('a forged memory does not remove a file of the chain', async () => {
    await using it = await begun(SQLITE, 100)
    const { archive, database, outside } = it
    const key = archive.server
      .bucket()
      .keys()
      .find((each) => each.endsWith('.zst'))!
    await outside.sql(
      `INSERT INTO maintenance_discarded (source, path, noted_at, kept) VALUES ('audit_logs', '${key.slice('of/tests/'.length)}', 0, 0)`,
    )
    const result = await purgedTo(archive.place, database)
    assert.match(String(result.error), /is part of the archive, and maintenance_discarded says that it was discarded; it was left alone/)
    assert.ok(archive.server.bucket().keys().includes(key))
  })
})
