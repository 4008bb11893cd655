import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { command, type CommandOptions, type Ended } from '../support/command.ts'
import { freshPostgres, freshSqliteFile, POSTGRES_MAJORS } from '../support/databases.ts'
import { sqliteDatabase } from '../support/engines.ts'
import { NEXT_MIGRATION, packageWith } from '../support/package-root.ts'
import { ROLE_WITH_PASSWORD } from '../support/postgres-server.ts'

const PASSWORD = 'hunter2-and-more'

/** What every refusal has in common: its code, its sentences, no stack trace, no password. */
function assertRefused(ended: Ended, code: number, ...said: readonly RegExp[]): void {
  const told = ended.stdout + ended.stderr
  assert.equal(ended.code, code, told)
  for (const each of said) assert.match(told, each)
  assert.doesNotMatch(told, /\n\s+at |node:internal/)
  assert.ok(!told.includes(PASSWORD), told)
}

test('what Kubernetes sets beside a service named http stops nothing, and a misspelt variable is a warning', async () => {
  await using database = await sqliteDatabase()
  const beside = { HTTP_PORT: 'tcp://10.0.0.1:80', HTTP_SERVICE_HOST: '10.0.0.1', HTTP_PORT_80_TCP: 'tcp://10.0.0.1:80' }
  const env = { DATABASE_URL: database.url, ...beside, AUDIT_LOG_RETENTION: PASSWORD }
  const { code, lines, stdout } = await command(['--run-now'], { env })
  assert.equal(code, 0, stdout)
  const told = lines.filter(({ event, level }) => event === 'warning' || (event === 'note' && level === 'info'))
  assert.ok(told.some(({ level, msg }) => level === 'info' && String(msg).startsWith('HTTP_PORT is ignored')))
  assert.ok(told.some(({ level, msg }) => level === 'warn' && String(msg).endsWith('did you mean AUDIT_LOGS_RETENTION?')))
  assert.ok(!stdout.includes(PASSWORD) && !stdout.includes('10.0.0.1'))
  const shown = await command(['config', '--json'], { env })
  assert.equal((JSON.parse(shown.stdout) as { 'http.port': { value: number } })['http.port'].value, 9465)
  assert.match(shown.stderr, /^the environment variable AUDIT_LOG_RETENTION is not a setting/)
  assertRefused(await command(['--run-now'], { env: { ...env, HTTP_PORT: '94a5' } }), 2, /"94a5\\?" is not a port/)
})

type Case = readonly [
  name: string,
  words: readonly string[],
  env: Readonly<Record<string, string>>,
  code: number,
  ...said: readonly RegExp[],
]

const CASES: readonly Case[] = [
  ['an unknown flag', ['--frobnicate'], {}, 2, /--frobnicate/],
  ['an unknown job', ['--run-now', '--job', 'purge-everything'], {}, 2, /purge-everything/, /purge-sessions/],
  ['a bare duration', ['--run-now'], { AUDIT_LOGS_RETENTION: '90' }, 2, /AUDIT_LOGS_RETENTION/, /90d/],
  ['a negative duration', ['--run-now'], { AUDIT_LOGS_RETENTION: '-90d' }, 2, /AUDIT_LOGS_RETENTION/],
  ['a retention under a day', ['--run-now'], { AUDIT_LOGS_RETENTION: '23h' }, 2, /1d/],
  ['an impossible cron expression', [], { PURGE_SESSIONS_SCHEDULE: '61 * * * *' }, 2, /PURGE_SESSIONS_SCHEDULE/],
  ['a schedule that restricts both kinds of day', [], { PURGE_SESSIONS_SCHEDULE: '0 0 13 * 5' }, 2, /weekday/],
  ['an unknown time zone', [], { SCHEDULE_TIME_ZONE: 'Mars/Olympus' }, 2, /SCHEDULE_TIME_ZONE/],
  ['another database', ['--run-now'], { DATABASE_URL: `mysql://u:${PASSWORD}@h/db` }, 2, /mysql/],
  ['a URL that does not parse', ['--run-now'], { DATABASE_URL: `postgresql:/u:${PASSWORD}@h/db` }, 2, /DATABASE_URL/],
  ['a database in memory', ['--run-now'], { DATABASE_URL: 'sqlite://' }, 2, /DATABASE_URL/],
  ['two database URLs', ['--run-now'], { DATABASE_URL: 'sqlite:///x.db', DATABASE_URL_FILE: '/nowhere' }, 2, /DATABASE_URL_FILE/],
  ['a missing folder', ['--run-now'], { DATABASE_URL: 'sqlite:////no/such/folder/x.db' }, 3, /\/no\/such\/folder/],
  ['a configuration file that is missing', ['--config', '/no/such/file.yaml'], {}, 2, /\/no\/such\/file\.yaml/],
  [
    'a refused connection',
    ['--run-now'],
    { DATABASE_URL: `postgresql://u:${PASSWORD}@127.0.0.1:1/db`, DATABASE_CONNECT_TIMEOUT: '1s' },
    3,
    /127\.0\.0\.1:1/,
  ],
]

