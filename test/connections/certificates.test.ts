import assert from 'node:assert/strict'
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { DatabaseError } from '../../src/database/database-error.ts'
import { listening, opened } from '../database/postgres/fixture.ts'
import { Authority, type Identity } from '../support/certificates.ts'
import { command } from '../support/command.ts'
import type { PostgresServer } from '../support/postgres-server.ts'
import { connect } from './outcome.ts'
import { startPsql, withoutPsql } from './psql.ts'
import { freshFolder, NEWEST, PASSWORD, portOf, startServer, urlWith, type Folder } from './servers.ts'

const authority = new Authority('test authority')
const client = authority.client('cert_user')
const NOBODY = 65534
const asRoot = process.getuid?.() === 0

let folder: Folder
let server: PostgresServer
let admin: Client
before(async () => {
  folder = await freshFolder()
  server = await startServer(authority, authority.server('localhost'))
  admin = new Client({ connectionString: server.url })
  await admin.connect()
})
after(async () => {
  await admin.end()
  await server.stop()
  await folder[Symbol.asyncDispose]()
})

function urlOf(parameters: Readonly<Record<string, string | undefined>>): string {
  return urlWith({ host: 'localhost', port: portOf(server), user: 'cert_user', dbname: 'gateway', sslmode: 'require', ...parameters })
}

async function refusal(parameters: Readonly<Record<string, string | undefined>>, home = folder.path): Promise<string> {
  try {
    await using _ = await opened(urlOf(parameters), { connectTimeoutMs: 500, variables: { HOME: home } })
  } catch (error) {
    assert.ok(error instanceof DatabaseError, String(error))
    assert.equal(error.kind, 'refused', error.message)
    assert.doesNotMatch(error.message, new RegExp(`${PASSWORD}|PRIVATE`))
    return error.message
  }
  return 'connected'
}

describe('a file that cannot be used is named, with its parameter and what to do', () => {
  test('a key', async () => {
    const certificate = await folder.write('a.crt', client.certificate)
    const key = async (name: string, content: string | Buffer, mode = 0o600): Promise<Readonly<Record<string, string>>> => ({
      sslcert: certificate,
      sslkey: await folder.write(name, content, mode),
    })
    const locked = client.key.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: PASSWORD })
    assert.match(
      await refusal(await key('open.key', client.keyText, 0o644)),
      /sslkey, \/\S+open\.key, is open to others \(mode 0644\); let it be 0600, or 0640/,
    )
    assert.match(
      await refusal(await key('locked.key', locked)),
      /locked\.key, cannot be used: .*; it is encrypted, and sslpassword opens it/,
    )
    assert.match(
      await refusal({ ...(await key('locked.key', locked)), sslpassword: 'wr0ng-Sesame!' }),
      /cannot be used: .*; sslpassword does not open it/,
    )
    assert.match(await refusal(await key('empty.key', '')), /empty\.key, cannot be used: /)
    assert.match(await refusal({ sslcert: certificate, sslkey: '/nowhere.key' }), /sslkey, \/nowhere\.key, cannot be read: ENOENT/)
    assert.match(await refusal({ sslcert: certificate, sslkey: folder.path }), /is a folder, and a regular file is needed/)
    assert.match(
      await refusal({ sslcert: certificate }),
      /there is a client certificate, .*a\.crt, but no key: .*postgresql\.key does not exist; name it in sslkey/,
    )
  })

  test('a certificate, a root certificate and a list of revoked ones', async () => {
    assert.match(
      await refusal({ sslcert: '/nowhere.crt' }),
      /No connection was made: the file named by sslcert, \/nowhere\.crt, cannot be read: ENOENT/,
    )
    assert.match(await refusal({ sslrootcert: '/nowhere.crt' }), /sslrootcert, \/nowhere\.crt, cannot be read: ENOENT/)
    const root = await folder.write('root.crt', authority.root)
    assert.match(await refusal({ sslrootcert: root, sslcrl: '/nowhere.crl' }), /sslcrl, \/nowhere\.crl, cannot be read: ENOENT/)
    assert.match(await refusal({ sslmode: 'verify-ca' }), /sslmode=verify-ca needs a root certificate: name it in sslrootcert/)
  })

  test('files that do not go together, or hold something else', async () => {
    const sslcert = await folder.write('a.crt', client.certificate)
    const sslkey = await folder.write('a.key', client.keyText)
    const other = await folder.write('other.key', authority.client('cert_user').keyText)
    assert.match(await refusal({ sslcert, sslkey: other }), /sslkey, \/\S+other\.key, is not the key of the certificate, \/\S+a\.crt/)
    assert.match(await refusal({ sslcert: sslkey, sslkey }), /sslcert, \/\S+a\.key, cannot be used: /)
    assert.match(await refusal({ sslrootcert: sslkey }), /sslrootcert, \/\S+a\.key, cannot be used: /)
    const stranger = await folder.write('stranger.crt', new Authority('another').root)
    assert.match(
      await refusal({ sslrootcert: stranger, user: 'trusted' }),
      /is not trusted: .* Name the file with the certificate of its authority in sslrootcert/,
    )
  })

  test('one that nobody named', async () => {
    await using home = await freshFolder()
    await mkdir(join(home.path, '.postgresql'))
    await home.write('.postgresql/postgresql.crt', client.certificate)
    await home.write('.postgresql/postgresql.key', client.keyText, 0o644)
    assert.match(await refusal({}, home.path), /made: \/\S+postgresql\.key, which counts because sslkey names no other, is open to others/)
  })
})

