import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DatabaseError } from '../../src/database/database-error.ts'
import type { Database } from '../../src/database/database.ts'
import { placeHold } from '../../src/runs/placing-holds.ts'
import { releaseHold } from '../../src/runs/releasing-holds.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { DAY, hostClock } from '../../src/time/clock.ts'
import { BOTH_ENGINES, ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { bookOf, isChain, receipts, type Receipt } from './receipts.ts'
import { AUDIT_LOGS, auditLogs, count, expiredSessions, intercepted, migrated, opened, run, SESSIONS, stored } from './support.ts'

const ROWS = 60

async function filled(outside: TestDatabase, engine: TestEngine): Promise<void> {
  await auditLogs(outside, engine, 300, 1)
  await auditLogs(outside, engine, ROWS, 91)
}

interface Body {
  readonly run: number
  readonly outcome: string
  readonly retention: string
  readonly ranOn: string
  readonly rows: { readonly deleted: number; readonly held: number | null }
  readonly holds: readonly { readonly name: string; readonly rows: number | null }[]
  readonly policy: { readonly sha256: string; readonly rules: readonly unknown[] } | null
}

function bodyOf({ body }: Receipt): Body {
  return JSON.parse(body) as Body
}

/** Each transaction from this number on fails, as for a worker that is killed, and its lease runs out at once. */
function dying(database: Database, from: number, committed: boolean): Database {
  return intercepted(database, async (number, transact) => {
    if (number < from) return transact()
    if (number === from && committed) await transact()
    throw new DatabaseError('failed', 'killed')
  })
}

/** Tells the statements of each transaction. */
function listenedTo(database: Database, sent: string[]): Database {
  // An engine may use one object for all its transactions.
  const listened = new WeakSet<object>()
  const transaction: Database['transaction'] = (work) =>
    database.transaction((tx) => {
      if (listened.has(tx)) return work(tx)
      listened.add(tx)
      const query = tx.query.bind(tx)
      return work(
        Object.assign(tx, {
          query: (...asked: Parameters<typeof query>) => {
            sent.push(asked[0])
            return query(...asked)
          },
        }),
      )
    })
  return new Proxy(database, { get: (target, name) => (name === 'transaction' ? transaction : Reflect.get(target, name)) as unknown })
}

async function leaseRunsOut(outside: TestDatabase): Promise<void> {
  await outside.sql('UPDATE maintenance_leases SET expires_at = 1 WHERE expires_at > 1')
}

/** What a run that deletes sends. */
async function statementsOf(engine: TestEngine, { receipts: recorded }: { readonly receipts: boolean }): Promise<readonly string[]> {
  await using fixture = await migrated(engine)
  const { database, outside } = fixture
  await filled(outside, engine)
  if (!recorded) await outside.sql('DROP TABLE maintenance_receipts')
  if (!recorded) await outside.sql(`DELETE FROM maintenance_migrations WHERE name = 'add_receipts'`)
  const sent: string[] = []
  const result = await run(listenedTo(database, sent), { job: AUDIT_LOGS })
  assert.equal(result.outcome, 'succeeded', String(result.error))
  return sent
}

/** How many updates and deletes there are follows from the batches, which are smaller on a busy machine. */
function insertsIn(statements: readonly string[]): number {
  return statements.filter((statement) => statement.trim().startsWith('INSERT')).length
}

for (const engine of ENGINES) {
  describe(`receipts of runs, on ${engine.name}`, () => {
    it('each run that was allowed to delete leaves one, also of nothing, and says which', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      await filled(outside, engine)
      const results = [await run(database, { job: AUDIT_LOGS }), await run(database, { job: AUDIT_LOGS })]
      const all = await receipts(outside)
      assert.deepEqual(
        all.map((each) => [each.n, each.kind, bodyOf(each).rows.deleted, bodyOf(each).retention, bodyOf(each).outcome]),
        [
          [1, 'purge', ROWS, '90d', 'succeeded'],
          [2, 'purge', 0, '90d', 'succeeded'],
        ],
      )
      assert.ok(isChain(all))
      assert.deepEqual(
        results.map(({ receipt }) => receipt),
        all.map(({ n, sha256 }) => ({ n, sha256 })),
      )
      assert.deepEqual(
        all.map((each) => [each.run, bodyOf(each).run]),
        (await stored(outside)).map((_, index) => [index + 1, index + 1]),
      )
      assert.equal(bodyOf(all[0]!).policy?.rules.length, 0)
    })

    it('other jobs, dry runs and runs that a safety stop ended leave none', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      await filled(outside, engine)
      await expiredSessions(outside, engine, 10)
      await run(database, { job: AUDIT_LOGS })
      const ended: RunResult[] = [
        await run(database, { job: SESSIONS }),
        await run(database, { job: AUDIT_LOGS, dryRun: true }),
        await run(database, { job: AUDIT_LOGS, retentionMs: DAY }),
      ]
      assert.deepEqual(
        ended.map(({ outcome, receipt }) => [outcome, receipt]),
        [
          ['succeeded', undefined],
          ['succeeded', undefined],
          ['stopped', undefined],
        ],
      )
      assert.equal((await receipts(outside)).length, 1)
    })

    it('a run names the holds that kept rows of it, and how many', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      await filled(outside, engine)
      await outside.sql(`UPDATE audit_logs SET "user" = 'alice' WHERE id % 2 = 0`)
      const change = {
        database,
        clock: hostClock(),
        stopping: new AbortController().signal,
        job: AUDIT_LOGS,
        name: 'case-17',
        by: 'jane',
        receipts: bookOf(database),
      }
      const spared = { match: { user: ['alice'] }, from: undefined, until: undefined }
      const placed = await placeHold({ ...change, reason: 'a letter', spared, reviewAt: undefined, archive: undefined })
      await run(database, { job: AUDIT_LOGS })
      const released = await releaseHold({ ...change, reason: 'over' })
      await run(database, { job: AUDIT_LOGS })
      const all = await receipts(outside)
      assert.deepEqual(
        all.map(({ kind }) => kind),
        ['hold-placed', 'purge', 'hold-released', 'purge'],
      )
      assert.ok(isChain(all))
      assert.deepEqual([placed.receipt?.n, released.receipt?.n], [1, 3])
      const [, held, , free] = all.map(bodyOf) as [unknown, Body, unknown, Body]
      assert.deepEqual(
        [held.rows.deleted, held.rows.held, held.holds.map(({ name, rows }) => [name, rows])],
        [ROWS / 2, ROWS / 2, [['case-17', ROWS / 2]]],
      )
      assert.deepEqual([free.rows.deleted, free.rows.held, free.holds], [ROWS / 2, 0, []])
      assert.doesNotMatch(all.map(({ body }) => body).join(), /alice/i)
    })

    it('a run whose worker is killed at any of its transactions has exactly one receipt in the end, with what it deleted', async () => {
      for (const committed of [false, true])
        for (let at = 1, ended = false; !ended; at += 1) {
          await using fixture = await migrated(engine)
          const { database, outside } = fixture
          await filled(outside, engine)
          const killed = await run(dying(database, at, committed), { job: AUDIT_LOGS }, { worker: 'host-a:1' })
          ended = killed.outcome === 'succeeded'
          await leaseRunsOut(outside)
          const next = await run(database, { job: AUDIT_LOGS }, { worker: 'host-b:2' })
          assert.equal(next.outcome, 'succeeded', String(next.error))
          const all = await receipts(outside)
          const accepted = await outside.sql<{ id: number; rows_deleted: number }>(
            'SELECT id, rows_deleted FROM maintenance_runs WHERE retention IS NOT NULL ORDER BY id',
          )
          assert.deepEqual(
            all.map((each) => [each.run, bodyOf(each).rows.deleted]),
            accepted.map(({ id, rows_deleted: deleted }) => [id, deleted]),
            `killed at transaction ${at}`,
          )
          assert.ok(isChain(all))
          assert.equal(await count(outside, 'audit_logs'), 300)
        }
    })

    it('a run that another worker has closed writes none of its own', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      await filled(outside, engine)
      let stolen = false
      const late = intercepted(database, async (number, transact) => {
        // Before its last transaction but some, the lease is somebody else's, who has closed the run.
        if (number > 2 && !stolen && (await count(outside, 'audit_logs')) < 300 + ROWS) {
          stolen = true
          await leaseRunsOut(outside)
          await using other = await opened(outside.url)
          await run(other, { job: AUDIT_LOGS }, { worker: 'host-b:2' })
        }
        return transact()
      })
      const result = await run(late, { job: AUDIT_LOGS }, { worker: 'host-a:1' })
      assert.ok(stolen)
      const all = await receipts(outside)
      assert.deepEqual(
        all.map(({ run: id }) => id),
        [1, 2],
      )
      assert.equal(result.receipt?.n, 1)
      assert.ok(isChain(all))
    })
  })
}

