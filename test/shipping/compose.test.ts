import assert from 'node:assert/strict'
import { access, chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { parseDatabaseUrl } from '../../src/database/url/database-url.ts'
import { CHECKOUT, run } from './checkout.ts'
import { ENVIRONMENT } from './offered.ts'

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
  readonly services: { readonly postgres: Service; readonly maintenance: Service; readonly prometheus: Service }
  readonly secrets: Readonly<Record<string, { readonly file: string }>>
  readonly volumes: Readonly<Record<string, unknown>>
}

const forOthers = process.getuid?.() !== 0 && 'only root makes files of another user'
const compose: Compose = parse(await readFile(`${CHECKOUT}compose.yaml`, 'utf8'))
const { postgres, maintenance, prometheus } = compose.services

/** The file that a secret comes from if SECRETS is not set. */
function fileOf(secret: string): string {
  const [, fallback = '', name = ''] = /^\$\{SECRETS:-\.\/(.+)\}\/(\w+)$/.exec(compose.secrets[secret]!.file) ?? []
  return `${CHECKOUT}${fallback}/${name}`
}

describe('deploy/compose/archive.yaml', async () => {
  const text = await readFile(`${CHECKOUT}deploy/compose/archive.yaml`, 'utf8')
  const { services } = parse(text) as { services: Record<string, { environment: Record<string, string>; volumes: string[] }> }

  it("adds the archive's folder to the worker, and nothing else", () => {
    assert.deepEqual(Object.keys(services), ['maintenance'])
    const { environment, volumes, ...rest } = services['maintenance']!
    assert.deepEqual(rest, { mem_limit: '256m' })
    assert.deepEqual(
      Object.keys(environment).filter((name) => !ENVIRONMENT.has(name)),
      [],
    )
    assert.equal(environment['ARCHIVE_ENABLED'], 'true')
    assert.equal(volumes.length, 1)
    // Without the variable, Compose stops: an archive inside a container would be lost with it.
    assert.match(volumes[0]!, new RegExp(`^\\$\\{ARCHIVE_DIRECTORY:\\?.+\\}:${environment['ARCHIVE_DIRECTORY']}$`))
  })

  it('says how to make the folder for the user that the worker runs as', () => {
    const [uid, gid] = maintenance.user!.split(':')
    const [, owner, group, folder] = /install -d -m 700 -o (\d+) -g (\d+) (\S+)$/m.exec(text) ?? []
    assert.deepEqual([owner, group], [uid, gid])
    assert.ok(text.includes(`echo 'ARCHIVE_DIRECTORY=${folder}' >> .env`))
    assert.ok(text.includes(`echo 'COMPOSE_FILE=compose.yaml:deploy/compose/archive.yaml' >> .env`))
  })
})

