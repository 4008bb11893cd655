import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { freshFolder } from '../archive/support.ts'
import { command } from '../support/command.ts'
import { canMount, onSmallDisk } from '../support/small-disk.ts'
import { BOUND, exists, names, OLDEST, A_DAY, partitionOf, POLICY, POSTGRES, prepared, rowsBefore } from './partitioned-rows.ts'
import { count, intercepted, QUIET, run } from './support.ts'

for (const engine of POSTGRES) {
  describe(`whole partitions with an archive, on ${engine.name}`, () => {
    it('each row is in a file before its partition goes, and goes one by one', async () => {
      await using fixture = await prepared(engine)
      await using folder = await freshFolder()
      const { database, outside } = fixture
      const all = await count(outside, 'audit_logs')
      const archive = { directory: folder.path, uid: process.getuid?.(), keptMs: undefined }
      // In no transaction rows are out of their table that are in no file.
      let worst = 0
      const watched = intercepted(database, async (_, transact) => {
        const done = await transact()
        if (await exists(outside, 'audit_logs_legacy')) worst = Math.max(worst, await out(outside))
        return done
      })
      const result = await run(watched, POLICY, { partitions: true, archive })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.equal(result.archived?.rows, result.deleted)
      assert.equal(all - (await count(outside, 'audit_logs')), result.deleted)
      assert.equal(await exists(outside, 'audit_logs_legacy'), false)
      assert.ok(!(await names(outside)).includes(partitionOf(-6)))
      assert.equal(worst, 0)
    })

    it('what a run without the archive has taken out comes back, and is archived', async () => {
      await using fixture = await prepared(engine)
      await using folder = await freshFolder()
      const { database, outside } = fixture
      const archive = { directory: folder.path, uid: process.getuid?.(), keptMs: undefined }
      const old = (await rowsBefore(outside, 'alice')) + (await rowsBefore(outside, 'bob'))
      const stopping = new AbortController()
      await run(
        database,
        { ...POLICY, stopping: stopping.signal },
        { partitions: true, listener: { ...QUIET, jobBatch: () => stopping.abort() } },
      )
      assert.equal(await out(outside), (BOUND - OLDEST) * A_DAY)
      const result = await run(database, POLICY, { partitions: true, archive })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.equal(result.archived?.rows, result.deleted)
      assert.ok(result.deleted >= old, `${result.deleted} of ${old}`)
      assert.equal(await exists(outside, 'audit_logs_legacy'), false)
    })

    it('where the disk of the archive is full, no row goes that is in no file, no partition either, and the next run goes on', async (t) => {
      await using folder = await freshFolder()
      if (!(await canMount(folder.path))) return t.skip('a file system cannot be mounted here: unshare and user namespaces are needed')
      await using fixture = await prepared(engine)
      const { outside } = fixture
      await outside.sql(
        `UPDATE audit_logs SET output = (SELECT string_agg(md5(n::text || audit_logs.id), '') FROM generate_series(1, 100) AS n)`,
      )
      const before = [await names(outside), await count(outside, 'audit_logs')] as const
      const env = { DATABASE_URL: outside.url, AUDIT_LOGS_RETENTION: '5d', ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: folder.path }
      const words = ['--run-now', '--job', POLICY.job.name]
      const full = await onSmallDisk(folder.path, words, env)
      assert.match(full, /"outcome":"failed".*no space left on device.*were not deleted/)
      assert.deepEqual([(await names(outside)).filter((name) => before[0].includes(name)), await count(outside, 'audit_logs')], before)
      assert.equal(await count(outside, 'maintenance_detached'), 0)
      const roomy = await command(words, { env })
      assert.equal(roomy.code, 0, roomy.stdout)
      assert.equal(await exists(outside, 'audit_logs_legacy'), false)
      assert.equal((await rowsBefore(outside, 'alice')) + (await rowsBefore(outside, 'bob')), 0)
    })
  })
}

/** Rows of the first partition, where it has been taken out. */
async function out(outside: Parameters<typeof names>[0]): Promise<number> {
  if ((await names(outside)).includes('audit_logs_legacy')) return 0
  return count(outside, 'audit_logs_legacy')
}