for (const engine of BOTH_ENGINES)
  describe(`receipts, several writers at once, on ${engine.name}`, () => {
    it('three workers and people who place holds make one chain, without a gap or a fork', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await filled(outside, engine)
      const connections = await Promise.all(Array.from({ length: 4 }, () => opened(outside.url)))
      try {
        const works = connections.map(async (database, index) => {
          for (let at = 0; at < 6; at += 1) {
            if (index < 3) await run(database, { job: AUDIT_LOGS }, { worker: `host-${index}:1` })
            else
              await placeHold({
                database,
                clock: hostClock(),
                stopping: new AbortController().signal,
                job: AUDIT_LOGS,
                name: `case-${at}`,
                spared: { match: { user: ['nobody'] }, from: undefined, until: undefined },
                reason: 'a letter',
                by: 'jane',
                reviewAt: undefined,
                archive: undefined,
                receipts: bookOf(database),
              })
          }
        })
        await Promise.all(works)
      } finally {
        for (const each of connections) await each[Symbol.asyncDispose]()
      }
      const all = await receipts(outside)
      const accepted = await outside.sql('SELECT id FROM maintenance_runs WHERE retention IS NOT NULL')
      assert.equal(all.filter(({ kind }) => kind === 'purge').length, accepted.length)
      assert.equal(all.filter(({ kind }) => kind === 'hold-placed').length, 6)
      assert.ok(isChain(all))
    })

    it('a receipt is never changed, deleted or replaced', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      await filled(outside, engine)
      await run(database, { job: AUDIT_LOGS })
      const tries = [
        `UPDATE maintenance_receipts SET body = 'x'`,
        `DELETE FROM maintenance_receipts`,
        engine.name === 'sqlite'
          ? `INSERT OR REPLACE INTO maintenance_receipts (n, kind, body, sha256) VALUES (1, 'purge', 'x', 'x')`
          : 'TRUNCATE maintenance_receipts',
      ]
      for (const sql of tries) await assert.rejects(async () => outside.sql(sql), /receipt/, sql)
      assert.equal((await receipts(outside)).length, 1)
    })

    it('cost one INSERT a run', async () => {
      const [before, after] = [await statementsOf(engine, { receipts: false }), await statementsOf(engine, { receipts: true })]
      assert.equal(insertsIn(after) - insertsIn(before), 1)
      const written = after.filter((sql) => /^\s*(?:INSERT|UPDATE|DELETE).*maintenance_receipts/.test(sql))
      assert.equal(written.length, 1, written.join('\n'))
    })

    it('without their table: before the migration none is written, after it was dropped nothing is deleted', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      await filled(outside, engine)
      await outside.sql('DROP TABLE maintenance_receipts')
      const refused = await run(database, { job: AUDIT_LOGS })
      assert.deepEqual([refused.outcome, refused.deleted], ['failed', 0])
      assert.match(String(refused.error), /maintenance_receipts is missing, although the migration add_receipts has made it/)
      await outside.sql(`DELETE FROM maintenance_migrations WHERE name = 'add_receipts'`)
      const before = await run(database, { job: AUDIT_LOGS })
      assert.deepEqual([before.outcome, before.deleted, before.receipt], ['succeeded', ROWS, undefined])
    })
  })