test('sslrootcert=system trusts the authorities of the system, in psql as well', async () => {
  const env = { SSL_CERT_FILE: await folder.write('system.crt', authority.root, 0o644), SSL_CERT_DIR: '/nonexistent', HOME: '/nonexistent' }
  const url = urlOf({ user: 'trusted', sslmode: undefined, sslrootcert: 'system' })
  const ours = await command(['status'], { env: { ...env, DATABASE_URL: url } })
  assert.equal(ours.code, 0, ours.stdout)
  const stranger = await folder.write('stranger.crt', new Authority('another').root, 0o644)
  const refused = await command(['status'], { env: { ...env, SSL_CERT_FILE: stranger, DATABASE_URL: url } })
  assert.equal(refused.code, 3)
  assert.match(refused.stdout, /is not trusted: .*certificate/)
  if (withoutPsql() !== false) return
  for (const psql of await startPsql(NEWEST, folder.path)) {
    if (psql.major < 16) continue
    assert.match((await psql.connect(url, env)).how, /^trusted at gateway.*TLS/)
    assert.equal((await psql.connect(url, { ...env, SSL_CERT_FILE: stranger })).how, 'refused')
  }
})

function asNobody(env: Readonly<Record<string, string>>): ReturnType<typeof command> {
  return command(['status'], { env, uid: NOBODY })
}

describe('another user than root', { skip: !asRoot && 'only root can be another user' }, () => {
  test('takes a key of its own that is 0600, one of root that is 0640 for its group, and none that others can read', async () => {
    await chmod(folder.path, 0o755)
    const sslcert = await folder.write('nobody.crt', client.certificate, 0o644)
    const key = async (mode: number, uid: number): Promise<string> => {
      const path = await folder.write(`${mode.toString(8)}-${uid}.key`, client.keyText, mode)
      await chown(path, uid, NOBODY)
      return urlOf({ sslcert, sslkey: path })
    }
    for (const [mode, uid] of [
      [0o600, NOBODY],
      [0o400, NOBODY],
      [0o640, 0],
      [0o440, 0],
    ] as const) {
      const ended = await asNobody({ DATABASE_URL: await key(mode, uid) })
      assert.equal(ended.code, 0, `${mode.toString(8)} ${uid} ${ended.stdout}`)
    }
    for (const [mode, uid, message] of [
      [0o640, NOBODY, /is open to others \(mode 0640\)/],
      [0o644, 0, /is open to others \(mode 0644\)/],
      [0o660, 0, /is open to others \(mode 0660\)/],
      [0o600, 0, /cannot be read: EACCES/],
    ] as const) {
      const ended = await asNobody({ DATABASE_URL: await key(mode, uid) })
      assert.equal(ended.code, 3, `${mode.toString(8)} ${uid} ${ended.stdout}`)
      assert.match(ended.stdout, message)
    }
  })

  test('is not left unverified by a root certificate in its home that it cannot read', async () => {
    await using home = await freshFolder()
    await chmod(home.path, 0o755)
    await mkdir(join(home.path, '.postgresql'), { mode: 0o755 })
    await home.write('.postgresql/root.crt', authority.root, 0o600)
    const env = { HOME: home.path, DATABASE_URL: urlOf({ user: 'trusted' }) }
    const ended = await asNobody(env)
    assert.equal(ended.code, 3)
    assert.match(ended.stdout, /root\.crt, which counts because sslrootcert names no other, cannot be read: EACCES/)
    // In a home that it cannot look into there may as well be none.
    await chmod(home.path, 0o700)
    assert.equal((await asNobody(env)).code, 0)
  })
})

test('certificates that were renewed on disk count from the next connection on', async () => {
  const show = async ({ certificate, keyText }: Identity): Promise<Readonly<Record<string, string>>> => ({
    sslcert: await folder.write('renewed.crt', certificate),
    sslkey: await folder.write('renewed.key', keyText),
  })
  const sslrootcert = await folder.write('renewed-root.crt', authority.root)
  const first = authority.client('cert_user')
  const told = listening()
  await using database = await opened(urlOf({ ...(await show(first)), sslmode: 'verify-full', sslrootcert }), told)
  const serial = async (): Promise<string> => {
    const { rows } = await database.query<{ serial: string; pid: number }>(
      `SELECT pg_catalog.to_hex(client_serial::pg_catalog.int8) AS serial, pid FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()`,
    )
    await admin.query('SELECT pg_terminate_backend($1)', [rows[0]!.pid])
    await assert.rejects(database.query('SELECT 1'))
    await database.reconnected(new AbortController().signal)
    return rows[0]!.serial.padStart(16, '0')
  }
  assert.equal(await serial(), first.serial.toString('hex'))
  const second = authority.client('cert_user')
  await show(second)
  await serial()
  assert.equal(await serial(), second.serial.toString('hex'))

  // The server's too, by an authority that was not known before.
  const next = new Authority('next authority')
  const identity = next.server('localhost')
  // It keeps the owner and the rights of the files that are there.
  await writeFile(join(dirname(server.data), 'tls.crt'), identity.certificate)
  await writeFile(join(dirname(server.data), 'tls.key'), identity.keyText)
  await admin.query('SELECT pg_reload_conf()')
  const { rows } = await database.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid')
  const known = urlOf({ user: 'trusted', sslmode: 'verify-full', sslrootcert: await folder.write('next.crt', next.root) })
  while ((await connect(known, {})).how === 'refused') await sleep(50)
  await admin.query('SELECT pg_terminate_backend($1)', [rows[0]!.pid])
  await assert.rejects(database.query('SELECT 1'))
  const saidBefore = told.lines.length
  const regained = database.reconnected(new AbortController().signal)
  while (told.lines.length === saidBefore) await sleep(20)
  assert.match(told.lines.at(-1)!, /^awaiting .*certificate/)
  await folder.write('renewed-root.crt', next.root)
  await regained
  assert.equal((await database.query('SELECT 1')).rows.length, 1)
})
