import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Client } from 'pg'
import { parseDatabaseUrl } from '../../src/database/url/database-url.ts'
import { opened } from '../database/postgres/fixture.ts'
import { Authority } from '../support/certificates.ts'
import { command, events, start, type Ended } from '../support/command.ts'
import { startPgBouncer, withoutPgBouncer } from '../support/pgbouncer.ts'
import type { PostgresServer } from '../support/postgres-server.ts'
import { freshFolder, PASSWORD, portOf, startServer, urlWith, type Folder } from './servers.ts'

const ROTATED = 'r0tated-Sesame!'

let folder: Folder
let server: PostgresServer
let admin: Client
before(async () => {
  folder = await freshFolder()
  server = await startServer(new Authority('test authority'), undefined)
  admin = new Client({ connectionString: Object.assign(new URL(server.url), { pathname: '/gateway' }).href })
  await admin.connect()
  await admin.query('ALTER ROLE scram_user SUPERUSER; ALTER ROLE password_user SUPERUSER')
})
after(async () => {
  await admin.end()
  await server.stop()
  await folder[Symbol.asyncDispose]()
})

function urlOf(parameters: Readonly<Record<string, string>> = {}): string {
  return urlWith({ host: '127.0.0.1', port: portOf(server), user: 'scram_user', dbname: 'gateway', ...parameters })
}

/** Of a status, which says on standard output what is wrong. */
async function status(env: Readonly<Record<string, string>>): Promise<Ended> {
  const ended = await command(['status'], { env: { HOME: '/nonexistent', ...env } })
  assert.equal(ended.stderr, '')
  assert.doesNotMatch(ended.stdout, new RegExp(`${PASSWORD}|${ROTATED}`))
  return ended
}

describe('where a password comes from', () => {
  test('each place is taken, the stronger one first, and nothing is said about how', async () => {
    const file = await folder.write('passwords', `127.0.0.1:*:gateway:scram_user:${PASSWORD}\n`)
    await folder.write('.pgpass', `*:*:*:*:${PASSWORD}\n`)
    const wrong = await folder.write('wrong', '*:*:*:*:wr0ng\n')
    const places: readonly Readonly<Record<string, string>>[] = [
      { DATABASE_URL: urlOf({ password: PASSWORD }), PGPASSWORD: 'wr0ng', PGPASSFILE: wrong },
      { DATABASE_URL: urlOf(), PGPASSWORD: PASSWORD, PGPASSFILE: wrong },
      { DATABASE_URL: urlOf({ passfile: file }), PGPASSFILE: wrong },
      { DATABASE_URL: urlOf(), PGPASSFILE: file, HOME: folder.path },
      { DATABASE_URL: urlOf(), HOME: folder.path },
    ]
    for (const env of places) {
      const { code, stdout } = await status(env)
      assert.equal(code, 0, `${JSON.stringify(env)} ${stdout}`)
    }
  })

  test('that there is none is said with what was looked at', async () => {
    const open = await folder.write('open', `*:*:*:*:${PASSWORD}\n`, 0o640)
    const others = await folder.write('others', `# 127.0.0.1:*:*:*:${PASSWORD}\nlocalhost:*:*:*:${PASSWORD}\n`)
    const empty = await folder.write('empty', `*:*:*:*:\n`)
    const said: readonly (readonly [env: Readonly<Record<string, string>>, why: string])[] = [
      [{ PGPASSFILE: '/nowhere' }, '/nowhere does not exist'],
      [{}, 'there is no /nonexistent/.pgpass'],
      [{ PGPASSFILE: open }, `${open} is not read because others than its owner may read or change it (chmod 600)`],
      [{ PGPASSFILE: others }, `${others} has no line for 127.0.0.1:${portOf(server)}, gateway and scram_user`],
      [{ PGPASSFILE: empty }, `the line for 127.0.0.1:${portOf(server)}, gateway and scram_user in ${empty} ends without a password`],
      [{ PGPASSFILE: folder.path }, `${folder.path} cannot be read: ${folder.path} is a folder`],
    ]
    for (const [env, why] of said) {
      const { code, stdout } = await status({ DATABASE_URL: urlOf(), ...env })
      assert.equal(code, 3)
      assert.ok(stdout.includes(`there is none in the database URL, in PGPASSWORD or in a password file: ${why}`), stdout)
    }
  })

  test('escapes and wildcards of a password file mean what libpq’s page says', async () => {
    const odd = String.raw`\:sesame\\ ` + 'é'
    await admin.query(String.raw`CREATE DATABASE "a:b\c"`)
    await admin.query(`ALTER ROLE md5_user PASSWORD ${admin.escapeLiteral(odd)}`)
    const escaped = odd.replaceAll(/[\\:]/g, String.raw`\$&`)
    const file = await folder.write('odd', `127.0.0.1:${portOf(server)}:a\\:b\\\\c:md5_user:${escaped}:more\r\n`)
    const { code, stdout } = await status({ DATABASE_URL: urlOf({ user: 'md5_user', dbname: String.raw`a:b\c`, passfile: file }) })
    assert.equal(code, 0, stdout)
  })

  test('blank lines at the end of DATABASE_URL_FILE are none of the password', async () => {
    for (const end of ['', '\n', '\r\n', '\n\n \n\t\n']) {
      const file = await folder.write('url', urlOf({ password: PASSWORD }) + end)
      const { code, stdout } = await status({ DATABASE_URL_FILE: file })
      assert.equal(code, 0, `${JSON.stringify(end)} ${stdout}`)
    }
  })
})

