import assert from 'node:assert/strict'
import { chown, mkdir, readFile, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { isImplemented, LIBPQ_PARAMETERS } from '../../src/database/url/libpq-parameters.ts'
import { Authority } from '../support/certificates.ts'
import type { PostgresServer } from '../support/postgres-server.ts'
import { connect } from './outcome.ts'
import { startPsql, withoutPsql, type Psql } from './psql.ts'
import { rowsOf, type Places, type Row } from './rows.ts'
import { freshFolder, NEWEST, PASSWORD, portOf, socketOf, startServer, urlWith, type Folder } from './servers.ts'

const skip = withoutPsql()
const implemented = LIBPQ_PARAMETERS.filter(isImplemented)

let folder: Folder
let tls: PostgresServer
let plain: PostgresServer
let silent: Server
let clients: readonly Psql[]
let rows: ReturnType<typeof rowsOf>

before(async () => {
  if (skip !== false) return
  folder = await freshFolder()
  const authority = new Authority('test authority')
  const identity = authority.server('localhost', '127.0.0.1')
  ;[tls, plain] = await Promise.all([startServer(authority, identity), startServer(authority, undefined)])
  silent = createServer().listen(0, '127.0.0.1')
  clients = await startPsql(NEWEST, folder.path)
  await writeFiles(authority, identity)
  const address = silent.address()
  const places: Places = {
    tls: portOf(tls),
    plain: portOf(plain),
    socket: socketOf(plain),
    silent: String(typeof address === 'object' ? address?.port : ''),
    file: (name) => join(folder.path, name),
  }
  rows = rowsOf(places)
})

after(async () => {
  silent?.close()
  await Promise.all([tls?.stop(), plain?.stop()])
  await folder?.[Symbol.asyncDispose]()
})

async function writeFiles(authority: Authority, identity: ReturnType<Authority['server']>): Promise<void> {
  const other = new Authority('another authority')
  const client = authority.client('cert_user')
  const bound = authority.client('scram_cert')
  const stranger = other.client('cert_user')
  const locked = { cipher: 'aes-256-cbc', passphrase: PASSWORD } as const
  const der = Buffer.from(client.certificate.replaceAll(/-----.*-----|\s/g, ''), 'base64')
  const own: Readonly<Record<string, string | Buffer>> = {
    'root.crt': authority.root,
    'other.crt': other.root,
    'both.crt': other.root + authority.root,
    empty: '',
    'cert_user.crt': client.certificate,
    'cert_user.crt.der': der,
    'cert_user.key': client.keyText,
    'cert_user.sec1.key': client.key.export({ format: 'pem', type: 'sec1' }),
    'cert_user.der': client.key.export({ format: 'der', type: 'pkcs8' }),
    'cert_user.sec1.der': client.key.export({ format: 'der', type: 'sec1' }),
    'cert_user.locked.key': client.key.export({ format: 'pem', type: 'pkcs8', ...locked }),
    'cert_user.locked.der': client.key.export({ format: 'der', type: 'pkcs8', ...locked }),
    'scram_cert.crt': bound.certificate,
    'scram_cert.key': bound.keyText,
    'stranger.crt': stranger.certificate,
    'stranger.key': stranger.keyText,
    'none-revoked.crl': authority.revoking(client),
    'revoked.crl': authority.revoking(identity),
    passwords: `# a comment\nlocalhost:1:*:*:wrong\nlocalhost:*:postgres:scram_user:${PASSWORD}\nlocalhost:*:*:md5_\\user:${PASSWORD}:\n*:*:*:nobody:x`,
  }
  for (const [name, content] of Object.entries(own)) await folder.write(name, content)
  await folder.write('open-passwords', own['passwords']!, 0o640)
  await folder.write('open.key', client.keyText, 0o644)
  const mine = await folder.write('root-shared.key', client.keyText, process.getuid?.() === 0 ? 0o640 : 0o600)
  if (process.getuid?.() === 0) {
    await chown(mine, 0, 65534)
    await chown(await folder.write('group.key', client.keyText, 0o640), 65534, 65534)
  } else await folder.write('group.key', client.keyText, 0o640)
}

describe('what comes of each parameter is what comes of it in psql', { skip }, () => {
  test('every parameter that is implemented is compared', () => {
    assert.deepEqual(Object.keys(rows).toSorted(), implemented.map(({ keyword }) => keyword).toSorted())
  })

  for (const { keyword, variable } of implemented) {
    // What the URL gives counts before its variable.
    const other: Readonly<Record<string, string>> = variable === undefined ? {} : { [variable]: 'nonsense' }
    test(`${keyword} in the URL`, () => inTurns(rows[keyword], (row) => compared(row, { [keyword]: row.value }, row.inTheUrl ?? other)))
    if (variable === undefined) continue
    test(variable, () =>
      inTurns(
        rows[keyword].filter(({ inTheUrl }) => inTheUrl === undefined),
        (row) => compared(row, { [keyword]: undefined }, { [variable]: row.value }),
      ),
    )
  }

  test('files that nobody names are found in the home', () => inTurns(homes, atHome))
})

async function compared(
  row: Row,
  asked: Readonly<Record<string, string | undefined>>,
  variables: Readonly<Record<string, string>>,
): Promise<void> {
  const url = urlWith({ host: 'localhost', port: portOf(tls), user: 'trusted', dbname: 'postgres', ...row.beside, ...asked })
  // A home in which there is nothing.
  await alike(row, url, { HOME: '/nonexistent', ...variables })
}

async function alike({ expected, psql, since = 0 }: Omit<Row, 'value'>, url: string, env: Readonly<Record<string, string>>): Promise<void> {
  const about = `${url} ${JSON.stringify(env)}`
  const ours = await connect(url, env)
  assert.match(ours.how, expected, `${about}\n${ours.why}`)
  assert.doesNotMatch(ours.why, new RegExp(PASSWORD))
  for (const client of clients.filter(({ major }) => major >= since)) {
    const theirs = await client.connect(url, env)
    const both = `${client.name}: ${about}\nhere: ${ours.why}\nthere: ${theirs.why}`
    assert.match(theirs.how, psql?.expected ?? expected, both)
    if (psql === undefined) assert.equal(ours.how, theirs.how, both)
    else assert.notEqual(ours.how, theirs.how, `no difference any more, although ${psql.because}: ${both}`)
  }
}

/** A home with these files, by the names of those that hold what they shall hold. */
interface Home extends Omit<Row, 'value'> {
  readonly files: Readonly<Record<string, string>>
}

const ROOT = '.postgresql/root.crt'
const OWN = { '.postgresql/postgresql.crt': 'cert_user.crt', '.postgresql/postgresql.key': 'cert_user.key' }
const homes: readonly Home[] = [
  { files: { [ROOT]: 'root.crt' }, beside: { sslmode: 'verify-full' }, expected: /by TLS/ },
  { files: { [ROOT]: 'root.crt' }, expected: /by TLS/ },
  { files: { [ROOT]: 'other.crt' }, beside: { sslmode: 'verify-full' }, expected: /^refused/ },
  { files: { [ROOT]: 'other.crt' }, beside: { sslmode: 'require' }, expected: /^refused/ },
  { files: { [ROOT]: 'other.crt' }, expected: /by plain text/ },
  { files: OWN, beside: { user: 'cert_user' }, expected: /certificate \/CN=cert_user/ },
  { files: OWN, expected: /^trusted.*certificate \/CN=cert_user/ },
  { files: { [ROOT]: 'root.crt', '.postgresql/root.crl': 'revoked.crl' }, beside: { sslmode: 'require' }, expected: /^refused/ },
  { files: { [ROOT]: 'root.crt', '.postgresql/root.crl': 'none-revoked.crl' }, beside: { sslmode: 'verify-full' }, expected: /by TLS/ },
  { files: { '.postgresql/postgresql.key': 'open.key' }, expected: /by TLS/ },
  { files: { '.postgresql/postgresql.crt': 'cert_user.crt' }, beside: { sslmode: 'require' }, expected: /^refused/ },
  { files: { ...OWN, '.postgresql/postgresql.key': 'open.key' }, beside: { sslmode: 'require' }, expected: /^refused/ },
  { files: { '.pgpass': 'passwords' }, beside: { user: 'scram_user' }, expected: /^scram_user at/ },
  { files: { '.pgpass': 'open-passwords' }, beside: { user: 'scram_user' }, expected: /^refused/ },
  { files: {}, beside: { user: 'scram_user' }, expected: /^refused/ },
]

async function atHome(home: Home): Promise<void> {
  await using place = await freshFolder()
  await mkdir(join(place.path, '.postgresql'))
  for (const [name, content] of Object.entries(home.files)) {
    const source = join(folder.path, content)
    await place.write(name, await readFile(source), (await stat(source)).mode & 0o777)
  }
  const url = urlWith({ host: 'localhost', port: portOf(tls), user: 'trusted', dbname: 'postgres', ...home.beside })
  await alike(home, url, { HOME: place.path })
}

/** Four at a time; every failure is told. */
async function inTurns<T>(all: readonly T[], work: (row: T) => Promise<void>): Promise<void> {
  const left = [...all]
  const failures: unknown[] = []
  const turn = async (): Promise<void> => {
    for (let row = left.shift(); row !== undefined; row = left.shift()) await work(row).catch((error: unknown) => failures.push(error))
  }
  await Promise.all([turn(), turn(), turn(), turn()])
  if (failures.length === 1) throw failures[0]
  assert.deepEqual(failures.map(String), [])
}
