import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Client } from 'pg'
import { auditLogs, migrated } from '../../runs/support.ts'
import { converted, gatewayBeside, hurried, type StepTold } from '../../support/converting.ts'
import { ENGINES } from '../../support/engines.ts'

async function session(url: string): Promise<Client & AsyncDisposable> {
  const client = new Client({ connectionString: url, application_name: 'reporting' })
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

const CHECK = `SELECT count(*) AS n FROM pg_constraint WHERE conname = 'audit_logs_legacy_bound'`

for (const engine of ENGINES.slice(1)) {
  describe(`partition start with others in the way, on ${engine.name}`, () => {
    test('a transaction that reads for long: nobody waits for us, it is named, and the bound goes once it has ended', async (t) => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 2_000, 100)
      await outside.sql(`INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") VALUES ('t', 'u', 'a', 's', 'infinity')`)
      const rows = await outside.sql<{ n: number }>('SELECT count(*) AS n FROM audit_logs')
      await using reading = await session(outside.url)
      await using beside = await gatewayBeside(outside.url)
      const named: string[] = []
      await reading.query('BEGIN')
      const conversion = converted(outside.url, {
        clock: hurried(60),
        blocked: (by) => void named.push(by),
        step: (sentence) => {
          // Between the bound and the swap, so that the bound cannot be taken back either while it reads.
          if (sentence.startsWith('sets aside')) void reading.query('SELECT count(*) FROM audit_logs')
          if (sentence.startsWith('takes')) void reading.query('COMMIT')
        },
      })
      await assert.rejects(
        conversion,
        /^DatabaseError: Gave up after 1\d min .*of waiting for a lock on audit_logs, held up by server process \d+ \(reporting .+Nothing is refused any more/,
      )
      const { errors, worstWriteMs, ids } = await beside.ended()
      t.diagnostic(`slowest insert ${worstWriteMs.toFixed(0)} ms`)
      assert.match(named[0] ?? '', /reporting/)
      assert.deepEqual(await outside.sql(CHECK), [{ n: 0 }])
      assert.deepEqual(errors, [])
      // The reader goes on for minutes of this clock; how long a writer waits on a quiet machine is for the benchmark to say.
      assert.ok(worstWriteMs < 3_000, `${worstWriteMs} ms`)
      assert.deepEqual(await outside.sql('SELECT count(*) AS n FROM audit_logs'), [{ n: rows[0]!.n + ids.length }])
    })

    test('readers of a view all the time: none of them is chosen as the victim of a deadlock', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 2_000, 100)
      const over = new AbortController()
      const errors: string[] = []
      const readers = Array.from({ length: 4 }, async (_, n) => {
        await using reader = await session(outside.url)
        while (!over.signal.aborted) {
          await reader
            .query(
              `BEGIN; SELECT count(*) FROM ${['recent_audit_activity', 'policy_violations', 'tool_usage_stats', 'audit_logs'][n]}; SELECT count(*) FROM policy_violations; COMMIT`,
            )
            .catch((error: Error) => void errors.push(error.message))
        }
      })
      let steps: readonly StepTold[] = []
      try {
        steps = await converted(outside.url)
      } finally {
        over.abort()
        await Promise.all(readers)
      }
      assert.deepEqual(errors, [])
      assert.ok(steps.length > 0)
    })

    test('autovacuum’s lock: it is waited for without keeping anybody waiting', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 2_000, 100)
      await using other = await session(outside.url)
      await using beside = await gatewayBeside(outside.url)
      await converted(outside.url, {
        step: (sentence) => {
          if (sentence.startsWith('refuses'))
            void other.query('BEGIN; LOCK TABLE audit_logs IN SHARE UPDATE EXCLUSIVE MODE; SELECT pg_sleep(0.7); COMMIT')
        },
      })
      const { errors } = await beside.ended()
      assert.deepEqual(errors, [])
      assert.deepEqual(await outside.sql(`SELECT relkind FROM pg_class WHERE oid = 'audit_logs'::regclass`), [{ relkind: 'p' }])
    })
  })
}
