import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AUDIT_LOGS, auditLogs, migrated, opened } from '../../runs/support.ts'
import { converted, gatewayBeside, STEPS, terms } from '../../support/converting.ts'
import { ENGINES } from '../../support/engines.ts'
import { recordingLink } from '../../support/recording-link.ts'
import { midnight } from '../../support/partitioned.ts'

function day(at: number): string {
  return `audit_logs_p${midnight(at).slice(0, 10).replaceAll('-', '')}`
}

for (const engine of ENGINES.slice(1)) {
  describe(`partition start, on ${engine.name}`, () => {
    test('turns the table into partitions beside a gateway that goes on as if nothing were', async (t) => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 20_000, 100)
      const before = await outside.sql(`SELECT md5(string_agg(a::text, ',' ORDER BY id)) AS all, max(id) AS last FROM audit_logs AS a`)
      await using beside = await gatewayBeside(outside.url)
      const steps = await converted(outside.url)
      const { ids, errors, worstWriteMs } = await beside.ended()

      assert.deepEqual(errors, [])
      assert.deepEqual(
        steps.map(({ sentence }) => STEPS.find((each) => sentence.startsWith(each)) ?? sentence),
        [...STEPS, 'analyzes the table'],
      )
      t.diagnostic(
        `locked for ${steps.map(({ lockedMs }) => lockedMs?.toFixed(0) ?? '-').join(' ')} ms; slowest insert ${worstWriteMs.toFixed(0)} ms of ${ids.length}`,
      )
      const last = Number(before[0]!['last'])
      assert.deepEqual(
        await outside.sql(`SELECT md5(string_agg(a::text, ',' ORDER BY id)) AS all, max(id) AS last FROM audit_logs AS a WHERE id <= $1`, [
          last,
        ]),
        before,
      )
      assert.deepEqual(
        ids,
        ids.toSorted((a, b) => a - b),
      )
      assert.deepEqual(
        (await outside.sql<{ id: number }>('SELECT id FROM audit_logs WHERE id > $1 ORDER BY id', [last])).map(({ id }) => id),
        ids,
      )
      const parts = await outside.sql<{ name: string; bound: string }>(
        `SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
         WHERE inhparent = 'audit_logs'::regclass ORDER BY 1`,
      )
      assert.deepEqual(parts, [
        { name: 'audit_logs_default', bound: 'DEFAULT' },
        { name: 'audit_logs_legacy', bound: `FOR VALUES FROM (MINVALUE) TO ('${midnight(2)}')` },
        ...Array.from({ length: 14 }, (_, at) => ({
          name: day(at + 2),
          bound: `FOR VALUES FROM ('${midnight(at + 2)}') TO ('${midnight(at + 3)}')`,
        })),
      ])
      await using again = await opened(outside.url)
      assert.equal((await again.partitions(AUDIT_LOGS)!.plan(terms())).kind, 'refused')
      assert.deepEqual(await converted(outside.url), [], 'nothing is left to be done')
    })

    test('the server reads no row under the lock: it sees that the constraint has said it all', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 2_000, 100)
      await outside.sql(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET client_min_messages = debug1', current_database()); END $$`)
      await using link = await recordingLink(outside.url)
      let before = 0
      await converted(link.through(outside.url), {
        step: (sentence) => {
          if (sentence.startsWith('puts')) before = link.notices.length
        },
      })
      const said = link.notices.slice(before)
      assert.ok(said.includes('partition constraint for table "audit_logs_legacy" is implied by existing constraints'), said.join('\n'))
      assert.deepEqual(
        said.filter((line) => /verifying table|scanning|building index/.test(line) && !line.includes('audit_logs_default')),
        [],
      )
    })
  })
}
