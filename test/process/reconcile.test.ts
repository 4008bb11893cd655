import assert from 'node:assert/strict'
import { test } from 'node:test'
import { restorable } from '../archive/restorable.ts'
import { contentsOf, rowsAt, SITES } from '../archive/sites.ts'
import { idsOf } from '../archive/support.ts'
import { auditLogs } from '../runs/support.ts'
import { command } from '../support/command.ts'
import { BOTH_ENGINES } from '../support/engines.ts'

const PURGE = ['--run-now', '--job', 'purge-audit-logs', '--accept-empty-table']

for (const engine of BOTH_ENGINES)
  for (const { kind, fresh } of SITES)
    test(`${engine.name}, a ${kind}: a restored backup stops the purge, a dry run says what would become of its files, and archive reconcile does it`, async () => {
      await using base = await restorable(engine)
      await using site = await fresh()
      const { outside } = base
      const options = { env: { DATABASE_URL: outside.url, ...site.env } }
      await auditLogs(outside, engine, 30, 100)
      const restore = await base.backUp()
      const first = await command(PURGE, options)
      assert.equal(first.code, 0, first.stdout)
      await restore()
      const stopped = await command(PURGE, options)
      assert.equal(stopped.code, 1)
      assert.match(stopped.stdout, /archive reconcile --dry-run/)
      assert.match(
        (await command(['archive', 'verify'], options)).stdout,
        /\.json: is not in the chain, but newer than .+: see `archive reconcile --dry-run`\n/,
      )

      const before = await contentsOf(site)
      const would = await command(['archive', 'reconcile', '--dry-run'], options)
      assert.equal(would.code, 0, would.stderr)
      assert.match(
        would.stdout,
        /^(audit_logs\/\S+\.ndjson\.zst: all of its \d+ rows are in the database: it is set aside in reconciled\/, .*\n)+would be done: 0 files join the chain, 0 are written again, \d are set aside\n$/,
      )
      assert.deepEqual(await contentsOf(site), before)

      await outside.sql(`INSERT INTO maintenance_leases (job, holder, fence, expires_at) VALUES ('purge-audit-logs', 'host-b:7', 1, ${Date.now() + 10_000})
      ON CONFLICT (job) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at`)
      const held = await command(['archive', 'reconcile'], options)
      assert.equal(held.code, 1)
      assert.match(held.stderr, /host-b:7 is working on it\. Nothing was changed/)
      assert.deepEqual(await contentsOf(site), before)
      await outside.sql('UPDATE maintenance_leases SET expires_at = 0')

      const done = await command(['archive', 'reconcile', '--json'], options)
      assert.equal(done.code, 0, done.stderr)
      const answer = JSON.parse(done.stdout) as { files: { becomes: string; held: number }[] }
      assert.ok(answer.files.length > 0 && answer.files.every(({ becomes }) => becomes === 'set aside'))
      assert.equal((await idsOf(outside)).length, 30)
      assert.equal((await command(['archive', 'verify'], options)).code, 0)
      assert.equal((await command(PURGE, options)).code, 0)
      assert.equal((await rowsAt(site)).length, 30)
      const nothing = await command(['archive', 'reconcile'], options)
      assert.equal(nothing.code, 0)
      assert.match(
        nothing.stdout,
        /^nothing to reconcile: no file is newer than those that the database knows; archive verify names older ones/,
      )
    })