describe('compose.yaml', () => {
  it('starts the database that the worker connects to, with the same password', async () => {
    const url = parseDatabaseUrl((await readFile(fileOf('database_url'), 'utf8')).trim())
    assert.equal(url.engine, 'postgres')
    if (url.engine !== 'postgres') return
    const password = (await readFile(fileOf('postgres_password'), 'utf8')).trim()
    const { POSTGRES_USER, POSTGRES_DB } = postgres.environment!
    assert.deepEqual([url.servers[0]?.host, url.user, url.database, url.password], ['postgres', POSTGRES_USER, POSTGRES_DB, password])
    assert.deepEqual([POSTGRES_USER, POSTGRES_DB], ['mcp_user', 'mcp_gateway'])
  })

  it('keeps passwords in files, and its example password says what it is', async () => {
    assert.doesNotMatch(await readFile(`${CHECKOUT}compose.yaml`, 'utf8'), /password-change-me|postgres(ql)?:\/\//)
    assert.match(await readFile(fileOf('postgres_password'), 'utf8'), /example.*change-me/)
    assert.deepEqual([postgres.secrets, maintenance.secrets], [['postgres_password'], ['database_url']])
    assert.equal(postgres.environment!['POSTGRES_PASSWORD_FILE'], '/run/secrets/postgres_password')
    assert.equal(maintenance.environment!['DATABASE_URL_FILE'], '/run/secrets/database_url')
  })

  it('says how to make secrets that the worker can read and nobody else can', { skip: forOthers }, async () => {
    const text = await readFile(`${CHECKOUT}compose.yaml`, 'utf8')
    const commands = [...text.matchAll(/^#   sudo (install .+)$/gm)].map((match) => match[1]!)
    assert.equal(commands.length, 2)
    const folder = await mkdtemp(join(tmpdir(), 'maintenance-secrets-'))
    try {
      await chmod(folder, 0o755)
      const secrets = join(folder, 'secrets')
      for (const command of commands) {
        const done = await run('sh', ['-c', command.replaceAll('/etc/mcp-gateway/secrets', secrets)], { cwd: CHECKOUT })
        assert.equal(done.code, 0, done.stderr)
      }
      const [uid] = maintenance.user!.split(':').map(Number)
      for (const secret of ['database_url', 'postgres_password']) {
        assert.equal((await run('cat', [join(secrets, secret)], { cwd: '/', uid })).stdout, await readFile(fileOf(secret), 'utf8'))
        assert.notEqual((await run('cat', [join(secrets, secret)], { cwd: '/', uid: uid! + 1 })).code, 0)
        assert.equal((await stat(join(secrets, secret))).mode & 0o777, 0o400)
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('names only settings that exist', () => {
    assert.deepEqual(
      Object.keys(maintenance.environment!).filter((name) => !ENVIRONMENT.has(name)),
      [],
    )
  })

  it("publishes no port but Prometheus's to this machine, and keeps the data in volumes", () => {
    assert.deepEqual([postgres['ports'], maintenance['ports'], prometheus['ports']], [undefined, undefined, ['127.0.0.1:9090:9090']])
    assert.deepEqual(postgres['volumes'], ['postgres-data:/var/lib/postgresql'])
    assert.ok('postgres-data' in compose.volumes && 'prometheus-data' in compose.volumes)
  })

  it('starts Prometheus only on request, with the rules and the scrape job that are tested', async () => {
    assert.deepEqual(prometheus['profiles'], ['monitoring'])
    assert.deepEqual(prometheus['volumes'], ['./deploy/prometheus:/etc/prometheus:ro', 'prometheus-data:/prometheus'])
    await access(`${CHECKOUT}deploy/prometheus/prometheus.yml`)
    assert.match(String(prometheus.image), /^prom\/prometheus:v\d+\.\d+\.\d+$/)
    assert.equal(maintenance.environment!['HTTP_ENABLED'], '${HTTP_ENABLED:-false}')
    const { read_only, cap_drop, security_opt } = prometheus
    assert.deepEqual(
      { read_only, cap_drop, security_opt },
      { read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] },
    )
  })

  it('starts the worker once the database answers over TCP', () => {
    assert.deepEqual(maintenance.depends_on, { postgres: { condition: 'service_healthy' } })
    assert.deepEqual(postgres.healthcheck?.test.slice(0, 4), ['CMD', 'pg_isready', '-h', '127.0.0.1'])
    assert.match(String(postgres.image), /^postgres:\d+\.\d+-bookworm$/)
  })

  it('runs the worker as an ordinary user, with no capabilities, no disk and little memory', () => {
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

describe('.gitignore', async () => {
  const { code } = await run('git', ['rev-parse', '--is-inside-work-tree'], { cwd: CHECKOUT })
  const skip = code !== 0 && 'this is no checkout of git, or git is not on this machine'

  it('ignores what the program makes in its working directory, and no file of the project', { skip }, async () => {
    const made = ['secure_mcp_gateway.db', 'secure_mcp_gateway.db-wal', 'secure_mcp_gateway.db-shm', 'secure_mcp_gateway.db-journal']
    const more = ['archive/audit_logs/2026/08/25/17-3.ndjson.zst', 'archive/reconciled/x', 'maintenance.prom', '.env', 'dist/main.js']
    const { stdout } = await run('git', ['check-ignore', ...made, ...more], { cwd: CHECKOUT })
    assert.deepEqual(stdout.trim().split('\n').toSorted(), [...made, ...more].toSorted())
    const { stdout: ours } = await run('git', ['ls-files', '--cached', '--ignored', '--exclude-standard'], { cwd: CHECKOUT })
    assert.equal(ours, '')
  })
})
