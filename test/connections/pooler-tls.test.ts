import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Client } from 'pg'
import { command, events } from '../support/command.ts'
import { Authority, type Identity } from '../support/certificates.ts'
import { startPgBouncer, withoutPgBouncer, type PgBouncer } from '../support/pgbouncer.ts'
import type { PostgresServer } from '../support/postgres-server.ts'
import { freshFolder, PASSWORD, portOf, startServer, urlWith, type Folder } from './servers.ts'

const skip = withoutPgBouncer()
/** Of the database behind the pooler. */
const EXPIRED = `INSERT INTO sessions (session_token, user_identifier, expires_at)
  SELECT gen_random_uuid()::text, 'u', now() AT TIME ZONE 'UTC' - interval '1 hour' FROM generate_series(1, 2000)`

/** One authority for the server and the pooler towards it, one for the pooler and its clients. */
const inner = new Authority('inner authority')
const outer = new Authority('outer authority')

let folder: Folder
let server: PostgresServer
let admin: Client
before(async () => {
  folder = await freshFolder()
  server = await startServer(inner, inner.server('localhost'))
  admin = new Client({ connectionString: Object.assign(new URL(server.url), { pathname: '/gateway' }).href })
  await admin.connect()
  await admin.query('ALTER ROLE cert_user SUPERUSER; ALTER ROLE scram_user SUPERUSER')
  await folder.write('outer.crt', outer.root)
  await folder.write('inner.crt', inner.root)
})
after(async () => {
  await admin.end()
  await server.stop()
  await folder[Symbol.asyncDispose]()
})

/** TLS on both sides: it shows the server a certificate, and wants one of its clients. */
function pooler(
  settings: Readonly<Record<string, string>>,
  options: { readonly users?: string; readonly own?: Identity } = {},
): Promise<PgBouncer> {
  const towards = options.own ?? inner.client('cert_user')
  const own = outer.server('localhost')
  return startPgBouncer(`postgres://localhost:${portOf(server)}/`, {
    files: {
      'outer.crt': outer.root,
      'inner.crt': inner.root,
      'own.crt': own.certificate,
      'own.key': own.keyText,
      'towards.crt': towards.certificate,
      'towards.key': towards.keyText,
    },
    settings: {
      client_tls_ca_file: 'HOME/outer.crt',
      client_tls_cert_file: 'HOME/own.crt',
      client_tls_key_file: 'HOME/own.key',
      server_tls_sslmode: 'verify-full',
      server_tls_ca_file: 'HOME/inner.crt',
      server_tls_cert_file: 'HOME/towards.crt',
      server_tls_key_file: 'HOME/towards.key',
      ...settings,
    },
    ...(options.users === undefined ? {} : { users: options.users }),
  })
}

async function identityFiles(name: string, { certificate, keyText }: Identity): Promise<Readonly<Record<string, string>>> {
  return { sslcert: await folder.write(`${name}.crt`, certificate), sslkey: await folder.write(`${name}.key`, keyText) }
}

describe('through PgBouncer with TLS on both sides', { skip }, () => {
  test('with client certificates on both sides, a database is migrated and purged', async () => {
    await using pooled = await pooler({ client_tls_sslmode: 'verify-full', auth_type: 'cert' }, { users: '"cert_user" ""\n' })
    const port = new URL(pooled.through(server.url)).port
    const known = await identityFiles('known', outer.client('cert_user'))
    const place = { host: 'localhost', port, user: 'cert_user', dbname: 'gateway', sslmode: 'verify-full' }
    const url = urlWith({ ...place, sslrootcert: `${folder.path}/outer.crt`, ...known })
    const migrated = await command(['migrate'], { env: { DATABASE_URL: url } })
    assert.equal(migrated.code, 0, migrated.stdout)
    await admin.query(EXPIRED)
    const ran = await command(['--run-now', '--job', 'purge-sessions'], { env: { DATABASE_URL: url } })
    assert.equal(ran.code, 0, ran.stdout)
    assert.equal(events(ran, 'job.finished')[0]?.['deleted'], 2_000)
    assert.deepEqual((await admin.query('SELECT FROM sessions')).rows, [])
    const { rows } = await admin.query<{ ssl: boolean; client_dn: string }>(
      `SELECT DISTINCT ssl, client_dn FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'cert_user'`,
    )
    assert.deepEqual(rows, [{ ssl: true, client_dn: '/CN=cert_user' }])

    const refusals: readonly (readonly [what: string, parameters: Readonly<Record<string, string | undefined>>, message: RegExp])[] = [
      ['no certificate', { sslcert: undefined, sslkey: undefined }, /refused the connection/],
      [
        'a certificate of the inner authority',
        await identityFiles('inner', inner.client('cert_user')),
        /refused the connection|cannot be reached/,
      ],
      ['a certificate of another user', await identityFiles('other', outer.client('somebody')), /refused the connection/],
      ['no TLS', { sslmode: 'disable' }, /refused the connection/],
      ['the root of the inner authority', { sslrootcert: `${folder.path}/inner.crt` }, /is not trusted: .*certificate/],
      ['another name', { host: '127.0.0.1' }, /is not trusted: .*altnames/],
    ]
    for (const [what, parameters, message] of refusals) {
      const env = {
        DATABASE_URL: urlWith({ ...place, sslrootcert: `${folder.path}/outer.crt`, ...known, ...parameters }),
        DATABASE_CONNECT_TIMEOUT: '1s',
      }
      const { code, stdout } = await command(['status'], { env })
      assert.equal(code, 3, `${what}: ${stdout}`)
      assert.match(stdout, message, what)
    }
  })

  test('with a password over TLS, a database is purged; a login that has to be bound to the connection is refused', async () => {
    const users = `"scram_user" "${PASSWORD}"\n`
    await using pooled = await pooler({ client_tls_sslmode: 'require', auth_type: 'scram-sha-256' }, { users })
    const port = new URL(pooled.through(server.url)).port
    const place = { host: 'localhost', port, user: 'scram_user', password: PASSWORD, dbname: 'gateway', sslmode: 'verify-full' }
    const url = urlWith({ ...place, sslrootcert: `${folder.path}/outer.crt` })
    assert.equal((await command(['migrate'], { env: { DATABASE_URL: url } })).code, 0)
    await admin.query(EXPIRED)
    const ran = await command(['--run-now', '--job', 'purge-sessions'], { env: { DATABASE_URL: url } })
    assert.equal(ran.code, 0, ran.stdout)
    assert.equal(events(ran, 'job.finished')[0]?.['deleted'], 2_000)
    const allowed = await command(['status'], { env: { DATABASE_URL: url.replace('verify-full', 'allow') } })
    assert.equal(allowed.code, 0, allowed.stdout)
    const bound = await command(['status'], { env: { DATABASE_URL: `${url}&channel_binding=require` } })
    assert.equal(bound.code, 3)
    assert.match(bound.stdout, /channel_binding=require, and the server does not offer it/)
    const wrong = await command(['status'], { env: { DATABASE_URL: url.replace(encodeURIComponent(PASSWORD), 'wrong') } })
    assert.equal(wrong.code, 3)
    assert.match(wrong.stdout, /refused the connection: .*authentication failed/)
  })
})