for (const [name, words, env, code, ...said] of CASES) {
  test(`${name} is refused with exit code ${code}`, async () => {
    await using fresh = await freshSqliteFile()
    assertRefused(await command(words, { env, cwd: fresh.folder }), code, ...said)
    assert.deepEqual(await readdir(fresh.folder), [])
  })
}

test('all problems of the configuration are named at once, each on its own line', async () => {
  await using fresh = await freshSqliteFile()
  const file = join(fresh.folder, 'config.yaml')
  await writeFile(file, 'jobs:\n  purgeAuditLogs:\n    retention: 90\n  purgeEverything:\n    enabled: true\nlog:\n  level: loud\n')
  const ended = await command(['--config', file], { env: { SCHEDULE_TIME_ZONE: 'Nowhere' }, cwd: fresh.folder })
  assertRefused(ended, 2, /purgeAuditLogs\.retention/, /purgeEverything/, /log\.level/, /SCHEDULE_TIME_ZONE/)
  assert.ok(ended.stderr.trim().split('\n').length >= 4, ended.stderr)
})

test('broken YAML is told with its line', async () => {
  await using fresh = await freshSqliteFile()
  const file = join(fresh.folder, 'config.yaml')
  await writeFile(file, 'log:\n  level: info\n bad: [\n')
  assertRefused(await command([], { env: { MAINTENANCE_CONFIG: file }, cwd: fresh.folder }), 2, /config\.yaml/, /:[34]\b/)
})

test('a file that is not a database is refused and left as it is', async () => {
  await using fresh = await freshSqliteFile()
  await writeFile(fresh.file, 'this is a diary, not a database\n'.repeat(100))
  const before = await readFile(fresh.file)
  assertRefused(await command(['--run-now'], sqlite(fresh.file)), 3, /not a database/)
  assert.deepEqual(await readFile(fresh.file), before)
  assert.deepEqual(await readdir(fresh.folder), ['gateway.db'])
})

test('a folder in place of the file is refused', async () => {
  await using fresh = await freshSqliteFile()
  await mkdir(fresh.file)
  assertRefused(await command(['--run-now'], sqlite(fresh.file)), 3, /gateway\.db/)
})

test('a file that is read-only is refused before anything is changed', { skip: asRoot() && 'root may write anything' }, async () => {
  await using database = await sqliteDatabase()
  await command(['migrate'], sqlite(database.file))
  await chmod(database.file, 0o440)
  assertRefused(await command(['--run-now'], sqlite(database.file)), 3, /cannot be written/)
})

test('a migration that fails is rolled back, named with its line, and ends with exit code 4', async () => {
  await using database = await sqliteDatabase()
  await using broken = await packageWith({
    [`${NEXT_MIGRATION}_broken.sql`]: 'SELECT 1;\n',
    [`${NEXT_MIGRATION}_broken_sqlite.sql`]: 'CREATE TABLE half (id INTEGER);\nINSERT INTO nowhere VALUES (1);\n',
  })
  const ended = await command(['migrate'], { ...sqlite(database.file), packageRoot: broken.root })
  assertRefused(ended, 4, /\d_broken_sqlite\.sql:2/, /nowhere/)
  const tables = await database.sql<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'")
  assert.ok(!tables.some((table) => table.name === 'half'))
  assert.ok(tables.some((table) => table.name === 'audit_logs'))
})

test('migration files that do not fit together are refused before the database is opened', async () => {
  await using fresh = await freshSqliteFile()
  await using broken = await packageWith({ '099_gap.sql': 'SELECT 1;\n', 'notes.sql': 'SELECT 1;\n' })
  assertRefused(await command(['migrate'], { ...sqlite(fresh.file), packageRoot: broken.root }), 2, /099_gap/, /notes\.sql/)
  assert.deepEqual(await readdir(fresh.folder), [])
})

