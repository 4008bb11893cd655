import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { test } from 'node:test'
import { auditLogs, migrated } from '../runs/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { freshBucket, idsInBucket, PREFIX, purgedTo, verifiedAt, type BucketArchive } from './bucket-support.ts'
import { freshFolder, idsOf } from './support.ts'

/** Copies every file but those that are being written under its own name, as tools that sync folders do. Returns the names. */
async function copied(folder: string, { server }: BucketArchive, leftOut = (_name: string): boolean => false): Promise<readonly string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true })
  const names = found.filter((each) => each.isFile()).map(({ parentPath, name }) => relative(folder, join(parentPath, name)))
  const taken = names.filter((name) => !name.includes('/.writing/') && !leftOut(name)).toSorted()
  for (const name of taken) server.bucket().put(`${PREFIX}/${name}`, await readFile(join(folder, name)), 0)
  return taken
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: an archive that was copied from a folder to a bucket is the same archive, and goes on there alone`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    await using archive = await freshBucket()
    const { outside, database } = fixture
    const before = { directory: folder.path, uid: process.getuid?.() }
    await auditLogs(outside, engine, 500, 100)
    const ids = await idsOf(outside)
    assert.equal((await purgedTo(before, database)).deleted, 500)
    const there = await verifiedAt(before, database)

    assert.ok((await copied(folder.path, archive)).length > 0)
    const here = await verifiedAt(archive.place, database)
    assert.deepEqual([here.problems, here.pending], [[], 0])
    assert.deepEqual([here.files, here.rows, here.bytes], [there.files, there.rows, there.bytes])

    await auditLogs(outside, engine, 40, 200)
    const result = await purgedTo(archive.place, database)
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', 40], String(result.error))
    const { problems, rows } = await verifiedAt(archive.place, database)
    assert.deepEqual([problems, rows], [[], 540])
    assert.deepEqual(
      idsInBucket(archive).filter((id) => ids.includes(id)),
      ids,
    )

    // A worker that still has the old setting.
    await auditLogs(outside, engine, 7, 300)
    const stale = await purgedTo(before, database)
    assert.deepEqual([stale.outcome, stale.deleted], ['failed', 0])
    assert.match(String(stale.error), /is missing, and the database says that it is the newest/)
  })
}

test('a file that was left out is named by the verification, and the newest one stops runs until it is copied too', async () => {
  const [engine] = BOTH_ENGINES
  await using fixture = await migrated(engine!)
  await using folder = await freshFolder()
  await using archive = await freshBucket()
  const { outside, database } = fixture
  const before = { directory: folder.path, uid: process.getuid?.() }
  for (const days of [100, 200]) {
    await auditLogs(outside, engine!, 20, days)
    assert.equal((await purgedTo(before, database)).deleted, 20)
  }
  const { newest: known } = await verifiedAt(before, database)
  const newest: string = known!.manifest
  const names = await copied(folder.path, archive, (name) => name === newest)
  await auditLogs(outside, engine!, 5, 300)
  const refused = await purgedTo(archive.place, database)
  assert.deepEqual([refused.outcome, refused.deleted], ['failed', 0])
  assert.match(String(refused.error), /is missing, and the database says that it is the newest/)

  const older = names.find((name) => name.endsWith('.ndjson.zst') && !newest.startsWith(name.replace('.ndjson.zst', '')))!
  await copied(folder.path, archive)
  archive.server.bucket().remove(`${PREFIX}/${older}`, 0)
  assert.match((await verifiedAt(archive.place, database)).problems.join('\n'), new RegExp(`${older.replaceAll('.', '\\.')}.*is missing`))

  await copied(folder.path, archive)
  assert.deepEqual((await verifiedAt(archive.place, database)).problems, [])
  assert.equal((await purgedTo(archive.place, database)).deleted, 5)
})
