import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { describeSettings } from '../../src/config/schema.ts'
import { parseDatabaseUrl } from '../../src/database/url.ts'
import { CHECKOUT } from './checkout.ts'

interface Service {
  readonly build?: string
  readonly image?: string
  readonly user?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly secrets?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly [key: string]: unknown
}

interface Compose {
  readonly services: { readonly postgres: Service; readonly maintenance: Service }
  readonly secrets: Readonly<Record<string, { readonly file: string }>>
  readonly volumes: Readonly<Record<string, unknown>>
}

const compose: Compose = parse(await readFile(`${CHECKOUT}compose.yaml`, 'utf8'))
const { postgres, maintenance } = compose.services

/** The file a secret comes from where nobody set SECRETS. */
function fileOf(secret: string): string {
  const [, fallback = '', name = ''] = /^\$\{SECRETS:-\.\/(.+)\}\/(\w+)$/.exec(compose.secrets[secret]!.file) ?? []
  return `${CHECKOUT}${fallback}/${name}`
}

describe('compose.yaml', () => {
  it('brings up the database that the worker is told of, with the same password', async () => {
    const url = parseDatabaseUrl((await readFile(fileOf('database_url'), 'utf8')).trim())
    assert.equal(url.engine, 'postgres')
    if (url.engine !== 'postgres') return
    const password = (await readFile(fileOf('postgres_password'), 'utf8')).trim()
    const { POSTGRES_USER, POSTGRES_DB } = postgres.environment!
    assert.deepEqual([url.host, url.user, url.database, url.password], ['postgres', POSTGRES_USER, POSTGRES_DB, password])
    assert.deepEqual([POSTGRES_USER, POSTGRES_DB], ['mcp_user', 'mcp_gateway'])
  })

  it('keeps passwords in files, and its example password says what it is', async () => {
    assert.doesNotMatch(await readFile(`${CHECKOUT}compose.yaml`, 'utf8'), /password-change-me|postgres(ql)?:\/\//)
    assert.match(await readFile(fileOf('postgres_password'), 'utf8'), /example.*change-me/)
    assert.deepEqual([postgres.secrets, maintenance.secrets], [['postgres_password'], ['database_url']])
    assert.equal(postgres.environment!['POSTGRES_PASSWORD_FILE'], '/run/secrets/postgres_password')
    assert.equal(maintenance.environment!['DATABASE_URL_FILE'], '/run/secrets/database_url')
  })

  it('names only settings that there are', () => {
    const known = new Set(describeSettings().flatMap((setting) => setting.environment))
    assert.deepEqual(
      Object.keys(maintenance.environment!).filter((name) => !known.has(name)),
      [],
    )
  })

  it('publishes no port and keeps the data in a volume', () => {
    assert.deepEqual([postgres['ports'], maintenance['ports']], [undefined, undefined])
    assert.deepEqual(postgres['volumes'], ['postgres-data:/var/lib/postgresql'])
    assert.ok('postgres-data' in compose.volumes)
  })

  it('starts the worker once the database answers over TCP', () => {
    assert.deepEqual(maintenance.depends_on, { postgres: { condition: 'service_healthy' } })
    assert.deepEqual(postgres.healthcheck?.test.slice(0, 4), ['CMD', 'pg_isready', '-h', '127.0.0.1'])
    assert.match(String(postgres.image), /^postgres:\d+\.\d+-bookworm$/)
  })

  it('gives the worker an ordinary user, no right, no disk and little memory', () => {
    assert.match(String(maintenance.user), /^[1-9]\d*:[1-9]\d*$/)
    assert.equal(maintenance.build, '.')
    const { read_only, tmpfs, cap_drop, security_opt, mem_limit, restart, stop_grace_period } = maintenance
    assert.deepEqual(
      { read_only, tmpfs, cap_drop, security_opt, mem_limit, restart, stop_grace_period },
      {
        read_only: true,
        tmpfs: ['/tmp'],
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        mem_limit: '128m',
        restart: 'unless-stopped',
        stop_grace_period: '15s',
      },
    )
  })
})
