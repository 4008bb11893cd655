import assert from 'node:assert/strict'
import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { rowsOf, type ArchivePath } from '../../src/archive/store/path.ts'
import type { WrittenFile } from '../../src/archive/read/look.ts'
import { sampleOf, type Sample } from '../../src/archive/read/sample.ts'
import { verify, type Verification } from '../../src/archive/read/verify.ts'
import { storeAt } from '../../src/archive/store/store-at.ts'
import type { ArchivePlace } from '../../src/archive/archive-location.ts'
import type { Database } from '../../src/database/database.ts'
import { DAY } from '../../src/time/clock.ts'
import { auditLogs, migrated } from '../runs/support.ts'
import { command } from '../support/command.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { freshBucket, PREFIX, purgedTo } from './bucket-support.ts'
import { filesIn, freshFolder, recordOf } from './support.ts'

const NOW = Date.parse('2026-12-01T10:00:00Z')
/** Always the first one that is left: the lot is of no help to the others. */
const FIRST = (): number => 0
const LAST = (below: number): number => below - 1

/** A day's file each, the newest of today. */
function filesOf(count: number): readonly WrittenFile[] {
  return Array.from({ length: count }, (_, age) => {
    const written = new Date(NOW - age * DAY).toISOString()
    const manifest = `audit_logs/${written.slice(0, 10).replaceAll('-', '/')}/${count - age}-${count - age}.json` as ArchivePath
    const place = { time: written, id: '1' }
    const file = {
      day: written.slice(0, 10),
      rows: 1,
      bytes: 1,
      rowsSha256: '',
      fileBytes: 1,
      fileSha256: '',
      cutoff: written,
      retention: 0,
    }
    return { ...file, path: rowsOf(manifest), first: place, last: place, written, link: { manifest, sha256: '' } }
  })
}

test('a sample has every file of the last 8 days, and one of a hundred of the others', () => {
  const files = filesOf(1_008)
  for (let day = 0; day < 400; day += 1) {
    const { recent, older } = sampleOf(files, NOW + day * DAY, FIRST)
    // Half of them in turn, half by lot, each rounded up.
    assert.ok(older.length >= 10 && older.length <= 12, `${older.length} files on day ${day}`)
    assert.equal(new Set([...recent, ...older]).size, recent.length + older.length)
  }
  assert.deepEqual(
    sampleOf(files, NOW, LAST).recent.map(({ written }) => written),
    files.slice(0, 9).map(({ written }) => written),
  )
  assert.deepEqual(sampleOf([], NOW, FIRST), { recent: [], older: [] })
  // Whatever its manifest says of the time.
  const [undated] = filesOf(1)
  assert.equal(sampleOf([{ ...undated!, written: 'some day' }], NOW + 100 * DAY, FIRST).recent.length, 1)
})

test('samples of 199 days, of 199 weeks and of 199 months come to every file, whatever the lot does', () => {
  const files = filesOf(1_500).slice(10)
  for (const days of [1, 7, 30]) {
    const read = new Set<WrittenFile>()
    for (let sample = 0; sample < 199; sample += 1)
      for (const file of sampleOf(files, NOW + sample * days * DAY, FIRST).older) read.add(file)
    assert.equal(read.size, files.length, `every ${days} days`)
  }
})

test('no file is sure to be left out, however few there are', () => {
  for (const count of [10, 12, 150, 700]) {
    const files = filesOf(count).slice(9)
    const drawn = new Set<WrittenFile>()
    for (let index = 0; index < files.length; index += 1)
      for (const file of sampleOf(files, NOW, (below) => index % below).older) drawn.add(file)
    assert.equal(drawn.size, files.length)
  }
})

/** A month from now, on a day on which it is the turn of no file; the lot takes the first. */
function inAMonth(files: readonly WrittenFile[]): Sample {
  const day = Math.floor(Date.now() / DAY) + 30
  return sampleOf(
    files.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    (day - (day % 199) + 190) * DAY,
    FIRST,
  )
}

function sampled(place: ArchivePlace, database: Database): Promise<Verification> {
  const store = storeAt(place, 'audit_logs')
  return verify({ database, record: recordOf(database), store, since: undefined, sampling: inAMonth })
}

function altered(path: string): readonly string[] {
  return [`${path}: was altered after it was written`]
}

