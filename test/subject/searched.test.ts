import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir, readFile, rename, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { AUDIT_LOGS, auditLogs, migrated, opened } from '../runs/support.ts'
import type { Database } from '../../src/database/database.ts'
import type { Found, FoundRows, Sought } from '../../src/database/searching.ts'
import { DAY, hostClock } from '../../src/time/clock.ts'
import { freshFolder, purged } from '../archive/support.ts'
import { pictureOf } from '../migrations/support.ts'
import { command, type Ended } from '../support/command.ts'
import { withoutGatewayDatabase } from '../support/databases.ts'
import { BOTH_ENGINES, encodedEngines, ENGINES, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { partitioned } from '../support/partitioned.ts'

const POSTGRES = ENGINES.at(-1)!

function find(database: Pick<TestDatabase, 'url'>, user: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return command(['subject', 'find', '--user', user, '--json'], { env: { DATABASE_URL: database.url, ...env } })
}

function sought(text: string, changes: Partial<Sought> = {}): Sought {
  return {
    table: 'audit_logs',
    columns: ['user'],
    text,
    time: 'timestamp',
    spared: [],
    mostNamed: 10_000,
    stopping: new AbortController().signal,
    ...changes,
  }
}

function foundIn(found: Found): FoundRows {
  if (found.kind !== 'found') assert.fail(JSON.stringify(found))
  return found
}

async function idsOf(database: Database, text: string, changes: Partial<Sought> = {}): Promise<readonly string[]> {
  const { named, groups } = foundIn(await database.matching(sought(text, changes)))
  assert.equal(
    groups.reduce((sum, { rows }) => sum + rows, 0),
    named.length,
  )
  return named.map(({ id }) => id!).toSorted()
}

async function add(outside: TestDatabase, user: string, id: number): Promise<void> {
  await outside.sql(
    `INSERT INTO audit_logs (id, tool_name, "user", action, status, timestamp) VALUES ($1, 't', $2, 'invoke', 'success', '2026-01-01 00:00:00')`,
    [id, user],
  )
}

const MIXED = 'gateway-mixed-timestamps.sqlite'

const HOSTILE = [
  'alice',
  'ALICE',
  'alice ',
  'al%',
  'al_ce',
  'al*',
  `'; DROP TABLE audit_logs; --`,
  '"user"',
  '$1',
  '\\x616c696365',
  'é',
  'e\u0301',
  '😀',
  'a\nb',
  'a\tb\u001b[31m',
  'null',
  '{}',
  'x'.repeat(500),
]

for (const engine of BOTH_ENGINES) {
  describe(`what is found on ${engine.name}`, () => {
    it('a name finds exactly the rows that hold it, whatever its characters mean elsewhere', async () => {
      await using fixture = await migrated(engine)
      for (const [index, user] of HOSTILE.entries()) await add(fixture.outside, user, index + 1)
      for (const [index, user] of HOSTILE.entries()) assert.deepEqual(await idsOf(fixture.database, user), [String(index + 1)], user)
      assert.deepEqual(await idsOf(fixture.database, 'nobody'), [])
      const { code, stdout, stderr } = await find(fixture.outside, `'; DROP TABLE audit_logs; --`)
      assert.equal(code, 0, stderr)
      assert.equal((JSON.parse(stdout) as { tables: { rows: number }[] }).tables[0]!.rows, 1)
    })

    it('that nothing was found is said, and is no failure', async () => {
      await using fixture = await migrated(engine)
      const { code, stdout, stderr } = await command(['subject', 'find', '--user', 'nobody'], {
        env: { DATABASE_URL: fixture.outside.url },
      })
      assert.equal(code, 0, stderr)
      assert.match(stdout, /^"nobody": nothing was found, /)
      assert.match(stdout, /^nothing in +audit_logs, policy_decisions, sessions, rate_limits, api_keys$/m)
      assert.match(stdout, /^no names in +tools, mcp_servers$/m)
      assert.match(stdout, /^not there +audit_logs_restored$/m)
      assert.match(stdout, /^archive +nothing was ever archived$/m)
      assert.match(stdout, /^not reached +backups and dumps, replicas/m)
    })

    it('every name is told from the others in the text for people, and the text is safe for a terminal', async () => {
      await using fixture = await migrated(engine)
      await add(fixture.outside, 'a\tb\u001b[31m', 1)
      const { code, stdout } = await command(['subject', 'find', '--user', 'a\tb\u001b[31m'], {
        env: { DATABASE_URL: fixture.outside.url },
      })
      assert.equal(code, 0)
      assert.ok(!stdout.includes('\u001b') && !stdout.includes('\t'))
      assert.match(stdout, /1 row in 1 table, 0 rows in the archive/)
      assert.match(stdout, /^go +1 by itself, with the first run of purge-audit-logs after 2026-04-01 00:00 UTC$/m)
    })

    it('of more rows than are listed the figures count all, and the list says that there are more', async () => {
      await using fixture = await migrated(engine)
      await auditLogs(fixture.outside, engine, 50, 100)
      const { named, groups } = foundIn(await fixture.database.matching(sought('u', { mostNamed: 7 })))
      assert.deepEqual([named.length, groups.length, groups[0]!.rows], [7, 1, 50])
    })

    it('a job that is disabled lets no row go; a table without the column is not passed over', async () => {
      await using fixture = await migrated(engine)
      await add(fixture.outside, 'alice', 1)
      const disabled = await find(fixture.outside, 'alice', { PURGE_AUDIT_LOGS_ENABLED: 'false' })
      const [table] = (
        JSON.parse(disabled.stdout) as { tables: { going: number; keptUntil: unknown; stays: string; listed: { keptUntil: unknown }[] }[] }
      ).tables
      assert.deepEqual([disabled.code, table!.going, table!.keptUntil, table!.listed[0]!.keptUntil], [0, 0, null, null])
      assert.equal(table!.stays, 'the job purge-audit-logs is disabled')

      await fixture.outside.sql('ALTER TABLE sessions RENAME COLUMN user_identifier TO somebody')
      const { code, stdout } = await find(fixture.outside, 'alice')
      const { problems, tables } = JSON.parse(stdout) as { problems: string[]; tables: { table: string; state: string; rows: number }[] }
      assert.equal(code, 1)
      assert.deepEqual(problems, ['sessions: was not searched, because it has no column "user_identifier".'])
      assert.deepEqual(
        tables.filter(({ state }) => state === 'unsearched').map(({ table: name }) => name),
        ['sessions'],
      )
      assert.equal(tables[0]!.rows, 1)
    })

    it('the other variant of the gateway is searched by its own column', async () => {
      await using fixture = await migrated(engine)
      await fixture.outside.sql('DROP VIEW recent_audit_activity')
      await fixture.outside.sql('DROP VIEW policy_violations')
      await fixture.outside.sql('DROP VIEW tool_usage_stats')
      await add(fixture.outside, 'alice', 1)
      await fixture.outside.sql('ALTER TABLE audit_logs RENAME COLUMN "user" TO username')
      assert.deepEqual(await idsOf(fixture.database, 'alice', { columns: ['user', 'username'] }), ['1'])
      assert.equal((await find(fixture.outside, 'alice')).code, 0)
    })

    it('a hold that cannot be understood may mean any row: nothing is foretold', async () => {
      await using fixture = await migrated(engine)
      await fixture.outside.sql(
        `INSERT INTO maintenance_holds (job, name, matches, reason, placed_at, placed_by) VALUES ('purge-audit-logs', 'h', '{"colour":"red"}', 'r', 1, 'x')`,
      )
      const { code, stdout, stderr } = await find(fixture.outside, 'alice')
      assert.deepEqual([code, stdout], [1, ''])
      assert.match(stderr, /Hold ..h.. cannot be understood.*Nothing was searched/)
    })

    it('a database that has none of the tables is no answer', async () => {
      await using outside = await engine.fresh()
      await outside.sql('CREATE TABLE other (id integer)')
      const { code, stdout } = await find(outside, 'alice')
      const { problems, otherTables } = JSON.parse(stdout) as { problems: string[]; otherTables: string[] }
      assert.equal(code, 1)
      assert.match(problems.join(), /none of the tables in which a person is named .* Check DATABASE_URL\.$/)
      assert.deepEqual(otherTables, ['other'])
    })

    it('it leaves the database and the archive as they were', async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      await auditLogs(fixture.outside, engine, 20, 100)
      assert.equal((await purged(fixture.database, folder.path)).outcome, 'succeeded')
      await auditLogs(fixture.outside, engine, 20, 10)
      await fixture.database[Symbol.asyncDispose]()
      const picture = async (): Promise<unknown> => [
        await pictureOf(fixture.outside),
        await filesIn(folder.path),
        await fileOf(fixture.outside),
      ]
      const before = await picture()
      const { code, stdout } = await find(fixture.outside, 'u', { ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: folder.path })
      assert.equal(code, 0, stdout)
      assert.deepEqual(await picture(), before)
    })

    it('an archive that is damaged, incomplete or elsewhere is said, with what was found in the rest', async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      for (const days of [100, 101, 102]) await auditLogs(fixture.outside, engine, 5, days)
      assert.equal((await purged(fixture.database, folder.path)).outcome, 'succeeded')
      const files = (await readdir(folder.path, { recursive: true })).filter((name) => name.endsWith('.zst')).toSorted()
      assert.ok(files.length >= 3)
      const asked = async (directory = folder.path): Promise<{ code: number | null; rows: number; problems: string }> => {
        const { code, stdout } = await find(fixture.outside, 'u', { ARCHIVE_DIRECTORY: directory })
        const { archive, problems } = JSON.parse(stdout) as { archive: { rows: number }; problems: string[] }
        return { code, rows: archive.rows, problems: problems.join('\n') }
      }
      assert.deepEqual(await asked(), { code: 0, rows: 15, problems: '' })

      const elsewhere = await asked(join(folder.path, 'elsewhere'))
      assert.deepEqual([elsewhere.code, elsewhere.rows], [1, 0])
      assert.match(elsewhere.problems, /^The archive in .*elsewhere: /)

      const [first, second] = files.map((name) => join(folder.path, name))
      await truncate(first!, (await stat(first!)).size - 1)
      const cut = await asked()
      assert.deepEqual([cut.code, cut.rows < 15 && cut.rows > 0], [1, true])
      assert.match(cut.problems, new RegExp(`${files[0]}: was altered after it was written`))

      await rename(second!, `${second!}.away`)
      const missing = await asked()
      assert.equal(missing.code, 1)
      assert.match(missing.problems, new RegExp(`${files[1]}: is missing`))
    })

    it('in another zone a row is foretold to the millisecond, also where the clocks changed', async () => {
      await using fixture = await migrated(engine)
      const times = [
        '2026-03-29 01:59:59.999',
        '2026-03-29 02:30:00',
        '2026-03-29 03:00:00',
        '2026-03-29 03:30:00.123',
        '2026-03-29 04:00:00',
        '2026-10-25 01:30:00',
        '2026-10-25 02:00:00',
        '2026-10-25 02:30:00.5',
        '2026-10-25 03:00:00',
        '2026-07-01 12:00:00',
        ...(engine.name === 'sqlite' ? ['2026-07-01T12:00:00.0009Z', '2026-07-01 12:00+05:30'] : []),
      ]
      for (const [index, time] of times.entries()) {
        await add(fixture.outside, 'alice', index + 1)
        await fixture.outside.sql('UPDATE audit_logs SET timestamp = $1 WHERE id = $2', [time, index + 1])
      }
      if (engine.name === 'sqlite')
        for (const [index, number] of [
          '1774742400',
          '1774742400.123',
          '1774742400123',
          '1774742400123456',
          '1774742400123456789',
        ].entries()) {
          await add(fixture.outside, 'alice', 100 + index)
          await fixture.outside.sql(`UPDATE audit_logs SET timestamp = ${number} WHERE id = ${100 + index}`)
        }
      await using database = await opened(fixture.outside.url, hostClock(), { timeZone: 'Europe/Berlin' })
      const { named } = foundIn(await database.matching(sought('alice')))
      const expiredAt = async (cutoff: number): Promise<number> => (await database.expired(AUDIT_LOGS, cutoff).estimate()).rows!
      for (const { at } of named)
        for (const cutoff of [at!, at! + 1])
          assert.equal(await expiredAt(cutoff), named.filter((row) => row.at! < cutoff).length, new Date(cutoff).toISOString())
    })
  })
}

