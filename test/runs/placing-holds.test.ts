import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ArchiveRecord } from '../../src/archive/state.ts'
import { DatabaseError } from '../../src/database/database-error.ts'
import type { Database } from '../../src/database/database.ts'
import { MaintenanceError } from '../../src/errors.ts'
import { holdsInForce } from '../../src/runs/holds-in-force.ts'
import { claimLease, renewLease } from '../../src/runs/lease.ts'
import { bookOf } from './receipts.ts'
import { placeHold, type Placed, type Placing } from '../../src/runs/placing-holds.ts'
import { releaseHold, type Released } from '../../src/runs/releasing-holds.ts'
import { LEASES } from '../../src/runs/run-records.ts'
import { storedHolds } from '../../src/runs/stored-holds.ts'
import { hostClock } from '../../src/time/clock.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { AUDIT_LOGS, intercepted, migrated, opened, run } from './support.ts'

function place(database: Database, name: string, changes: Partial<Placing> = {}): Promise<Placed> {
  return placeHold({
    database,
    clock: hostClock(),
    stopping: new AbortController().signal,
    job: AUDIT_LOGS,
    name,
    spared: { match: { user: ['Alice', 'bob*'] }, from: Date.UTC(2026, 0, 1), until: undefined },
    reason: 'a letter',
    by: 'jane@host',
    reviewAt: undefined,
    archive: undefined,
    receipts: bookOf(database),
    ...changes,
  })
}

function release(database: Database, name: string, reason = 'settled'): Promise<Released> {
  return releaseHold({
    database,
    clock: hostClock(),
    stopping: new AbortController().signal,
    job: AUDIT_LOGS,
    name,
    reason,
    by: 'joe@host',
    receipts: bookOf(database),
  })
}

interface Row {
  readonly id: number
  readonly name: string
  readonly released_at: number | null
}

function rowsOf(outside: TestDatabase): Promise<Row[]> {
  return outside.sql<Row>('SELECT * FROM maintenance_holds ORDER BY id')
}

/** Each transaction of these numbers is committed, and its answer lost. */
function losing(database: Database, ...lost: readonly number[]): Database {
  return intercepted(database, async (number, transact) => {
    const value = await transact()
    if (lost.includes(number)) throw new DatabaseError('lost', 'the connection broke')
    return value
  })
}

function isUsage(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MaintenanceError, String(error))
    assert.match(error.message, message)
    assert.equal(error.exitCode, 2)
    return true
  }
}