for (const kind of ['a folder', 'a bucket'] as const)
  test(`${kind}: a sample compares the sizes of all files, and reads the contents of some`, async () => {
    await using fixture = await migrated(BOTH_ENGINES[0]!)
    await using folder = await freshFolder()
    await using bucket = await freshBucket()
    const { outside, database } = fixture
    const place = kind === 'a bucket' ? bucket.place : { directory: folder.path, uid: process.getuid?.() }
    const objects = bucket.server.bucket()
    const content = (path: string) =>
      kind === 'a bucket' ? Promise.resolve(Buffer.from(objects.bytes(`${PREFIX}/${path}`)!)) : readFile(join(folder.path, path))
    const plant = (path: string, bytes: Buffer) =>
      kind === 'a bucket' ? Promise.resolve(void objects.put(`${PREFIX}/${path}`, bytes, 0)) : writeFile(join(folder.path, path), bytes)

    for (const days of [104, 103, 102]) await auditLogs(outside, BOTH_ENGINES[0]!, 5, days)
    assert.equal((await purgedTo(place, database)).deleted, 15)
    const [first, second] = (await storeAt(place, 'audit_logs').list()).filter((path) => path.endsWith('.zst'))
    const sound = await sampled(place, database)
    assert.deepEqual([sound.result, sound.files, sound.filesRead, sound.sample?.recent, sound.sample?.older], ['sound', 3, 1, 0, 1])
    assert.deepEqual([sound.sample?.bytes, sound.sample?.digests], [(await content(first!)).length, kind === 'a bucket' ? 3 : 0])

    const bytes = await content(second!)
    await plant(second!, Buffer.concat([bytes, Buffer.of(0)]))
    assert.deepEqual((await sampled(place, database)).problems, altered(second!))
    // Of the same size it is found where the server has another digest of it; else only where the sample comes to it.
    const flipped = Buffer.from(bytes)
    flipped[20]! ^= 1
    await plant(second!, flipped)
    assert.deepEqual((await sampled(place, database)).problems, kind === 'a bucket' ? altered(second!) : [])
    await plant(second!, bytes)
    const read = await content(first!)
    read[20]! ^= 1
    await plant(first!, read)
    assert.deepEqual((await sampled(place, database)).problems, altered(first!))
  })

test('a bucket whose ETags look like digests of the contents, and are none: the files are read, and are sound', async () => {
  await using fixture = await migrated(BOTH_ENGINES[0]!)
  await using bucket = await freshBucket({ buckets: { archive: { etags: 'opaque' } } })
  const { outside, database } = fixture
  for (const days of [104, 103, 102]) await auditLogs(outside, BOTH_ENGINES[0]!, 5, days)
  assert.equal((await purgedTo(bucket.place, database)).deleted, 15)
  const { result, filesRead, sample } = await sampled(bucket.place, database)
  assert.deepEqual([result, filesRead, sample?.recent, sample?.older], ['sound', 3, 0, 3])
})

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: archive verify --sample says what it read, counts as a verification, and takes back no damage`, async () => {
    await using outside = await engine.fresh()
    await using folder = await freshFolder()
    const options = { env: { DATABASE_URL: outside.url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: 'archive' }, cwd: folder.path }
    assert.equal((await command(['migrate'], options)).code, 0)
    for (const days of [102, 100]) await auditLogs(outside, engine, 25, days)
    assert.equal((await command(['--run-now', '--job', 'purge-audit-logs'], options)).code, 0)
    const recorded = (): Promise<unknown[]> => outside.sql('SELECT verified FROM maintenance_archives')

    const sample = await command(['archive', 'verify', '--sample'], options)
    assert.equal(sample.code, 0, sample.stderr)
    const read = String.raw`the sizes of all were compared, and 2 of 2 were read \([\d,]+ bytes\): 2 written in the last 8 days, and 0 of the 0 older ones`
    assert.match(sample.stdout, new RegExp(`^sound: 2 files, 50 rows, [\\d,]+ bytes in .*; ${read}\n$`))
    assert.match(sample.stderr, /^Reading 2 files, [\d,]+ bytes, in .*archive\.\n$/)
    assert.deepEqual(await recorded(), [{ verified: 'sound' }])
    const asJson = JSON.parse((await command(['archive', 'verify', '--sample', '--json'], options)).stdout) as Partial<Verification>
    assert.deepEqual([asJson.filesRead, asJson.sample?.recent, asJson.sample?.older], [2, 2, 0])

    // The file is whole again, but only a look at everything can know that.
    const [file] = await filesIn(join(folder.path, 'archive'))
    const path = join(folder.path, 'archive', file!)
    const bytes = await readFile(path)
    await truncate(path, bytes.length - 1)
    const damaged = await command(['archive', 'verify', '--sample'], options)
    assert.equal(damaged.code, 1)
    assert.match(damaged.stdout, new RegExp(`^${file!}: was altered after it was written\n`))
    assert.deepEqual(await recorded(), [{ verified: 'damaged' }])
    await writeFile(path, bytes)
    const again = await command(['archive', 'verify', '--sample'], options)
    assert.equal(again.code, 0)
    assert.match(again.stderr, /the archive was found damaged before, and a sample may leave out the files that are\./)
    assert.deepEqual(await recorded(), [{ verified: 'damaged' }])
    const full = await command(['archive', 'verify'], options)
    assert.match(full.stderr, /^Reading 2 files, [\d,]+ bytes, in .*archive\.\n$/)
    assert.deepEqual([full.code, await recorded()], [0, [{ verified: 'sound' }]])

    // A lost file is missed without being read.
    await rm(path)
    assert.match((await command(['archive', 'verify', '--sample'], options)).stdout, new RegExp(`^${file!}: is missing\n`))
  })
}
