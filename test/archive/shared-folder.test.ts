import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Spool } from '../../src/archive/store/store.ts'
import { GuardedTree } from '../../src/archive/store/guarded-tree.ts'
import { pathOf } from '../../src/archive/store/path.ts'
import { placeAt } from '../../src/archive/store/place.ts'
import { MaintenanceError } from '../../src/errors.ts'
import { auditLogs, count, intercepted, migrated } from '../runs/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { archivedOnce, archivedRows, freshFolder, idsOf, purged, recordOf } from './support.ts'
import { ABOUT_FOLDERS, foldersOf, namesInSpool, ON_BUCKET, storeIn } from './where.ts'

const UID = process.getuid?.()
const DAMAGED = (error: unknown): boolean => error instanceof MaintenanceError && error.code === 'ARCHIVE_DAMAGED'

/** Fails as `link` does if the file system has no hard links. */
function noLinks(): Promise<never> {
  return Promise.reject(Object.assign(new Error('EPERM: operation not permitted, link'), { code: 'EPERM' }))
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: if two databases archive to the same folder at once, neither loses a row, and one reports that the folder is shared`, async () => {
    await using a = await migrated(engine)
    await using b = await migrated(engine)
    await using folder = await freshFolder()
    await auditLogs(a.outside, engine, 300, 100)
    await auditLogs(b.outside, engine, 200, 100)
    await a.outside.sql(`UPDATE audit_logs SET action = 'of-a'`)
    await b.outside.sql(`UPDATE audit_logs SET action = 'of-b'`)
    const ids = { a: await idsOf(a.outside), b: await idsOf(b.outside) }
    // The whole run of B happens after A has recorded its files and before A publishes them.
    let met = false
    const meeting = intercepted(a.database, async (_, transact) => {
      const value = await transact()
      if (!met && (await recordOf(a.database).load(a.database)).step !== undefined) {
        met = true
        assert.equal((await purged(b.database, folder.path)).outcome, 'succeeded')
      }
      return value
    })
    const { outcome, deleted, error } = await purged(meeting, folder.path)
    assert.ok(met)
    assert.deepEqual([outcome, deleted], ['failed', 0])
    assert.ok(DAMAGED(error), String(error))
    assert.match(
      String(error),
      /another file has this place, and was left there\. If two databases share this folder, give each its own ARCHIVE_DIRECTORY/,
    )
    assert.deepEqual(await idsOf(a.outside), ids.a)
    assert.equal(await count(b.outside, 'audit_logs'), 0)
    assert.ok((await archivedRows(folder.path)).every((row) => row['action'] === 'of-b'))

    // The second run reports the same and touches nothing: A's files wait, B's stay.
    const names = async () => (await Promise.all(foldersOf(folder.path).map((root) => readdir(root, { recursive: true })))).flat()
    const before = await names()
    const again = await purged(a.database, folder.path)
    assert.ok(DAMAGED(again.error), String(again.error))
    assert.match(String(again.error), /a different file is waiting to be moved there\. If two databases share this folder/)
    assert.deepEqual(await names(), before)

    // Following the advice of the message.
    await using own = await freshFolder()
    assert.equal((await purged(a.database, own.path)).deleted, 300)
    await archivedOnce(a.database, a.outside, own.path, ids.a)
    assert.deepEqual(
      (await archivedRows(folder.path)).map((row) => Number(row['id'])).toSorted((x, y) => x - y),
      ids.b,
    )
  })

  test(`${engine.name}: a file that is replaced right after it was published is detected before the first row is deleted`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    await auditLogs(fixture.outside, engine, 100, 100)
    let exchanged = ''
    const meddled = intercepted(fixture.database, async (_, transact) => {
      const { step } = await recordOf(fixture.database).load(fixture.database)
      const path = step?.files[0]?.path
      // The transaction in which the worker confirms its lease after publishing its files.
      if (exchanged === '' && path !== undefined) {
        exchanged = path
        await writeFile(join(folder.path, path), 'something else')
      }
      return transact()
    })
    const { outcome, deleted, error } = await purged(meddled, folder.path)
    assert.notEqual(exchanged, '')
    assert.deepEqual([outcome, deleted], ['failed', 0])
    assert.ok(DAMAGED(error), String(error))
    assert.match(String(error), /was altered after it was written, although it was just put there/)
    assert.equal(await count(fixture.outside, 'audit_logs'), 100)
    assert.equal(await readFile(join(folder.path, exchanged), 'utf8'), 'something else')
  })
}

test("another database's unfinished files are neither published nor cleaned, whatever their run and number", async () => {
  await using at = await freshFolder()
  const store = storeIn(at.path)
  const [a, b] = ['aaaaaaaaaaaa-', 'bbbbbbbbbbbb-'].map((prefix) => store.spool(prefix)) as [Spool, Spool]
  const path = pathOf('audit_logs', '2026-08-25', 1, 1, '.json')
  await store.make()
  await a.write(path, 'of a')
  await b.clean('')
  await b.clean('1-')
  await assert.rejects(b.publish([path]), /neither there nor waiting/)
  assert.equal(String(await a.shelf.read(path)), 'of a')
  await b.write(path, 'of b')
  await b.publish([path])
  await assert.rejects(a.publish([path]), DAMAGED)
  assert.equal(String(await store.read(path)), 'of b')
  assert.equal(String(await a.shelf.read(path)), 'of a')
  await a.clean('')
  assert.deepEqual(await namesInSpool(at.path), [])
})

test('publishing that was interrupted when a file was in the spool and in its place is completed when it is repeated', async () => {
  await using at = await freshFolder()
  const store = storeIn(at.path)
  const spool = store.spool('aaaaaaaaaaaa-')
  const path = pathOf('audit_logs', '2026-08-25', 1, 1, '.json')
  await store.make()
  await spool.write(path, 'the same')
  await mkdir(join(at.path, 'audit_logs/2026/08/25'), { recursive: true, mode: 0o700 })
  await writeFile(join(at.path, path), 'the same', { mode: 0o600 })
  assert.equal(await spool.collides(path), false)
  await spool.publish([path])
  assert.equal(String(await store.read(path)), 'the same')
  assert.deepEqual(await namesInSpool(at.path), [])
})

test('setting a file aside never overwrites another file', async () => {
  await using at = await freshFolder()
  const store = storeIn(at.path)
  const spool = store.spool('aaaaaaaaaaaa-')
  const path = pathOf('audit_logs', '2026-08-25', 1, 1, '.json')
  await store.make()
  for (const text of ['first', 'second']) {
    await spool.write(path, text)
    await spool.publish([path])
    if (text === 'first') await store.setAside([path])
  }
  await assert.rejects(
    store.setAside([path]),
    ON_BUCKET ? /cannot be set aside: \S+ is another object\. .*Move that out of the archive/ : /exists already: move it out/,
  )
  assert.equal(await readFile(join(at.path, 'reconciled', path), 'utf8'), 'first')
  assert.equal(String(await store.read(path)), 'second')
})

test('without hard links a file is moved all the same, and never over another file', { skip: ABOUT_FOLDERS }, async () => {
  await using at = await freshFolder()
  const tree = new GuardedTree(at.path, UID)
  await writeFile(join(at.path, 'new'), 'new')
  await writeFile(join(at.path, 'old'), 'old')
  assert.equal(await placeAt(tree, 'new', 'old', noLinks), false)
  assert.deepEqual([await readFile(join(at.path, 'new'), 'utf8'), await readFile(join(at.path, 'old'), 'utf8')], ['new', 'old'])
  assert.equal(await placeAt(tree, 'new', 'place', noLinks), true)
  assert.deepEqual((await readdir(at.path)).toSorted(), ['old', 'place'])
  assert.equal(await readFile(join(at.path, 'place'), 'utf8'), 'new')
})
