import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { test } from 'node:test'
import { auditLogs, migrated } from '../runs/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { freshBucket, idsInBucket, purgedTo, verifiedAt } from './bucket-support.ts'
import { idsOf } from './support.ts'

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: every deleted row is in exactly one object, and nothing is left in the spool`, async () => {
    await using fixture = await migrated(engine)
    await using archive = await freshBucket()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 3_000, 100)
    const ids = await idsOf(outside)
    await auditLogs(outside, engine, 50, 1)
    const result = await purgedTo(archive.place, database)
    assert.deepEqual([result.outcome, result.deleted, result.archived?.rows], ['succeeded', 3_000, 3_000], String(result.error))
    assert.deepEqual(idsInBucket(archive), ids)
    assert.equal((await idsOf(outside)).length, 50)
    const { problems, pending, rows } = await verifiedAt(archive.place, database)
    assert.deepEqual([problems, pending, rows], [[], 0, 3_000])

    // Another machine goes on.
    await rm(archive.spool, { recursive: true })
    await auditLogs(outside, engine, 100, 200)
    assert.equal((await purgedTo(archive.place, database)).deleted, 100)
    assert.equal((await verifiedAt(archive.place, database)).rows, 3_100)
  })
}