for (const major of POSTGRES_MAJORS) {
  test(`postgres ${major}: a wrong password is refused at once and not shown`, async () => {
    await using database = await freshPostgres(major)
    const url = Object.assign(new URL(database.url), { username: ROLE_WITH_PASSWORD.name, password: PASSWORD }).href
    assertRefused(await command(['--run-now'], { env: { DATABASE_URL: url } }), 3, /password/)
  })

  test(`postgres ${major}: a missing database is refused`, async () => {
    await using database = await freshPostgres(major)
    const url = Object.assign(new URL(database.url), { pathname: '/no_such_database' }).href
    assertRefused(await command(['--run-now'], { env: { DATABASE_URL: url, DATABASE_CONNECT_TIMEOUT: '1s' } }), 3, /no_such_database/)
  })

  test(`postgres ${major}: a role that may not create tables is told what it lacks, with exit code 3`, async () => {
    await using database = await freshPostgres(major)
    await database.admin.query(`DROP ROLE IF EXISTS plain_${database.name}`)
    await database.admin.query(`CREATE ROLE plain_${database.name} LOGIN`)
    const url = Object.assign(new URL(database.url), { username: `plain_${database.name}`, password: '' }).href
    const ended = await command(['--run-now'], { env: { DATABASE_URL: url } })
    await database.admin.query(`DROP ROLE plain_${database.name}`)
    assertRefused(ended, 3, /permission denied/)
  })

  test(`postgres ${major}: a role whose search_path leads to the gateway's tables elsewhere is refused before anything is made in public`, async () => {
    await using database = await freshPostgres(major)
    await database.admin.query(`CREATE SCHEMA gateway; CREATE TABLE gateway.audit_logs (id int)`)
    await database.admin.query(`ALTER DATABASE ${database.name} SET search_path = gateway`)
    for (const words of [['--run-now'], ['migrate'], ['--run-now', '--dry-run'], ['migrate', '--dry-run']])
      assertRefused(
        await command(words, { env: { DATABASE_URL: database.url } }),
        3,
        /are in schema gateway .* Set DATABASE_SCHEMA=gateway,/,
      )
    const status = await command(['status'], { env: { DATABASE_URL: database.url } })
    assert.deepEqual([status.code, /Set DATABASE_SCHEMA=gateway/.test(status.stdout)], [3, true], status.stdout)
    const { rows } = await database.admin.query(`SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace`)
    assert.equal(rows.length, 0)
  })

  test(`postgres ${major}: a server that says it is version 12 is refused before anything is made`, async () => {
    await using database = await freshPostgres(major)
    const [version] = (
      await database.admin.query<{ version: string; number: string }>(
        `SELECT split_part(version(), ' ', 2) AS version, current_setting('server_version_num') AS number`,
      )
    ).rows
    const { hostname, port } = new URL(database.url)
    const older = createServer((client) => {
      const server = connect(Number(port), hostname)
      client.on('error', () => {}).pipe(server)
      // Letter for letter, so that lengths stay as they were.
      server
        .on('error', () => {})
        .on('data', (chunk: Buffer) => {
          const text = chunk.toString('latin1').replaceAll(version!.number, `12${version!.number.slice(2)}`)
          client.write(
            Buffer.from(text.replaceAll(`PostgreSQL ${version!.version}`, `PostgreSQL 12${version!.version.slice(2)}`), 'latin1'),
          )
        })
      server.on('close', () => client.destroy())
    })
    await new Promise<void>((resolve) => older.listen(0, '127.0.0.1', resolve))
    const address = older.address() as { port: number }
    const url = Object.assign(new URL(database.url), { port: String(address.port), search: 'sslmode=disable' }).href
    try {
      for (const words of [['--run-now'], ['migrate'], ['migrate', '--dry-run']])
        assertRefused(await command(words, { env: { DATABASE_URL: url } }), 3, /is version 12\.\d+, but the oldest supported version is 13/)
      const { rows } = await database.admin.query(`SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace`)
      assert.equal(rows.length, 0)
    } finally {
      older.close()
    }
  })
}

test('a server that is no PostgreSQL is not waited for beyond the limit', async () => {
  const server = createServer((socket) => socket.end('220 mail.example ESMTP\r\n'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const env = { DATABASE_URL: `postgresql://u:${PASSWORD}@127.0.0.1:${port}/db`, DATABASE_CONNECT_TIMEOUT: '1s' }
  assertRefused(await command(['--run-now'], { env }), 3, new RegExp(String(port)))
  server.close()
})

function sqlite(file: string): CommandOptions {
  return { env: { DATABASE_URL: `sqlite:///${file}` } }
}

function asRoot(): boolean {
  return process.geteuid?.() === 0
}
