import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { constants, createZstdCompress } from 'node:zlib'
import { sha256, textOf, type RowsManifest } from '../../src/archive/format.ts'
import { command, type Ended } from '../support/command.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { megabytesIn, TELLS_MEMORY } from './peak-memory.ts'
import { filesIn, freshFolder } from './support.ts'
import { ON_BUCKET, settingsIn } from './where.ts'

const [SQLITE] = ENGINES

interface Measured extends Ended {
  readonly megabytes: number
}

interface Bombed extends AsyncDisposable {
  readonly outside: TestDatabase
  readonly archive: string
  readonly file: string
  measured(words: readonly string[]): Promise<Measured>
}

/** An archive of one file, and the program to read it. */
async function archivedOnce(sql: string): Promise<Bombed> {
  const outside = await SQLITE!.fresh()
  const folder = await freshFolder()
  const env = {
    DATABASE_URL: outside.url,
    ARCHIVE_ENABLED: 'true',
    ...settingsIn(folder.path),
    ARCHIVE_RETENTION: 'forever',
    NODE_OPTIONS: TELLS_MEMORY,
  }
  assert.equal((await command(['migrate'], { env })).code, 0)
  await outside.sql(sql)
  const run = await command(['--run-now', '--job', 'purge-audit-logs', '--accept-empty-table'], { env })
  assert.equal(run.code, 0, run.stdout)
  return {
    outside,
    archive: folder.path,
    file: (await filesIn(folder.path))[0]!,
    async measured(words) {
      const ended = await command(words, { env })
      const megabytes = megabytesIn(ended.stderr)
      return { ...ended, megabytes }
    },
    async [Symbol.asyncDispose]() {
      await outside[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

const FEW = `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'u', 'a', 's', '2020-01-02 03:04:05')`
/** A part of 64 MB: rows of half a megabyte of random letters, which hardly compress. */
const MANY = `INSERT INTO audit_logs (tool_name, "user", action, status, output, timestamp)
  WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 128)
  SELECT 't', 'u', 'a', 's', hex(randomblob(262144)), '2020-01-02 03:04:05' FROM s`

const BOMB_BYTES = 1_500 * 2 ** 20

/** Writes a frame of so many equal bytes, and returns the digests of the file and of its content. */
async function makeBomb(
  path: string,
  bytes: number,
  filling: string,
): Promise<{ fileBytes: number; fileSha256: string; rowsSha256: string }> {
  const rows = createHash('sha256')
  const chunk = Buffer.alloc(2 ** 20, filling)
  const handle = await open(path, 'w')
  await pipeline(
    function* () {
      for (let at = 0; at < bytes; at += chunk.length) {
        rows.update(chunk)
        yield chunk
      }
    },
    createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
    handle.createWriteStream(),
  )
  const file = createHash('sha256')
  for await (const each of createReadStream(path)) file.update(each as Buffer)
  return { fileBytes: (await stat(path)).size, fileSha256: file.digest('hex'), rowsSha256: rows.digest('hex') }
}

/** Makes the manifest and the database agree with the forged file, as somebody could who can write to both. */
async function forged({ archive, outside, file }: Bombed, changes: Partial<RowsManifest['file']>): Promise<void> {
  const path = join(archive, file.replace('.ndjson.zst', '.json'))
  const manifest = JSON.parse(await readFile(path, 'utf8')) as RowsManifest
  const text = textOf({ ...manifest, file: { ...manifest.file, ...changes } })
  await writeFile(path, text)
  await outside.sql(`UPDATE maintenance_archives SET head = '${sha256(text)}'`)
}

/** Run from its sources, the program takes some 105 MB before it reads anything, and 20 more for S3. The documented container for an archive has 256. */
const LITTLE_MB = ON_BUCKET ? 164 : 144
const CONTAINER_MB = 256

const RUN = ['--run-now', '--job', 'purge-audit-logs']
const READERS: readonly (readonly string[])[] = [['archive', 'verify'], ['archive', 'restore'], RUN]

test('a zstd bomb in place of a file is not decompressed', async (context) => {
  await using it = await archivedOnce(FEW)
  const { fileBytes } = await makeBomb(join(it.archive, it.file), BOMB_BYTES, 'a')
  assert.ok(fileBytes < 400_000, `${fileBytes}`)
  for (const words of READERS) {
    const { code, megabytes, stdout, stderr } = await it.measured(words)
    assert.equal(code, 1, stdout + stderr)
    assert.match(stdout + stderr, /was altered after it was written/)
    assert.ok(megabytes < LITTLE_MB, `${words.join(' ')}: ${megabytes} MB`)
    context.diagnostic(`${words.join(' ')}: ${Math.round(megabytes)} MB`)
  }
})

test('a zstd bomb that its manifest and the database agree with is decompressed only up to the longest row, and is not kept in memory', async (context) => {
  await using it = await archivedOnce(FEW)
  const bytes = 400 * 2 ** 20
  const sums = await makeBomb(join(it.archive, it.file), bytes, 'a')
  await forged(it, { ...sums, bytes, rows: 1 })
  const { code, megabytes, stdout } = await it.measured(['archive', 'verify'])
  assert.equal(code, 1)
  assert.match(stdout, /holds a row of more than \d+ MiB, which is not read/)
  assert.ok(megabytes < CONTAINER_MB, `${megabytes} MB`)
  context.diagnostic(`archive verify: ${Math.round(megabytes)} MB`)
})

test('a zstd bomb is decompressed no further than its manifest describes', async (context) => {
  for (const described of [
    { bytes: 100, rows: 1 },
    { bytes: BOMB_BYTES, rows: 3 },
  ]) {
    await using it = await archivedOnce(FEW)
    const sums = await makeBomb(join(it.archive, it.file), 200 * 2 ** 20, 'a\n')
    await forged(it, { ...sums, ...described })
    for (const words of READERS) {
      const { code, megabytes, stdout, stderr } = await it.measured(words)
      assert.equal(code, 1, stdout + stderr)
      assert.match(stdout + stderr, /does not hold the rows that its manifest describes/)
      assert.ok(megabytes < LITTLE_MB, `${words.join(' ')}: ${megabytes} MB`)
      context.diagnostic(`${words.join(' ')}: ${Math.round(megabytes)} MB`)
    }
  }
})

test('a frame that asks for a larger window than any of ours is refused', async () => {
  await using it = await archivedOnce(FEW)
  const path = join(it.archive, it.file)
  const frame = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_compressionLevel]: 1 } })
  const handle = await open(path, 'w')
  await pipeline(
    function* () {
      for (let at = 0; at < 300; at += 1) yield Buffer.alloc(2 ** 20, 'a\n')
    },
    frame,
    handle.createWriteStream(),
  )
  const bytes = await readFile(path)
  await forged(it, { fileBytes: bytes.length, fileSha256: sha256(bytes), bytes: 300 * 2 ** 20, rows: 150 * 2 ** 20 })
  const { code, megabytes, stdout } = await it.measured(['archive', 'verify'])
  assert.equal(code, 1)
  assert.match(stdout, /does not hold the rows that its manifest describes \(.*(?:window|memory)/i)
  assert.ok(megabytes < LITTLE_MB, `${megabytes} MB`)
})

test('a manifest that is far longer than any is not read', async () => {
  await using it = await archivedOnce(FEW)
  // The server of the tests reads each object as a whole.
  const bytes = ON_BUCKET ? 256 * 2 ** 20 : 2 * 2 ** 30
  await truncate(join(it.archive, it.file.replace('.ndjson.zst', '.json')), bytes)
  for (const words of READERS) {
    const { code, megabytes, stdout, stderr } = await it.measured(words)
    assert.equal(code, 1, stdout + stderr)
    assert.match(stdout + stderr, new RegExp(`has ${bytes} bytes, more than any manifest`))
    assert.ok(megabytes < LITTLE_MB, `${words.join(' ')}: ${megabytes} MB`)
  }
})

test('hundreds of forged manifests, filled up to their limits or beyond, take little memory', async (context) => {
  await using it = await archivedOnce(FEW)
  const like = JSON.parse(await readFile(join(it.archive, it.file.replace('.ndjson.zst', '.json')), 'utf8')) as RowsManifest
  const long = 'x'.repeat(1_000_000)
  const columns = Array.from({ length: 1_600 }, (_, index) => ({ name: `${index}`.padEnd(63, 'x'), type: 'y'.repeat(100), key: false }))
  const file = like.file
  for (const [what, changes] of [
    ['texts', { program: long }],
    ['ids', { file: { ...file, first: { ...file.first, id: long } } }],
    ['columns', { file: { ...file, columns } }],
  ] as const) {
    for (let position = 1_001; position <= 1_300; position += 1) {
      const path = it.file.replace(/\d+-\d+\.ndjson\.zst$/, `1-${position}.ndjson.zst`)
      const manifest = path.replace('.ndjson.zst', '.json')
      const planted = { ...like, ...changes, manifest, position }
      await writeFile(join(it.archive, manifest), JSON.stringify({ ...planted, file: { ...planted.file, path } }))
    }
    for (const words of [
      ['archive', 'verify'],
      ['archive', 'list'],
    ]) {
      const { megabytes, stdout, stderr } = await it.measured(words)
      assert.match(stdout + stderr, words[1] === 'list' ? /1 file, 1 row/ : /1-1300\.json: is not in the chain/)
      assert.ok(megabytes < CONTAINER_MB, `${what}, ${words.join(' ')}: ${megabytes} MB`)
      context.diagnostic(`${what}, ${words.join(' ')}: ${Math.round(megabytes)} MB`)
    }
  }
})

test('a genuine part of 64 MB is verified and restored within the memory of the documented container', async (context) => {
  await using it = await archivedOnce(MANY)
  assert.ok((await stat(join(it.archive, it.file))).size > 30 * 2 ** 20)
  for (const words of [
    ['archive', 'verify'],
    ['archive', 'restore'],
  ]) {
    const { code, megabytes, stdout, stderr } = await it.measured(words)
    assert.equal(code, 0, stdout + stderr)
    assert.ok(megabytes < CONTAINER_MB, `${words.join(' ')}: ${megabytes} MB`)
    context.diagnostic(`${words.join(' ')}: ${Math.round(megabytes)} MB`)
  }
})
