import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Client } from 'pg'
import { Authority, type Identity } from '../support/certificates.ts'
import { POSTGRES_MAJORS, startPostgres, type PostgresServer, type ServerOptions } from '../support/postgres-server.ts'

export const PASSWORD = 'op3n-Sesame!'

/** Roles that are let in each in its own way. The superuser is trusted. */
const ROLES: Readonly<Record<string, string>> = {
  trusted: '',
  tls_only: '',
  plain_only: '',
  rejected: '',
  cert_user: '',
  scram_user: `SET password_encryption = 'scram-sha-256'; ALTER ROLE scram_user PASSWORD '${PASSWORD}'`,
  scram_cert: `SET password_encryption = 'scram-sha-256'; ALTER ROLE scram_cert PASSWORD '${PASSWORD}'`,
  password_user: `SET password_encryption = 'scram-sha-256'; ALTER ROLE password_user PASSWORD '${PASSWORD}'`,
  md5_user: `SET password_encryption = 'md5'; ALTER ROLE md5_user PASSWORD '${PASSWORD}'`,
}

const HBA = `
local   all all           trust
hostssl all cert_user     all cert
hostssl all scram_cert    all scram-sha-256 clientcert=verify-full
hostssl all tls_only      all trust
hostnossl all plain_only  all trust
host    all rejected      all reject
host    all scram_user    all scram-sha-256
host    all password_user all password
host    all md5_user      all md5
host    all trusted       all trust
host    all postgres      all trust
host    replication postgres all trust
`

export const NEWEST = POSTGRES_MAJORS.at(-1)!

/** A server whose certificate this identity is, and that takes clients' certificates of the same authority; without an identity it has no TLS. */
export async function startServer(authority: Authority, identity: Identity | undefined): Promise<PostgresServer> {
  const server = await startPostgres(NEWEST, identity === undefined ? { hba: HBA, settings: { ssl: 'off' } } : withTls(authority, identity))
  await createRoles(server.url)
  return server
}

export function withTls(authority: Authority, identity: Identity, hba = HBA): ServerOptions {
  return {
    hba,
    files: { 'root.crt': authority.root, 'tls.crt': identity.certificate, 'tls.key': identity.keyText },
    settings: { ssl: 'on', ssl_cert_file: '../tls.crt', ssl_key_file: '../tls.key', ssl_ca_file: '../root.crt' },
  }
}

async function createRoles(url: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  for (const [role, how] of Object.entries(ROLES)) await client.query(`SET client_min_messages = error; CREATE ROLE ${role} LOGIN; ${how}`)
  await client.query('CREATE DATABASE gateway')
  await client.end()
}

/** The folder of its Unix socket. */
export function socketOf(server: PostgresServer): string {
  return dirname(server.data)
}

export function portOf(server: PostgresServer): string {
  return new URL(server.url).port
}

export interface Folder extends AsyncDisposable {
  readonly path: string
  /** Writes a file that only its owner can read, and returns its path. */
  write(name: string, content: string | Buffer, mode?: number): Promise<string>
}

export async function freshFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'maintenance-connections-'))
  return {
    path,
    async write(name, content, mode = 0o600) {
      const file = join(path, name)
      await writeFile(file, content)
      await chmod(file, mode)
      return file
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}

/** A URL in which every parameter is in the query, where libpq takes all of them. */
export function urlWith(parameters: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(parameters).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`]))
  return `postgresql:///?${given.join('&')}`
}
