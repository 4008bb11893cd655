import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { auditLogs, count, intercepted, migrated, opened } from '../runs/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { filesIn, freshFolder, purged, restored, verified } from './support.ts'

/** Rows a minute apart, over four days. */
const ROWS = 5_000

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: verify and restore find nothing wrong while a run is archiving, or after it died`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    await using beside = await opened(fixture.outside.url)
    await auditLogs(fixture.outside, engine, ROWS, 100)
    const seen: string[] = []
    let looks = 0
    // Between any two transactions of the run, as if it had died there; also while complete files are not published yet.
    const watched = intercepted(fixture.database, async (_, transact) => {
      const answer = await transact()
      const { problems, rows, pending } = await verified(beside, folder.path)
      const { elsewhere, inserted, present } = await restored(beside, folder.path)
      looks += 1
      seen.push(...problems, ...elsewhere)
      assert.equal(inserted + present, rows, 'restored is what stands in the chain')
      if (pending === 0) assert.ok(rows === 0 || rows === ROWS)
      return answer
    })
    const { deleted, archived } = await purged(watched, folder.path)
    assert.deepEqual([deleted, archived?.rows], [ROWS, ROWS])
    assert.ok(looks > 4)
    assert.deepEqual(seen, [])
    assert.equal(await count(fixture.outside, 'audit_logs_restored'), ROWS)
  })

  test(`${engine.name}: days with missing files are not restored, other days are, and the missing files are reported`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    await auditLogs(fixture.outside, engine, ROWS, 100)
    await purged(fixture.database, folder.path)
    const files = await filesIn(folder.path)
    const [first = '', second = ''] = files
    await rm(join(folder.path, first))
    await assert.rejects(restored(fixture.database, folder.path, { to: dayIn(first) }), new RegExp(`${first}: is missing`))
    const from = dayIn(second)
    assert.deepEqual((await restored(fixture.database, folder.path, { from, to: from })).elsewhere, [])
    const manifest = first.replace('.ndjson.zst', '.json')
    await rm(join(folder.path, manifest))
    const other = await restored(fixture.database, folder.path, { from })
    assert.deepEqual([other.files, other.elsewhere], [files.length - 1, [`${manifest}: is missing`]])
    await assert.rejects(restored(fixture.database, folder.path), new RegExp(`${manifest}: is missing`))

    await rm(folder.path, { recursive: true })
    await assert.rejects(restored(fixture.database, folder.path), /is missing\nnothing was restored/)
    const none = await restored(fixture.database, folder.path, { from: '2001-01-01', to: '2001-01-02' })
    assert.deepEqual([none.files, none.elsewhere.length], [0, 1])
  })
}

/** `2026-08-25` of `audit_logs/2026/08/25/17-3.ndjson.zst`. */
function dayIn(file: string): string {
  return file.split('/').slice(1, 4).join('-')
}
