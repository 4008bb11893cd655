import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { applyMigrations } from '../runs/support.ts'
import { command, events, start, type Ended } from '../support/command.ts'
import { POSTGRES_MAJORS } from '../support/databases.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { midnight, partitioned } from '../support/partitioned.ts'

function daysFrom(first: number, last: number): readonly string[] {
  return Array.from(
    { length: last - first + 1 },
    (_, at) =>
      `audit_logs_p${midnight(first + at)
        .slice(0, 10)
        .replaceAll('-', '')}`,
  )
}

async function attached(outside: TestDatabase): Promise<number> {
  return (
    await outside.sql(`SELECT FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass AND inhrelid::regclass::text LIKE 'audit_logs_p2%'`)
  ).length
}

function partitionEvents(ended: Ended): readonly (readonly unknown[])[] {
  return ['partitions.made', 'partitions.skipped', 'partitions.not-made'].flatMap((event) =>
    events(ended, event).map((line) => [event, line['table'], line['partitions']]),
  )
}

for (const major of POSTGRES_MAJORS) {
  const engine = ENGINES.find(({ name }) => name === `postgres ${major}`)!
  describe(`the program makes partitions ahead on PostgreSQL ${major}`, () => {
    it('--run-now before its jobs, but not in a dry run, and not where that is switched off', async () => {
      await using outside = await engine.copied(applyMigrations)
      await partitioned(outside, { days: [2, 4] })
      const env = { DATABASE_URL: outside.url }
      const off = await command(['--run-now'], { env: { ...env, PARTITIONS_ENABLED: 'false' } })
      const dry = await command(['--run-now', '--dry-run'], { env })
      assert.deepEqual([off.code, dry.code, partitionEvents(off), partitionEvents(dry)], [0, 0, [], []])
      assert.equal(await attached(outside), 2)
      const on = await command(['--run-now'], { env: { ...env, PARTITIONS_AHEAD: '6d' } })
      assert.equal(on.code, 0, on.stdout + on.stderr)
      assert.deepEqual(partitionEvents(on), [['partitions.made', 'audit_logs', daysFrom(4, 6)]])
      const order = on.lines.map((line) => line['event'])
      assert.ok(order.indexOf('partitions.made') < order.indexOf('job.finished'))
      assert.deepEqual(partitionEvents(await command(['--run-now'], { env: { ...env, PARTITIONS_AHEAD: '6d' } })), [])
    })

    it('a worker after its start, whether or not the job is enabled; it ends in order', async () => {
      await using outside = await engine.copied(applyMigrations)
      await partitioned(outside, { days: [2, 4] })
      await using worker = start([], { env: { DATABASE_URL: outside.url, PURGE_AUDIT_LOGS_ENABLED: 'false' } })
      const made = await worker.line((line) => line['event'] === 'partitions.made')
      assert.deepEqual(made['partitions'], daysFrom(4, 14))
      assert.match(String(made['msg']), /^11 partitions of audit_logs made ahead, up to audit_logs_p\d{8}$/)
      worker.kill('SIGTERM')
      const ended = await worker.ended
      assert.equal(ended.code, 0, ended.stdout + ended.stderr)
      assert.equal(await attached(outside), 13)
      assert.equal(partitionEvents(ended).length, 1)
    })

    it('what cannot be made is one warning, and the run does its work', async () => {
      await using outside = await engine.copied(applyMigrations)
      await partitioned(outside, { days: [2, 4] })
      await outside.sql('CREATE PUBLICATION everything FOR ALL TABLES')
      const ended = await command(['--run-now'], { env: { DATABASE_URL: outside.url } })
      assert.equal(ended.code, 0, ended.stdout + ended.stderr)
      const [line, ...more] = events(ended, 'partitions.not-made')
      assert.deepEqual([line?.['level'], more.length], ['warn', 0])
      assert.match(String(line?.['msg']), /^Publication everything carries all tables without publish_via_partition_root/)
      assert.equal(events(ended, 'job.finished').length, 4)
      assert.equal(await attached(outside), 2)
    })
  })
}
