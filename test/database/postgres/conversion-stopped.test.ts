import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DatabaseError } from '../../../src/database/database-error.ts'
import { DAY, HOUR, hostClock } from '../../../src/time/clock.ts'
import { AUDIT_LOGS, auditLogs, migrated } from '../../runs/support.ts'
import { converted, STEPS } from '../../support/converting.ts'
import { ENGINES, type TestDatabase } from '../../support/engines.ts'
import { midnight } from '../../support/partitioned.ts'

const ROWS = `SELECT count(*) AS n, count(DISTINCT id) AS ids, sum(hashtext(a::text)) AS sum FROM audit_logs AS a`
const KIND = `SELECT relkind AS kind FROM pg_class WHERE oid = 'public.audit_logs'::regclass`
const FUTURE = `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") VALUES ('t', 'u', 'a', 's', now() + interval '5 days'), ('t', 'u', 'a', 's', now() + interval '5 years')`

/** Ends the conversion where this step begins, as a lost connection does: nothing is tidied up. */
function stopAt(step: string): (sentence: string) => void {
  return (sentence) => {
    if (sentence.startsWith(step)) throw new DatabaseError('lost', `stopped before it ${sentence}`)
  }
}

async function first(outside: TestDatabase): Promise<string | undefined> {
  return (
    await outside.sql<{ bound: string }>(`SELECT pg_get_expr(relpartbound, oid) AS bound FROM pg_class WHERE relname = 'audit_logs_legacy'`)
  )[0]?.bound
}

