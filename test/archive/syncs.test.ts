import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { test } from 'node:test'
import { FolderStore } from '../../src/archive/store/folder-store.ts'
import { GuardedTree } from '../../src/archive/store/guarded-tree.ts'
import { pathOf, type ArchivePath } from '../../src/archive/store/path.ts'
import { areDifferent, placeAt } from '../../src/archive/store/place.ts'
import { auditLogs, migrated } from '../runs/support.ts'
import { diskCalls } from '../support/disk-calls.ts'
import { ENGINES } from '../support/engines.ts'
import { freshFolder, purged, restored, type Folder } from './support.ts'
import { ABOUT_FOLDERS } from './where.ts'

const UID = process.getuid?.()
const DAY = 'audit_logs/2026/08/25'
const MANIFEST = pathOf('audit_logs', '2026-08-25', 1, 1, '.json')
const ROWS = pathOf('audit_logs', '2026-08-25', 1, 1, '.ndjson.zst')
const PREFIX = 'aaaaaaaaaaaa-'

/** A file in the spool, published if so wished. */
async function written(at: Folder, state: 'waiting' | 'published') {
  const store = new FolderStore(at.path, 'audit_logs', UID)
  const spool = store.spool(PREFIX)
  await store.make()
  for (const path of [MANIFEST, ROWS]) await spool.write(path, path)
  if (state === 'published') await spool.publish([ROWS, MANIFEST])
  return { store, spool }
}

const noLinks = () => Promise.reject(Object.assign(new Error('no links here'), { code: 'EPERM' }))

/** What `work` does to the archive, with paths below its folder. */
async function done(at: Folder, work: () => Promise<unknown>): Promise<string[]> {
  return (await diskCalls(work)).map((call) => {
    const [name, path] = call.split(' ') as [string, string]
    return `${name} ${relative(at.path, path) || '.'}`
  })
}

function spooled(path: ArchivePath): string {
  return `audit_logs/.writing/${PREFIX}${path.slice(path.lastIndexOf('/') + 1)}`
}

test(
  'a file is published in a folder whose own name is durable, and leaves the spool once its new name is',
  { skip: ABOUT_FOLDERS },
  async () => {
    await using at = await freshFolder()
    const { spool } = await written(at, 'waiting')
    const calls = await done(at, () => spool.publish([ROWS, MANIFEST]))
    const placeOf = (call: string): number => calls.indexOf(call)
    assert.deepEqual(calls.filter((call) => call.startsWith('mkdir')).slice(-1), [`mkdir ${DAY}`])
    for (const above of ['.', 'audit_logs', 'audit_logs/2026', 'audit_logs/2026/08']) {
      assert.ok(placeOf(`sync ${above}`) > placeOf(`mkdir ${DAY}`), calls.join('\n'))
      assert.ok(placeOf(`sync ${above}`) < placeOf(`link ${MANIFEST}`), calls.join('\n'))
    }
    assert.deepEqual(
      calls.slice(placeOf(`link ${MANIFEST}`)).filter((call) => !call.startsWith('rm')),
      [`link ${MANIFEST}`, `link ${ROWS}`, `sync ${DAY}`],
    )
    assert.deepEqual(calls.slice(placeOf(`sync ${DAY}`) + 1).toSorted(), [`rm ${spooled(MANIFEST)}`, `rm ${spooled(ROWS)}`])
  },
)

test(
  'what is published already is made durable again: a run that a power cut ended may not have come so far',
  { skip: ABOUT_FOLDERS },
  async () => {
    await using at = await freshFolder()
    const { spool } = await written(at, 'published')
    const calls = await done(at, () => spool.publish([ROWS, MANIFEST]))
    assert.ok(calls.includes(`sync ${DAY}`) && calls.includes('sync audit_logs/2026/08'), calls.join('\n'))
  },
)

test('a file of rows is removed durably before its manifest, from the archive and from the spool', { skip: ABOUT_FOLDERS }, async () => {
  await using at = await freshFolder()
  const { store } = await written(at, 'published')
  assert.deepEqual(await done(at, () => store.remove([MANIFEST, ROWS])), [`rm ${ROWS}`, `sync ${DAY}`, `rm ${MANIFEST}`, `sync ${DAY}`])
  await using other = await freshFolder()
  const { spool } = await written(other, 'waiting')
  assert.deepEqual(await done(other, () => spool.clean('1-')), [
    `rm ${spooled(ROWS)}`,
    'sync audit_logs/.writing',
    `rm ${spooled(MANIFEST)}`,
  ])
})

test(
  'a file that is set aside has its new name durably before it loses the old one, and loses that durably',
  { skip: ABOUT_FOLDERS },
  async () => {
    await using at = await freshFolder()
    const { store } = await written(at, 'published')
    const calls = await done(at, () => store.setAside([ROWS, MANIFEST]))
    const since = calls.slice(calls.findLastIndex((call) => call.startsWith('link')) + 1)
    assert.deepEqual(since.slice(0, 1), [`sync reconciled/${DAY}`])
    assert.deepEqual(since.slice(1, 3).toSorted(), [`rm ${MANIFEST}`, `rm ${ROWS}`])
    assert.deepEqual(since.slice(3), [`sync ${DAY}`])
  },
)

test('rows that are reported as restored are on the disk, where COMMIT does not wait for that', async () => {
  await using fixture = await migrated(ENGINES[0]!)
  await using folder = await freshFolder()
  const { outside, database } = fixture
  await auditLogs(outside, ENGINES[0]!, 20, 100)
  assert.equal((await purged(database, folder.path)).outcome, 'succeeded')
  const calls = await diskCalls(async () => assert.equal((await restored(database, folder.path)).inserted, 20))
  assert.equal(calls.filter((call) => call.startsWith('sync')).length, 1, calls.join('\n'))
  assert.deepEqual(await diskCalls(async () => assert.equal((await restored(database, folder.path)).present, 20)), [])
})

test(
  'without hard links, a name that was reserved before a crash is taken for the file that it was reserved for',
  { skip: ABOUT_FOLDERS },
  async () => {
    await using at = await freshFolder()
    const tree = new GuardedTree(at.path, UID)
    await writeFile(join(at.path, 'new'), 'new')
    await writeFile(join(at.path, 'reserved'), '')
    assert.equal(await areDifferent(tree, 'new', 'reserved'), false)
    assert.equal(await placeAt(tree, 'new', 'reserved', noLinks), true)
    assert.deepEqual(await readdir(at.path), ['reserved'])
    assert.equal(await readFile(join(at.path, 'reserved'), 'utf8'), 'new')
  },
)