for (const engine of ENGINES) {
  test(`${engine.name}: a hold is on record as it was placed, and the lease's line as it was`, async () => {
    await using fixture = await migrated(engine)
    const { database, outside } = fixture
    const before = Date.now()
    const { id, placedAt } = await place(database, 'case-17', { reviewAt: Date.UTC(2099, 0, 1) })
    assert.deepEqual(await outside.sql('SELECT * FROM maintenance_holds'), [
      {
        id,
        name: 'case-17',
        job: 'purge-audit-logs',
        matches: '{"user":["alice","bob*"],"from":"2026-01-01T00:00:00.000Z"}',
        reason: 'a letter',
        placed_at: placedAt,
        placed_by: 'jane@host',
        review_at: Date.UTC(2099, 0, 1),
        released_at: null,
        released_by: null,
        release_reason: null,
      },
    ])
    assert.ok(placedAt >= before - 1_000 && placedAt <= Date.now() + 1_000)
    assert.deepEqual(await outside.sql('SELECT holder, fence, expires_at FROM maintenance_leases'), [
      { holder: '', fence: 0, expires_at: 0 },
    ])
    // The line that placing has made is free.
    assert.equal((await run(database, { job: AUDIT_LOGS })).outcome, 'succeeded')
    const leases = await outside.sql('SELECT holder, fence, expires_at FROM maintenance_leases')
    await place(database, 'case-18')
    assert.deepEqual(await outside.sql('SELECT holder, fence, expires_at FROM maintenance_leases'), leases)
  })

  test(`${engine.name}: a hold is released once, keeps its record, and gives its name back`, async () => {
    await using fixture = await migrated(engine)
    const { database, outside } = fixture
    const first = await place(database, 'case-17')
    const { id, releasedAt } = await release(database, 'case-17')
    assert.equal(id, first.id)
    await assert.rejects(
      release(database, 'case-17'),
      isUsage(/Hold "case-17" was released already, at .* UTC by "joe@host"\. Nothing was changed/),
    )
    const second = await place(database, 'case-17')
    assert.notEqual(second.id, first.id)
    assert.deepEqual(
      (await rowsOf(outside)).map((row) => [row.id, row.name, row.released_at]),
      [
        [first.id, 'case-17', releasedAt],
        [second.id, 'case-17', null],
      ],
    )
    assert.equal((await release(database, 'case-17')).id, second.id)
    await assert.rejects(release(database, 'case-99'), isUsage(/There is no hold "case-99"/))
  })

  test(`${engine.name}: of two people who place a hold of one name at once, one is told that the other was first`, async () => {
    await using fixture = await migrated(engine)
    const { database, outside } = fixture
    await using other = await opened(outside.url)
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      const ended = await Promise.allSettled([place(database, name), place(other, name, { by: 'jim@host' })])
      assert.deepEqual(ended.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
      const lost = ended.find((each) => each.status === 'rejected')!
      isUsage(/is in force already since .* UTC, placed by "j(im|ane)@host"\. Nothing was changed/)(lost.reason)
    }
    assert.equal((await rowsOf(outside)).length, 5)
  })

  test(`${engine.name}: placing and releasing wait for a batch that holds the lease, longer than for a lock, and the next batch sees what was done`, async () => {
    await using fixture = await migrated(engine)
    const { database, outside } = fixture
    await using worker = await opened(outside.url)
    const leases = worker.named(LEASES)
    const claim = { job: AUDIT_LOGS.name, holder: 'host-b:2', knowsHolds: true, again: false }
    const lease = (await worker.transaction((tx) => claimLease(tx, leases, claim)))!
    const inForce = (): Promise<number> =>
      worker.transaction(async (tx) => {
        await renewLease(tx, leases, lease)
        return (await holdsInForce(tx, worker.named('maintenance_holds'), AUDIT_LOGS)).length
      })
    for (const [change, expected, batchMs] of [
      [place, 1, 3_000],
      [release, 0, 300],
    ] as const) {
      const done: string[] = []
      const begun = Promise.withResolvers<void>()
      const batch = worker.transaction(async (tx) => {
        await renewLease(tx, leases, lease)
        begun.resolve()
        await hostClock().sleep(batchMs)
        done.push('batch')
      })
      await begun.promise
      await Promise.all([batch, change(database, 'case-17').then(() => done.push('hold'))])
      assert.deepEqual(done, ['batch', 'hold'])
      assert.equal(await inForce(), expected)
    }
  })

  test(`${engine.name}: whichever answer to COMMIT is lost, a hold is placed and released once`, async () => {
    for (const lost of [[1], [1, 2], []]) {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      const placed = await place(losing(fixture.database, ...lost), 'case-17')
      const [row, ...more] = await rowsOf(outside)
      assert.deepEqual([row!.id, more], [placed.id, []])
      const released = await release(losing(fixture.database, ...lost), 'case-17')
      assert.deepEqual(
        (await rowsOf(outside)).map((each) => [each.id, each.released_at]),
        [[placed.id, released.releasedAt]],
      )
    }
  })

  test(`${engine.name}: a hold of another that came while an answer was lost is not taken for one's own`, async () => {
    await using fixture = await migrated(engine)
    const { database, outside } = fixture
    const flaky = intercepted(database, async (number, transact) => {
      if (number > 1) return transact()
      // Rolled back on the server, which nobody knows.
      await place(database, 'case-17', { by: 'jim@host' })
      throw new DatabaseError('lost', 'the connection broke')
    })
    await assert.rejects(place(flaky, 'case-17'), isUsage(/is in force already.*placed by "jim@host"/))
    assert.equal((await rowsOf(outside)).length, 1)
  })

  test(`${engine.name}: where the database stays away after COMMIT, it is said that nobody knows whether the hold was placed`, async () => {
    await using fixture = await migrated(engine)
    const { database, outside } = fixture
    const gone = new Proxy(losing(database, 1), {
      get: (target, name) =>
        name === 'reconnected' ? () => Promise.reject(new DatabaseError('unreachable', 'nobody answers')) : Reflect.get(target, name),
    })
    await assert.rejects(place(gone, 'case-17'), (error: Error) => {
      assert.match(
        error.message,
        /nobody answers[^]*It is not known whether hold "case-17" was placed\. .*Run: mcp-gateway-maintenance hold show case-17/,
      )
      return true
    })
    assert.equal((await rowsOf(outside)).length, 1)
  })

  test(`${engine.name}: a trigger that swallows or alters a hold is found out, and nothing is placed`, async () => {
    await using fixture = await migrated(engine)
    const { database, outside } = fixture
    if (engine.name === 'sqlite')
      await outside.sql('CREATE TRIGGER swallowing BEFORE INSERT ON maintenance_holds BEGIN SELECT RAISE(IGNORE); END')
    else {
      await outside.sql(
        `CREATE FUNCTION altered() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.matches := '{"user":["other"]}'; RETURN NEW; END$$`,
      )
      await outside.sql('CREATE TRIGGER altering BEFORE INSERT ON maintenance_holds FOR EACH ROW EXECUTE FUNCTION altered()')
    }
    await assert.rejects(place(database, 'case-17'), /maintenance_holds/)
    assert.deepEqual(await rowsOf(outside), [])
  })

  test(`${engine.name}: a hold can be placed and released beside one that cannot be understood, and that one can be released`, async () => {
    await using fixture = await migrated(engine)
    const { database, outside } = fixture
    await outside.sql(
      `INSERT INTO maintenance_holds (name, job, matches, reason, placed_at, placed_by) VALUES
       ('broken', 'purge-audit-logs', '{"user":', 'r', 1, 'm'), ('of another job', 'purge-sessions', '{}', 'r', 2, 'm')`,
    )
    await place(database, 'case-17')
    const table = database.named('maintenance_holds')
    assert.deepEqual(
      (await storedHolds(database, table)).map(({ name, keeps }) => [name, 'problems' in keeps ? keeps.problems : keeps.match]),
      [
        ['broken', ['is no JSON']],
        ['of another job', ['no row of this job can be held']],
        ['case-17', { user: ['alice', 'bob*'] }],
      ],
    )
    for (const name of ['broken', 'of another job', 'case-17']) await release(database, name)
    assert.equal((await rowsOf(outside)).filter((row) => row.released_at === null).length, 0)
  })

  test(`${engine.name}: files whose removal had begun are named, those of other days are not, and a damaged state keeps nobody from placing`, async () => {
    await using fixture = await migrated(engine)
    const { database, outside } = fixture
    const archive = new ArchiveRecord((name) => database.named(name), 'audit_logs')
    const step = {
      run: 1,
      drafts: '',
      files: [{ manifest: 'audit_logs/2027/01/01/1-9.json', sha256: 'a'.repeat(64), rows: 0 }],
      obsolete: ['audit_logs/2025/06/01/1-1.ndjson.zst', 'audit_logs/2026/01/01/1-2.ndjson.zst', 'audit_logs/2026/03/01/1-3.ndjson.zst'],
      growth: { rows: 0, bytes: 0, files: 0 },
      newestAt: null,
    }
    const store = (text: string): Promise<unknown> => outside.sql('UPDATE maintenance_archives SET step = $1', [text])
    await outside.sql(`INSERT INTO maintenance_archives (source, position) VALUES ('audit_logs', 9)`)
    await store(JSON.stringify(step))
    assert.deepEqual((await place(database, 'a', { archive })).tooLate, step.obsolete.slice(1))
    const spared = { match: {}, from: undefined, until: Date.UTC(2025, 6, 1) }
    assert.deepEqual((await place(database, 'b', { archive, spared })).tooLate, step.obsolete.slice(0, 1))
    // Files that replace others lose nothing.
    const file = {
      manifest: 'audit_logs/2026/01/01/1-9.json',
      path: 'audit_logs/2026/01/01/1-9.ndjson.zst',
      sha256: 'a'.repeat(64),
      rows: 1,
    }
    await store(JSON.stringify({ ...step, files: [file] }))
    assert.deepEqual((await place(database, 'c', { archive })).tooLate, [])
    await store('{"run":')
    const damaged = await place(database, 'd', { archive })
    assert.deepEqual(damaged.tooLate, [])
    assert.match(damaged.tooLateUnknown!, /maintenance_archives\.step is not what a run writes/)
    assert.equal((await rowsOf(outside)).length, 4)
  })
}