for (const engine of ENGINES.slice(1)) {
  describe(`partition start that was stopped, on ${engine.name}`, () => {
    for (const step of [...STEPS.slice(1), 'analyzes']) {
      test(`before it ${step}: the next one goes on there`, async () => {
        await using fixture = await migrated(engine)
        const { outside } = fixture
        await auditLogs(outside, engine, 2_000, 100)
        await outside.sql(FUTURE)
        const before = await outside.sql(ROWS)
        await assert.rejects(converted(outside.url, { step: stopAt(step) }), /stopped before/)
        assert.deepEqual(await outside.sql(KIND), [{ kind: step === 'analyzes' ? 'p' : 'r' }])
        const steps = await converted(outside.url)
        const expected = [...STEPS, 'analyzes']
        assert.deepEqual(
          steps.map(({ sentence }) => expected.find((each) => sentence.startsWith(each))),
          expected.slice(expected.indexOf(step)),
        )
        assert.deepEqual(await outside.sql(ROWS), before)
      })
    }

    test('with a table that was changed meanwhile: it is prepared anew, and nothing that was set aside is lost', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 2_000, 100)
      await outside.sql(FUTURE)
      await assert.rejects(converted(outside.url, { step: stopAt('puts') }), /stopped before/)
      assert.deepEqual(await outside.sql('SELECT count(*) AS n FROM audit_logs'), [{ n: 2_000 }])
      await outside.sql(`ALTER TABLE audit_logs ADD extra text DEFAULT 'x'; CREATE INDEX idx_extra ON audit_logs (extra)`)
      const steps = await converted(outside.url)
      assert.ok(steps[0]!.sentence.startsWith('takes the bound back'), steps[0]!.sentence)
      assert.deepEqual(await outside.sql(`SELECT count(*) AS n, count(DISTINCT id) AS ids FROM audit_logs WHERE extra = 'x'`), [
        { n: 2_002, ids: 2_002 },
      ])
      // Made again while the constraint of the bound was on the table, it would have it too, and refuse every row from then on.
      assert.deepEqual(await outside.sql(`SELECT conname FROM pg_constraint WHERE conrelid = 'audit_logs'::regclass AND contype = 'c'`), [])
      await outside.sql(FUTURE)
    })

    test('with rows set aside whose column has another name by now: they stay where they are, and it says so', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await outside.sql(FUTURE)
      await assert.rejects(converted(outside.url, { step: stopAt('puts') }), /stopped before/)
      await outside.sql('ALTER TABLE audit_logs RENAME output TO result')
      await assert.rejects(
        converted(outside.url),
        /set aside in public\.audit_logs_new by an earlier start, and its output has been dropped or renamed/,
      )
      assert.deepEqual(await outside.sql('SELECT count(*) AS n FROM audit_logs_new'), [{ n: 2 }])
      await outside.sql('ALTER TABLE audit_logs RENAME result TO output')
      await converted(outside.url)
      assert.deepEqual(await outside.sql('SELECT count(*) AS n FROM audit_logs'), [{ n: 2 }])
    })

    test('for so long that the bound has come near: it begins again with a new one', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 200, 100)
      await outside.sql(FUTURE)
      const before = await outside.sql(ROWS)
      await assert.rejects(converted(outside.url, { step: stopAt('puts'), now: Date.now() - 2 * DAY }), /stopped before/)
      await converted(outside.url)
      assert.equal(await first(outside), `FOR VALUES FROM (MINVALUE) TO ('${midnight(2)}')`)
      assert.deepEqual(await outside.sql(ROWS), before)
    })

    test('in the middle of its index: the rest of it goes, and it is built again', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 200, 100)
      await assert.rejects(converted(outside.url, { step: stopAt('builds') }), /stopped before/)
      await outside.sql('CREATE UNIQUE INDEX audit_logs_legacy_key ON audit_logs (id, "timestamp")')
      await outside.sql(`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'audit_logs_legacy_key'::regclass`)
      const steps = await converted(outside.url)
      assert.deepEqual(
        steps.slice(0, 2).map(({ sentence }) => sentence.split(' ', 1)[0]),
        ['drops', 'builds'],
      )
      assert.deepEqual(
        await outside.sql(`SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = 'audit_logs_pkey_legacy'::regclass`),
        [{ valid: true }],
      )
    })

    test('by a signal: the bound is taken back, and the rows that were set aside', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 200, 100)
      await outside.sql(FUTURE)
      const before = await outside.sql(ROWS)
      const stop = new AbortController()
      const step = (sentence: string): void => {
        if (sentence.startsWith('sets aside')) stop.abort()
      }
      await assert.rejects(
        converted(outside.url, { step, signal: stop.signal }),
        /^DatabaseError: Interrupted\. .+ Nothing is refused any more/,
      )
      assert.deepEqual(await outside.sql(ROWS), before)
      await outside.sql(FUTURE)
      await converted(outside.url)
      assert.deepEqual(await outside.sql(KIND), [{ kind: 'p' }])
    })

    test('by nothing, while midnight passes: what has to wait until the bound is near begins again', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 200, 100)
      const host = hostClock()
      let leapMs = 0
      const clock = { ...host, monotonicMs: () => host.monotonicMs() + leapMs }
      let swaps = 0
      const step = (sentence: string): void => {
        if (!sentence.startsWith('puts')) return
        swaps += 1
        // The time that it may take to get the lock.
        if (swaps === 1) leapMs = 26 * HOUR
      }
      // Yesterday at noon; then today after noon, whatever the time is: less than half a day before the bound.
      const now = Date.parse(`${midnight(0).replace(' ', 'T')}Z`) - 12 * HOUR
      await converted(outside.url, { clock, step, now })
      assert.equal(swaps, 2)
      assert.equal(await first(outside), `FOR VALUES FROM (MINVALUE) TO ('${midnight(2)}')`)
    })

    test('after undo has begun: it leaves the table to that', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await outside.sql(
        `INSERT INTO maintenance_partitioned (table_name, first_partition, bound, began_at, converted_at, undoing_since) VALUES ('audit_logs', 'audit_logs_legacy', $1, 1, 2, 3)`,
        [midnight(2)],
      )
      await assert.rejects(
        converted(outside.url),
        /partition undo has begun on public\.audit_logs and has not ended\. .+ Run: mcp-gateway-maintenance partition undo$/,
      )
    })

    test('two at once: one converts, and the other finds that it is done', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await auditLogs(outside, engine, 2_000, 100)
      const before = await outside.sql(ROWS)
      const steps = await Promise.all([converted(outside.url), converted(outside.url)])
      assert.deepEqual(
        steps.map(({ length }) => length).toSorted((a, b) => a - b),
        [0, STEPS.length + 1],
      )
      assert.deepEqual(await outside.sql(ROWS), before)
      assert.ok(database.partitions(AUDIT_LOGS) !== undefined)
    })

    test('what the bound refuses is refused until the end, and taken afterwards', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 200, 100)
      await assert.rejects(converted(outside.url, { step: stopAt('puts') }), /stopped before/)
      await assert.rejects(outside.sql(FUTURE), /violates check constraint "audit_logs_legacy_bound"/)
      await converted(outside.url)
      await outside.sql(FUTURE)
    })
  })
}
