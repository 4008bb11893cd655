import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PartitionTerms, Period } from '../../../src/database/partitioning.ts'
import { limitFacts, limitsFrom, type LimitFacts } from '../../../src/database/postgres/partitioning/limits.ts'
import { DAY } from '../../../src/time/clock.ts'
import { freshPostgres, POSTGRES_MAJORS } from '../../support/databases.ts'
import { opened } from './fixture.ts'

const FACTS: LimitFacts = {
  schema: 'public',
  table: 'audit_logs',
  indexes: 6,
  locks: { maxConnections: 100, maxLocksPerTransaction: 64, sessions: 20 },
  publications: [],
}

function kept(...periods: readonly Period[]): PartitionTerms {
  return { now: 0, aheadMs: 14 * DAY, periods }
}

void describe('how many partitions a server bears', () => {
  void test('nothing stands against daily partitions of 90 days on a server as it is shipped', () => {
    assert.deepEqual(limitsFrom(FACTS, kept({ name: 'AUDIT_LOGS_RETENTION', keptMs: 200 * DAY }), 107), [])
  })

  void test('each period above 200 days is named, and what is kept for ever', () => {
    const reasons = limitsFrom(
      FACTS,
      kept(
        { name: 'AUDIT_LOGS_RETENTION', keptMs: 200 * DAY + 1 },
        { name: 'rule "a b"', keptMs: undefined },
        { name: 'rule "short"', keptMs: 95 * DAY },
      ),
      107,
    )
    assert.equal(reasons.length, 2)
    assert.match(
      reasons[0]!,
      /^AUDIT_LOGS_RETENTION keeps rows for 17280000001ms, and with a partition a day no period may be longer than 200d: .*Shorten it to 200d/,
    )
    assert.match(reasons[1]!, /^Rule "a b" keeps rows for ever, /)
  })

  void test('lock memory counts partitions, their indexes and sessions; the setting that is enough is named', () => {
    // 4 × 64 × 100 = 25,600 = 100 × 8 × 32
    const facts = { ...FACTS, indexes: 7, locks: { ...FACTS.locks, sessions: 32 } }
    assert.deepEqual(limitsFrom(facts, kept(), 100), [])
    const [reason, ...more] = limitsFrom(facts, kept(), 101)
    assert.deepEqual(more, [])
    assert.match(
      reason!,
      /locks 101 partitions and their indexes, 808 locks in all, and where 32 sessions .* Run: ALTER SYSTEM SET max_locks_per_transaction = 128$/,
    )
    // No more can be connected than the server lets in.
    assert.deepEqual(limitsFrom({ ...facts, locks: { maxConnections: 30, maxLocksPerTransaction: 64, sessions: 900 } }, kept(), 32), [])
    assert.match(
      limitsFrom({ ...facts, locks: { ...facts.locks, maxLocksPerTransaction: 10 } }, kept(), 200)[0]!,
      /max_locks_per_transaction = 128$/,
    )
  })
})

for (const major of POSTGRES_MAJORS) {
  void describe(`what limits partitions on PostgreSQL ${major}`, () => {
    void test('a publication counts that carries the table by its name, its schema or with all tables, unless by way of the root', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(`
        CREATE SCHEMA "odd ""schema"; CREATE TABLE "odd ""schema".audit_logs (id int PRIMARY KEY, a int);
        CREATE INDEX ON "odd ""schema".audit_logs (a); CREATE TABLE audit_logs (id int);
        CREATE PUBLICATION "by ""name" FOR TABLE "odd ""schema".audit_logs;
        CREATE PUBLICATION by_root FOR TABLE "odd ""schema".audit_logs WITH (publish_via_partition_root = true);
        CREATE PUBLICATION elsewhere FOR TABLE audit_logs;
        CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'insert');
        ${major >= 15 ? 'CREATE PUBLICATION in_schema FOR TABLES IN SCHEMA "odd ""schema"; CREATE PUBLICATION other_schema FOR TABLES IN SCHEMA public' : ''}`)
      await using database = await opened(fresh.url)
      const facts = await limitFacts(database, 'odd "schema', 'audit_logs')
      assert.equal(facts.indexes, 2)
      assert(
        facts.locks.maxConnections >= 10 && facts.locks.maxLocksPerTransaction >= 10 && facts.locks.sessions >= 1,
        JSON.stringify(facts.locks),
      )
      assert.deepEqual(
        facts.publications.map(({ name, carries, viaRoot, sendsChanges }) => [name, carries, viaRoot, sendsChanges]),
        [
          ['by "name', 'table', false, true],
          ['by_root', 'table', true, true],
          ['everything', 'all', false, false],
          ...(major >= 15 ? [['in_schema', 'schema', false, true]] : []),
        ],
      )
      const reasons = limitsFrom(facts, kept(), 107)
      assert.equal(reasons.length, facts.publications.length - 1)
      assert.match(reasons[0]!, /Run: ALTER PUBLICATION "by ""name" SET \(publish_via_partition_root = true\)$/)
      for (const reason of reasons) await fresh.admin.query(reason.split('Run: ')[1]!)
      assert.deepEqual(limitsFrom(await limitFacts(database, 'odd "schema', 'audit_logs'), kept(), 107), [])
    })
  })
}
