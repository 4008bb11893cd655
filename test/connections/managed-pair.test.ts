import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { Authority } from '../support/certificates.ts'
import { ReplicatedPair } from '../support/standby.ts'
import { commandWithHosts, withHosts, withoutOwnHosts } from './own-hosts.ts'
import { withoutPsql } from './psql.ts'
import { freshFolder, NEWEST, withTls } from './servers.ts'

const skip = await withoutOwnHosts()
const ROLE_SQL = fileURLToPath(new URL('../../deploy/postgres/purge-role.sql', import.meta.url))
const PAGE = new URL('../../docs/database-url.md', import.meta.url)

/** As a provider sets it up: whoever comes from outside shows a certificate. The superuser is the provider's own, for replication too. */
const HBA = `
local   all all                    trust
hostssl all mcp_maintenance,mcp_user all cert
host    all postgres 127.0.0.1/32  trust
host    replication postgres 127.0.0.1/32 trust
`

test(
  'the URL of the documents leads to a pair with certificates: psql, migrations, a purge, and another after a switchover',
  { skip },
  async () => {
    await using folder = await freshFolder()
    const authority = new Authority('provider')
    const options = [
      withTls(authority, authority.server('db-a.example'), HBA),
      withTls(authority, authority.server('db-b.example'), HBA),
    ] as const
    await using pair = await ReplicatedPair.start(NEWEST, { servers: options })
    const ports = [new URL(pair.primaryUrl).port, new URL(pair.standbyUrl).port]
    await asProvider(pair.primaryUrl, 'CREATE ROLE mcp_user LOGIN', 'CREATE DATABASE mcp_gateway OWNER mcp_user')

    const hosts = await folder.write('hosts', '127.0.0.1 localhost db-a.example db-b.example\n', 0o644)
    await folder.write('ca.crt', authority.root)
    const documented = /^postgresql:\/\/mcp_maintenance@.*sslkey=.*$/m.exec(await readFile(PAGE, 'utf8'))?.[0]
    assert.ok(documented !== undefined)
    /** With what differs here: ports, the folder of the files, and each role's own certificate. */
    const urlOf = async (role: string): Promise<string> => {
      const { certificate, keyText } = authority.client(role)
      await folder.write(`${role}.crt`, certificate)
      await folder.write(`${role}.key`, keyText)
      return documented
        .replace('mcp_maintenance@', `${role}@`)
        .replace('db-a.example:5432,db-b.example:5432', `db-a.example:${ports[0]},db-b.example:${ports[1]}`)
        .replaceAll('/etc/mcp-gateway/client', `${folder.path}/${role}`)
        .replace('/etc/mcp-gateway', folder.path)
    }
    const [gateway, worker] = [await urlOf('mcp_user'), await urlOf('mcp_maintenance')]
    const run = async (url: string, ...words: readonly string[]): Promise<string> => {
      const { code, output } = await commandWithHosts(hosts, words, { DATABASE_URL: url, MIGRATIONS_ENABLED: String(url === gateway) })
      assert.equal(code, 0, `${words.join(' ')}\n${output}`)
      return output
    }

    await run(gateway, 'migrate')
    const databaseUrl = Object.assign(new URL(pair.primaryUrl), { pathname: '/mcp_gateway' }).href
    if (withoutPsql() === false) {
      const psql = async (url: string, ...words: readonly string[]): Promise<string> => {
        const { code, output } = await withHosts(hosts, ['psql', '-X', ...words, url], {})
        assert.equal(code, 0, output)
        return output
      }
      await psql(databaseUrl, '-v', 'role=mcp_maintenance', '-f', ROLE_SQL)
      assert.match(await psql(worker, '-Atc', 'SELECT session_user'), /^mcp_maintenance$/m)
    } else await asProvider(databaseUrl, ...GRANTS)

    const expire = (url: string): Promise<void> =>
      asProvider(
        Object.assign(new URL(url), { pathname: '/mcp_gateway' }).href,
        `INSERT INTO sessions (session_token, user_identifier, expires_at)
         SELECT gen_random_uuid()::text, 'u', now() AT TIME ZONE 'UTC' - interval '1 hour' FROM generate_series(1, 500)`,
      )
    await expire(pair.primaryUrl)
    assert.match(await run(worker, 'status'), /All is well/)
    assert.match(await run(worker, '--run-now', '--job', 'purge-sessions'), /"deleted":500/)

    await pair.switchOver()
    await expire(pair.primaryUrl)
    assert.match(await run(worker, '--run-now', '--job', 'purge-sessions'), /"deleted":500/)
  },
)

/** What `purge-role.sql` does, for a machine without psql. */
const GRANTS = ['CREATE ROLE mcp_maintenance LOGIN', 'GRANT ALL ON ALL TABLES IN SCHEMA public TO mcp_maintenance']

async function asProvider(url: string, ...statements: readonly string[]): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}
