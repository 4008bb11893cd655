import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import { LONGEST_ROW, LONGEST_ROW_BYTES } from '../../src/archive/format.ts'
import { applyMigrations, count } from '../runs/support.ts'
import { command, events, type Ended } from '../support/command.ts'
import { compileInto } from '../support/compiled.ts'
import { BOTH_ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { S3Server } from '../support/s3/server.ts'
import { fitsContainer, TELLS_MEMORY, UNTOLD } from './peak-memory.ts'
import { idsOf } from './support.ts'

/** `npm run test:long` has 300,000. */
const ROWS = Number(process.env['ARCHIVED_ROWS'] ?? 100_000)
/** A part then has files of some days of nearly the size up to which a file is sent from memory, several at once. */
const ROWS_A_DAY = 6_000
const RUN = ['--run-now', '--job', 'purge-audit-logs', '--accept-empty-table']

/** The container's program is compiled, and the source takes far more memory. A suite has compiled it before. */
let packageRoot = process.env['TEST_PACKAGE_ROOT']
if (packageRoot === undefined) {
  before(async () => {
    packageRoot = await mkdtemp(join(tmpdir(), 'maintenance-compiled-'))
    await compileInto(packageRoot)
  })
  after(() => rm(packageRoot!, { recursive: true, force: true }))
}

interface Site extends AsyncDisposable {
  readonly outside: TestDatabase
  /** Of every object that holds rows, decompressed. */
  rows(): Iterable<Buffer>
  /** Runs the program, which succeeds within the documented container. */
  within(words: readonly string[], context: TestContext): Promise<Ended>
}

/** A migrated database with an archive in a bucket, whose server is in this process: what it holds is no memory of the program. */
async function site(engine: TestEngine): Promise<Site> {
  const outside = await engine.copied(applyMigrations)
  const server = await S3Server.start()
  const spool = await mkdtemp(join(tmpdir(), 'maintenance-spool-'))
  const env = {
    DATABASE_URL: outside.url,
    ARCHIVE_ENABLED: 'true',
    ARCHIVE_DIRECTORY: 's3://archive/gateway',
    ARCHIVE_S3_ENDPOINT: server.url,
    ARCHIVE_S3_REGION: server.region,
    ARCHIVE_SPOOL: spool,
    ARCHIVE_RETENTION: 'forever',
    NODE_OPTIONS: TELLS_MEMORY,
    ...server.env,
  }
  return {
    outside,
    *rows() {
      const bucket = server.bucket()
      for (const key of bucket.keys()) if (key.endsWith('.ndjson.zst')) yield zstdDecompressSync(bucket.bytes(key)!)
    },
    async within(words, context) {
      const ended = await command(words, { env, packageRoot: packageRoot! })
      assert.equal(ended.code, 0, ended.stdout + ended.stderr)
      fitsContainer(words, ended, context)
      return ended
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await outside[Symbol.asyncDispose]()
      await rm(spool, { recursive: true, force: true })
    },
  }
}

/** So many rows of about a kilobyte, of hexadecimal letters that were drawn at random: nothing but their alphabet compresses. */
async function drawn(outside: TestDatabase, engine: TestEngine, rows: number): Promise<void> {
  const numbers = 'WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1) '
  const output =
    engine.name === 'sqlite'
      ? 'hex(randomblob(512))'
      : `(SELECT string_agg(md5(random()::text || n || k), '') FROM generate_series(1, 32) AS k)`
  await outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, output, timestamp)
     ${numbers} SELECT 't', 'u', 'a', 's', ${output}, ${engine.momentOf(`- 400 * 86400 + n * 86400.0 / ${ROWS_A_DAY}`)} FROM numbers`,
    [rows],
  )
}

/** Letters that do not compress to less than three quarters. */
function base64(letters: number): string {
  return randomBytes((letters / 4) * 3).toString('base64')
}

async function insert(outside: TestDatabase, engine: TestEngine, id: number, output: string): Promise<void> {
  await outside.sql(
    `INSERT INTO audit_logs (id, tool_name, "user", action, status, output, timestamp)
     VALUES ($1, 't', 'u', 'a', 's', $2, ${engine.moment(-100 * 86_400 + id)})`,
    [id, output],
  )
}

for (const engine of BOTH_ENGINES) {
  test(
    `${engine.name}: many rows that hardly compress go into a bucket, and are verified there, within the memory of the documented container`,
    {
      skip: UNTOLD,
      timeout: 600_000,
    },
    async (context) => {
      await using it = await site(engine)
      await drawn(it.outside, engine, ROWS)
      const run = await it.within(RUN, context)
      const [finished] = events(run, 'job.finished')
      assert.deepEqual([finished!['deleted'], finished!['archivedRows'], await count(it.outside, 'audit_logs')], [ROWS, ROWS, 0])
      let lines = 0
      for (const file of it.rows()) for (let at = file.indexOf('\n'); at !== -1; at = file.indexOf('\n', at + 1)) lines += 1
      assert.equal(lines, ROWS)
      await it.within(['archive', 'verify'], context)
    },
  )

  test(
    `${engine.name}: a row of 60 MB is kept, counted and named, and one just below the limit goes into a bucket, within the memory of the documented container`,
    {
      skip: UNTOLD,
    },
    async (context) => {
      await using it = await site(engine)
      const { outside } = it
      // Leaves room for what is around the value, and for PostgreSQL's allowance for that.
      const longest = base64(LONGEST_ROW_BYTES - 1_500)
      for (const [id, output] of [
        [1, 'before'],
        [2, base64(60_000_000)],
        [3, longest],
        [4, 'after'],
      ] as const)
        await insert(outside, engine, id, output)

      const run = await it.within(RUN, context)
      const [finished] = events(run, 'job.finished')
      assert.deepEqual(
        [finished!['outcome'], finished!['deleted'], finished!['archivedRows'], finished!['tooLarge']],
        ['succeeded', 3, 3, 1],
        run.stdout,
      )
      const sentence = new RegExp(`audit_logs: 1 expired row is kept because of the archive's limit of ${LONGEST_ROW} a row: id 2\\.`)
      assert.match(String(events(run, 'job.warning')[0]?.['msg']), sentence)
      assert.deepEqual(await idsOf(outside), [2])
      assert.deepEqual(await outside.sql('SELECT length(output) AS letters FROM audit_logs'), [{ letters: 60_000_000 }])
      const lines = [...it.rows()].flatMap((file) => file.toString().split('\n').slice(0, -1))
      const archived = new Map(lines.map((line) => JSON.parse(line) as Archived).map(({ id, output }) => [Number(id), output]))
      assert.deepEqual([lines.length, [...archived.keys()].toSorted((a, b) => a - b)], [3, [1, 3, 4]])
      assert.ok(archived.get(3) === longest, 'the longest row is another in the bucket')

      assert.match((await it.within(['status'], context)).stdout.replaceAll(/\s+/g, ' '), sentence)
      await it.within(['archive', 'verify'], context)
      await it.within(['archive', 'restore'], context)
      const restored = await outside.sql<Archived>('SELECT id, output FROM audit_logs_restored ORDER BY id')
      assert.deepEqual(
        restored.map(({ id, output }) => [id, output.length]),
        [
          [1, 6],
          [3, longest.length],
          [4, 5],
        ],
      )
      assert.ok(restored[1]!.output === longest, 'the longest row is another in the database')
    },
  )
}

interface Archived {
  readonly id: number | string
  readonly output: string
}