const EXPIRED = `INSERT INTO sessions (session_token, user_identifier, expires_at)
  SELECT gen_random_uuid()::text, 'u', now() AT TIME ZONE 'UTC' - interval '1 hour' FROM generate_series(1, 10)`

function cutOff(): Promise<unknown> {
  return admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('scram_user', 'password_user')`)
}

function userList(user: string, password: string): string {
  return `"${user}" "${password}"\n`
}

async function rotated(url: (user: string, password: string) => string, rotate: () => Promise<void>): Promise<void> {
  await admin.query(`ALTER ROLE scram_user PASSWORD '${PASSWORD}' LOGIN; ALTER ROLE password_user PASSWORD '${ROTATED}'`)
  const file = await folder.write('rotated', `${url('scram_user', PASSWORD)}\n`)
  const env = { DATABASE_URL_FILE: file, PURGE_SESSIONS_SCHEDULE: '* * * * * *', HOME: '/nonexistent' }
  assert.equal((await command(['migrate'], { env })).code, 0)
  await admin.query(EXPIRED)
  const worker = start([], { env, timeoutMs: 100_000 })
  await worker.line((line) => line['job'] === 'purge-sessions' && line['outcome'] === 'succeeded')
  await rotate()
  await admin.query('ALTER ROLE scram_user NOLOGIN')
  await cutOff()
  // The file is late: until then the login that is known is refused.
  await worker.line((line) => line['event'] === 'database.awaiting' && /log in|authentication|no such user/.test(String(line['err'])))
  await folder.write('rotated', `${url('password_user', ROTATED)}\n\n`)
  const regained = await worker.line((line) => line['event'] === 'database.regained')
  const since = Date.parse(String(regained['time']))
  await admin.query(EXPIRED)
  await worker.line(
    (line) =>
      line['job'] === 'purge-sessions' &&
      line['outcome'] === 'succeeded' &&
      Date.parse(String(line['time'])) > since &&
      Number(line['deleted']) > 0,
  )
  worker.kill('SIGTERM')
  const ended = await worker.ended
  assert.equal(ended.code, 0, ended.stdout)
  assert.doesNotMatch(ended.stdout + ended.stderr, new RegExp(`${PASSWORD}|${ROTATED}`))
  assert.equal(events(ended, 'database.lost').length, events(ended, 'database.regained').length)
}

describe('a secret that is rotated', () => {
  test('user and password are read again from DATABASE_URL_FILE in the middle of the work', () =>
    rotated(
      (user, password) => urlOf({ user, password }),
      () => Promise.resolve(),
    ))

  test('the same through PgBouncer', { skip: withoutPgBouncer() }, async () => {
    await using pooler = await startPgBouncer(server.url, {
      // It keeps a client that waits for a server, for two minutes where nothing else is said.
      settings: { auth_type: 'scram-sha-256', server_login_retry: '1', query_wait_timeout: '2' },
      users: userList('scram_user', PASSWORD),
    })
    const { port } = new URL(pooler.through(server.url))
    await rotated(
      (user, password) => urlOf({ user, password, port }),
      () => pooler.reload(userList('password_user', ROTATED)),
    )
  })

  test('a password file is read again at each connection, and DATABASE_URL_FILE is followed to no other place', async () => {
    await admin.query(`ALTER ROLE scram_user PASSWORD '${PASSWORD}' LOGIN; ALTER ROLE password_user PASSWORD '${ROTATED}'`)
    const passfile = await folder.write('again', `*:*:*:*:${PASSWORD}\n`)
    let inFile = urlOf({ passfile })
    await using database = await opened(inFile, { readUrlAgain: () => parseDatabaseUrl(inFile) })
    const again = async (): Promise<string> => {
      await cutOff()
      await assert.rejects(database.query('SELECT 1'))
      await database.reconnected(AbortSignal.timeout(1_000))
      return (await database.query<{ user: string }>('SELECT session_user AS "user"')).rows[0]!.user
    }
    await admin.query(`ALTER ROLE scram_user PASSWORD '${ROTATED}'`)
    await folder.write('again', `*:*:*:*:${ROTATED}\n`)
    assert.equal(await again(), 'scram_user')

    await admin.query('ALTER ROLE scram_user NOLOGIN')
    for (const other of [{ host: 'localhost' }, { dbname: 'postgres' }, { sslmode: 'disable' }]) {
      inFile = urlOf({ user: 'password_user', passfile, ...other })
      await assert.rejects(again(), /Interrupted/)
    }
    inFile = urlOf({ user: 'password_user', passfile })
    await database.reconnected(AbortSignal.timeout(5_000))
    assert.equal((await database.query<{ user: string }>('SELECT session_user AS "user"')).rows[0]!.user, 'password_user')
  })
})
