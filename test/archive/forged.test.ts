import assert from 'node:assert/strict'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import type { Database } from '../../src/database/database.ts'
import { auditLogs, count, migrated, type Fixture } from '../runs/support.ts'
import { BOTH_ENGINES, type TestEngine } from '../support/engines.ts'
import { forgedRows, manifestAt, manifestOf, plant, sumOf } from './forge.ts'
import { filesIn, freshFolder, purged, recordOf, restored, verified, type Folder } from './support.ts'

interface Archived extends AsyncDisposable {
  readonly fixture: Fixture
  readonly folder: Folder
  /** Oldest first: one file a day, with five rows each. */
  readonly files: readonly string[]
}

async function archivedDays(engine: TestEngine): Promise<Archived> {
  const fixture = await migrated(engine)
  const folder = await freshFolder()
  for (const days of [104, 103, 102, 101]) {
    await auditLogs(fixture.outside, engine, 5, days)
    await purged(fixture.database, folder.path)
  }
  return {
    fixture,
    folder,
    files: await filesIn(folder.path),
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

function dayOf(path: string): string {
  return path.slice('audit_logs/'.length, 'audit_logs/2026/01/01'.length).replaceAll('/', '-')
}

/** No forged row has come into the table. */
async function nothingForged({ fixture: { outside, database } }: Archived): Promise<void> {
  if ((await database.relations()).has('audit_logs_restored'))
    assert.equal(await count(outside, `audit_logs_restored WHERE "user" <> 'u'`), 0)
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: a manifest that lies about its own path brings no other file into the chain`, async () => {
    await using archived = await archivedDays(engine)
    const { fixture, folder, files } = archived
    const { database } = fixture
    const [first = '', second = ''] = files
    const path = join(folder.path, manifestOf(second))
    const kept = await readFile(path)
    // In place of the second manifest one that describes the first file, and in place of the first file a forged one.
    const { lines } = await forgedRows(join(folder.path, first))
    const elsewhere = first.replace(/\d+-\d+\.ndjson/, '1-0.ndjson')
    const forged = await plant(folder.path, elsewhere, { lines, like: await manifestAt(folder.path, manifestOf(first)) })
    await writeFile(path, JSON.stringify({ ...forged, manifest: manifestOf(second) }))
    const problems = [
      `${manifestOf(second)}: was altered after it was written`,
      `${manifestOf(elsewhere)}: is not in the chain, so nothing refers to it`,
    ]
    assert.deepEqual((await verified(database, folder.path)).problems, problems.toSorted())
    await assert.rejects(restored(database, folder.path), /was altered after it was written\n.*nothing was restored/s)
    await assert.rejects(restored(database, folder.path, { files: [elsewhere] }), /is not in the chain of the archive/)
    await assert.rejects(restored(database, folder.path, { files: [manifestOf(second)] }), /is not in the chain of the archive/)
    await nothingForged(archived)

    await writeFile(path, kept)
    const day = dayOf(first)
    const whole = await restored(database, folder.path, { from: day, to: day })
    assert.deepEqual(
      [whole.files, whole.inserted, whole.elsewhere],
      [1, 5, [`${manifestOf(elsewhere)}: is not in the chain, so nothing refers to it`]],
    )
    await nothingForged(archived)
  })

  test(`${engine.name}: files behind a missing link are not restored and do not count, however well they are forged`, async () => {
    await using archived = await archivedDays(engine)
    const { fixture, folder, files } = archived
    const { database } = fixture
    const [first = '', second = '', third = '', fourth = ''] = files
    const { lines } = await forgedRows(join(folder.path, first))
    await plant(folder.path, first, { lines, like: await manifestAt(folder.path, manifestOf(first)) })
    const like = await manifestAt(folder.path, manifestOf(second))
    const sha256 = sumOf(await readFile(join(folder.path, manifestOf(first))))
    const rows = zstdDecompressSync(await readFile(join(folder.path, second))).toString()
    await plant(folder.path, second, { lines: rows, like, previous: { ...like.previous!, sha256 } })
    await rm(join(folder.path, manifestOf(third)))
    const found = await verified(database, folder.path)
    assert.deepEqual(found.problems, [`${manifestOf(third)}: is missing`, `${third}: has no manifest`].toSorted())
    assert.deepEqual([found.files, found.rows, found.unvouchedFiles], [1, 5, 2])
    for (const file of [first, second, manifestOf(first)])
      await assert.rejects(restored(database, folder.path, { files: [file] }), /nothing vouches for it\n?.*nothing was restored/s)
    const [from, to] = [dayOf(first), dayOf(second)]
    await assert.rejects(restored(database, folder.path, { from, to }), /nothing vouches for it/)
    const newest = await restored(database, folder.path, { from: dayOf(fourth) })
    assert.deepEqual([newest.files, newest.inserted], [1, 5])
    await nothingForged(archived)
  })

  test(`${engine.name}: planted copies of files are named, and are not restored`, async () => {
    await using archived = await archivedDays(engine)
    const { fixture, folder, files } = archived
    const { database } = fixture
    const { lines } = await forgedRows(join(folder.path, files[0]!))
    const strays: string[] = []
    for (const [index, file] of files.entries()) {
      const like = await manifestAt(folder.path, manifestOf(file))
      const planted = file.replace(/\d+-\d+\.ndjson/, `77-${index}.ndjson`)
      await plant(folder.path, planted, { lines, like, run: 77, previous: index === 0 ? null : like.previous })
      strays.push(`${manifestOf(planted)}: is not in the chain, so nothing refers to it`)
    }
    const found = await verified(database, folder.path)
    assert.deepEqual([found.problems, found.files, found.rows], [strays.toSorted(), 4, 20])
    const back = await restored(database, folder.path)
    assert.deepEqual([back.files, back.inserted, back.elsewhere.toSorted()], [4, 20, strays.toSorted()])
    await nothingForged(archived)
  })

  test(`${engine.name}: a file that is replaced between being checked and being restored is not restored`, async () => {
    await using archived = await archivedDays(engine)
    const { fixture, folder, files } = archived
    const file = join(folder.path, files[0]!)
    const { bytes } = await forgedRows(file)
    const exchanging = new Proxy<Database>(fixture.database, {
      get: (target, name) =>
        name === 'makeRestoreTable'
          ? async (...given: Parameters<Database['makeRestoreTable']>) => {
              const notes = await target.makeRestoreTable(...given)
              await writeFile(file, bytes)
              return notes
            }
          : (Reflect.get(target, name) as unknown),
    })
    await assert.rejects(restored(exchanging, folder.path, { files: [files[0]!] }), /was altered after it was written/)
    assert.equal(await count(fixture.outside, 'audit_logs_restored'), 0)
  })

  test(`${engine.name}: without its database an archive is restored by its own chain, with a warning`, async () => {
    await using archived = await archivedDays(engine)
    const { folder, files } = archived
    await using other = await migrated(engine)
    const newest = (await recordOf(archived.fixture.database).load(archived.fixture.database)).head!.manifest
    const back = await restored(other.database, folder.path)
    assert.deepEqual([back.files, back.inserted, back.unvouchedHead], [4, 20, newest])

    const path = join(folder.path, manifestOf(files[1]!))
    const kept = await readFile(path)
    await writeFile(path, kept.toString().replace('"rows": 5', '"rows": 4'))
    await assert.rejects(restored(other.database, folder.path), /was altered after it was written/)
    await writeFile(path, kept)
    // A newer manifest that leads nowhere would turn all others into strays.
    const { lines } = await forgedRows(join(folder.path, files[0]!))
    const like = await manifestAt(folder.path, manifestOf(files[0]!))
    await plant(folder.path, files[0]!.replace(/\d+-\d+\.ndjson/, '99-99.ndjson'), { lines, like, run: 99, previous: null })
    await assert.rejects(restored(other.database, folder.path), /is not in the chain/)
    assert.equal(await count(other.outside, `audit_logs_restored WHERE "user" <> 'u'`), 0)
  })
}
