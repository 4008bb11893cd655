import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { auditLogs, migrated } from '../runs/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { ACCOUNT } from '../support/s3/server.ts'
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

test('credentials that were renewed in their file are read again once the server has refused the old ones', async () => {
  await using fixture = await migrated(BOTH_ENGINES[0]!)
  await using archive = await freshBucket()
  await auditLogs(fixture.outside, BOTH_ENGINES[0]!, 10, 100)
  const file = join(archive.spool, 'credentials')
  const write = (secret: string): Promise<void> =>
    writeFile(file, `[default]\naws_access_key_id = ${ACCOUNT.accessKeyId}\naws_secret_access_key = ${secret}\n`)
  const before = { ...process.env }
  for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN']) delete process.env[name]
  process.env['AWS_SHARED_CREDENTIALS_FILE'] = file
  try {
    await write('of yesterday')
    const refused = await purgedTo(archive.place, fixture.database)
    assert.match(String(refused.error), /the server does not accept these credentials \(SignatureDoesNotMatch\)/)
    assert.equal((await idsOf(fixture.outside)).length, 10)
    await write(ACCOUNT.secretAccessKey)
    const result = await purgedTo(archive.place, fixture.database)
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', 10], String(result.error))
  } finally {
    delete process.env['AWS_SHARED_CREDENTIALS_FILE']
    Object.assign(process.env, before)
  }
})