describe('what the engines have each for itself', () => {
  it('sqlite: columns that compare without case, and values that are stored as bytes or numbers', async () => {
    await using outside = await sqliteDatabase()
    await outside.sql('CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, "user" COLLATE NOCASE, timestamp TIMESTAMP)')
    await outside.sql(
      `INSERT INTO audit_logs VALUES (1, 'alice', NULL), (2, 'ALICE', 'x'), (3, CAST('alice' AS BLOB), NULL), (4, 42, NULL), (5, NULL, NULL)`,
    )
    await using database = await opened(outside.url)
    assert.deepEqual(await idsOf(database, 'alice'), ['1', '3'])
    assert.deepEqual(await idsOf(database, 'ALICE'), ['2'])
    assert.deepEqual(await idsOf(database, '42'), ['4'])
    assert.deepEqual(await idsOf(database, '042'), [])
    const [group] = foundIn(await database.matching(sought('ALICE'))).groups
    assert.deepEqual([group!.undated, group!.unreadable, group!.times], [0, 1, undefined])
  })

  it(
    'sqlite: every format of times that clients have written is foretold as the purge judges it',
    { skip: withoutGatewayDatabase(MIXED) },
    async () => {
      await using outside = await sqliteDatabase(MIXED)
      await using database = await opened(outside.url)
      const named = []
      for (const user of ['a@x.io', 'b@x.io']) named.push(...foundIn(await database.matching(sought(user))).named)
      const [{ n } = { n: 0 }] = await outside.sql<{ n: number }>('SELECT count(*) AS n FROM audit_logs')
      assert.deepEqual([named.length, n > 1_000], [n, true])
      const times = named.flatMap(({ at }) => at ?? []).toSorted((a, b) => a - b)
      assert.ok(times.length < named.length && times.length > 1_000)
      for (let place = 0; place < times.length; place += 25)
        for (const cutoff of [times[place]!, times[place]! + 1]) {
          const { rows } = await database.expired(AUDIT_LOGS, cutoff).estimate()
          assert.equal(rows, times.filter((at) => at < cutoff).length, new Date(cutoff).toISOString())
        }
    },
  )

  it('sqlite: a view, and a table that cannot be read in steps, are not passed over', async () => {
    await using outside = await sqliteDatabase()
    await outside.sql('CREATE TABLE other (id INTEGER PRIMARY KEY, "user" TEXT, timestamp TEXT)')
    await outside.sql('CREATE VIEW audit_logs AS SELECT * FROM other')
    await outside.sql('CREATE TABLE sessions (id TEXT PRIMARY KEY, user_identifier TEXT, expires_at TEXT) WITHOUT ROWID')
    const { code, stdout } = await find(outside, 'alice')
    const { problems } = JSON.parse(stdout) as { problems: string[] }
    assert.equal(code, 1)
    assert.match(problems[0]!, /^audit_logs: was not searched, because it is a view/)
    assert.match(problems[1]!, /^sessions: was not searched, because it is a WITHOUT ROWID table/)
  })

  it('sqlite: rows at any number, and more of them than a step reads', async () => {
    await using outside = await sqliteDatabase()
    await outside.sql('CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, "user" TEXT, timestamp TEXT)')
    await outside.sql(
      `WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 70000) INSERT INTO audit_logs SELECT n * 3, iif(n % 1000 = 0, 'alice', 'bob'), '2026-01-01' FROM s`,
    )
    for (const id of ['-9223372036854775808', '-1', '0', '9223372036854775807'])
      await outside.sql(`INSERT INTO audit_logs VALUES (${id}, 'alice', '2026-01-01')`)
    await using database = await opened(outside.url)
    const ids = await idsOf(database, 'alice')
    assert.equal(ids.length, 74)
    assert.ok(ids.includes('-9223372036854775808') && ids.includes('9223372036854775807') && ids.includes('210000'))
    const { groups } = foundIn(await database.matching(sought('bob', { mostNamed: 0 })))
    assert.equal(groups[0]!.rows, 69_930)
  })

  it('postgres: columns that compare without case, and types that are no text', async () => {
    await using fixture = await migrated(POSTGRES)
    const { outside, database } = fixture
    await outside.sql(`CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
    await outside.sql(`CREATE TABLE audit_logs_restored (id bigint, "user" text COLLATE nocase, "timestamp" timestamp)`)
    await outside.sql(`INSERT INTO audit_logs_restored VALUES (1, 'alice', 'infinity'), (2, 'ALICE', '-infinity'), (3, 'alice', NULL)`)
    assert.deepEqual(await idsOf(database, 'alice', { table: 'audit_logs_restored' }), ['1', '3'])
    const { groups } = foundIn(await database.matching(sought('alice', { table: 'audit_logs_restored' })))
    assert.deepEqual([groups[0]!.undated, groups[0]!.unreadable, groups[0]!.times], [1, 1, undefined])
    await outside.sql('DROP TABLE audit_logs_restored')
    await outside.sql(`CREATE TABLE audit_logs_restored (id text, "user" integer, "timestamp" text)`)
    await outside.sql(`INSERT INTO audit_logs_restored VALUES ('${'i'.repeat(300)}', 42, 'x'), ('b', 7, 'x')`)
    assert.deepEqual(await idsOf(database, '42', { table: 'audit_logs_restored' }), ['i'.repeat(200)])
    assert.match(
      foundIn(await database.matching(sought('42', { table: 'audit_logs_restored' }))).undatable!,
      /neither timestamp nor timestamptz/,
    )
  })

  it('postgres: a name that the encoding of the database cannot express stands in no row', async () => {
    await using fixture = await migrated(encodedEngines('LATIN1').at(-1)!)
    await add(fixture.outside, 'ünïcode', 1)
    assert.deepEqual(await idsOf(fixture.database, 'ünïcode'), ['1'])
    assert.deepEqual(await idsOf(fixture.database, '😀'), [])
    assert.equal((await find(fixture.outside, '😀')).code, 0)
  })

  it('postgres: rows in every partition, in DEFAULT and in what was taken out are found once, and partitions are no other tables', async () => {
    await using fixture = await migrated(POSTGRES)
    const { outside, database } = fixture
    await partitioned(outside, { boundDay: -3, days: [-3, 5] })
    for (const [id, day] of [-10, -2, -1, 2, 30].entries()) {
      await outside.sql(
        `INSERT INTO audit_logs (id, tool_name, "user", action, status, "timestamp") VALUES ($1, 't', 'alice', 'invoke', 'success', $2)`,
        [id + 1, timeOn(day)],
      )
    }
    assert.deepEqual(await idsOf(database, 'alice'), ['1', '2', '3', '4', '5'])
    const name = await takenOut(outside, -2)
    assert.deepEqual(await idsOf(database, 'alice'), ['1', '2', '3', '4', '5'])
    const { code, stdout } = await find(outside, 'alice')
    const { otherTables, tables } = JSON.parse(stdout) as { otherTables: string[]; tables: { rows: number }[] }
    assert.deepEqual([code, otherTables, tables[0]!.rows], [0, [], 5])
    await outside.sql(`DROP TABLE ${name}`)
    assert.deepEqual(await idsOf(database, 'alice'), ['1', '3', '4', '5'])
  })

  it('postgres: a login without a right is told which, and what it may see is shown', async () => {
    await using fixture = await migrated(POSTGRES)
    const { outside } = fixture
    const role = `login_${randomBytes(4).toString('hex')}`
    await outside.sql(`CREATE ROLE ${role} LOGIN`)
    await outside.sql(
      `GRANT SELECT ON audit_logs, sessions, policy_decisions, rate_limits, maintenance_holds, maintenance_archives, maintenance_detached TO ${role}`,
    )
    await add(outside, 'alice', 1)
    try {
      const { code, stdout, stderr } = await find({ url: Object.assign(new URL(outside.url), { username: role }).href }, 'alice')
      assert.equal(code, 1, stderr)
      const { tables, problems } = JSON.parse(stdout) as { tables: { rows: number }[]; problems: string[] }
      assert.equal(tables[0]!.rows, 1)
      assert.equal(problems.length, 1)
      assert.match(problems[0]!, new RegExp(`^api_keys: was not searched: .*GRANT SELECT ON "public"\\."api_keys" TO "${role}"`))
    } finally {
      await outside.sql(`DROP OWNED BY ${role} CASCADE`)
      await outside.sql(`DROP ROLE ${role}`)
    }
  })
})

it('a name that is missing, empty, given twice, too long or no text is refused before anything is opened, and never repeated', async () => {
  const env = { DATABASE_URL: 'sqlite:////nowhere/at/all.db' }
  for (const [words, message] of [
    [[], /subject find needs one --user/],
    [['--user', ''], /--user is empty/],
    [['--user', 'secret-1', '--user', 'secret-2'], /subject find needs one --user/],
    [['--user', `secret-${'x'.repeat(494)}`], /--user has 501 characters, and 500 are the most/],
    [['--user', `secret-${'😀'.repeat(30_000)}`], /--user has 60007 characters/],
    [['--user', 'secret-\u{FFFD}'], /--user has a character that is not UTF-8/],
  ] as const) {
    const { code, stdout, stderr } = await command(['subject', 'find', ...words], { env })
    assert.deepEqual([code, stdout], [2, ''], stderr)
    assert.match(stderr, message)
    assert.ok(!stderr.includes('secret'), stderr)
  }
  const nowhere = await command(['subject', 'find', '--user', 'secret-1'], { env: { DATABASE_URL: 'postgresql://127.0.0.1:9/none' } })
  assert.deepEqual([nowhere.code, nowhere.stdout], [3, ''])
  assert.ok(!nowhere.stderr.includes('secret'), nowhere.stderr)
})

function timeOn(day: number): string {
  return new Date(Date.now() + day * DAY).toISOString().slice(0, 19)
}

/** Takes the partition of a day out as a run does, before it drops it. */
async function takenOut(outside: TestDatabase, day: number): Promise<string> {
  const [found] = await outside.sql<{ name: string; lower: string; upper: string }>(
    `SELECT c.relname AS name FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'audit_logs'::regclass AND c.relname = 'audit_logs_p' || to_char(now() AT TIME ZONE 'UTC' + interval '${day} days', 'YYYYMMDD')`,
  )
  const { name } = found!
  await outside.sql(`ALTER TABLE audit_logs DETACH PARTITION ${name}`)
  await outside.sql(
    `INSERT INTO maintenance_detached (relation, table_name, lower_bound, upper_bound, detached_at) VALUES ($1, 'audit_logs', '2026-01-01 00:00:00', '2026-01-02 00:00:00', 1)`,
    [name],
  )
  return name
}

async function filesIn(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder, { recursive: true })).toSorted()
  return Promise.all(
    names.map(async (name) => {
      const stats = await stat(join(folder, name))
      return [
        name,
        stats.size,
        stats.mode,
        stats.isFile() ? `${stats.mtimeMs} ${(await readFile(join(folder, name))).toString('hex')}` : '',
      ].join(' ')
    }),
  )
}

/** The file of a SQLite database with whatever is beside it; of a server nothing. */
async function fileOf(outside: TestDatabase): Promise<readonly string[]> {
  return 'folder' in outside && typeof outside.folder === 'string' ? filesIn(outside.folder) : []
}
