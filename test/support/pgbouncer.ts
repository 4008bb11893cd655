import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { freePort, ROLE_WITH_PASSWORD } from './postgres-server.ts'
import { readiness } from './readiness.ts'

/** In what it writes on standard error. */
const UP = 'process up'

export interface PgBouncer extends AsyncDisposable {
  /** The same database and user, through the pooler. */
  through(url: string): string
  /** Takes another user list. */
  reload(users: string): Promise<void>
}

export interface PgBouncerOptions {
  readonly poolMode?: 'transaction' | 'session'
  /** Server connections for each database: few, so that clients must share them. */
  readonly poolSize?: number
  /** Files that only it can read, by their names. */
  readonly files?: Readonly<Record<string, string>>
  /** Go before those that tests want. `HOME/` begins the path of a file. */
  readonly settings?: Readonly<Record<string, string>>
  /** Its user list: `"name" "password"`, one a line. */
  readonly users?: string
}

/** For a test's `skip` option. */
export function withoutPgBouncer(): string | false {
  return binary() === undefined && 'PgBouncer is not installed here: apt-get install pgbouncer'
}

/**
 * A PgBouncer on a free port of 127.0.0.1 before the server of this URL, for each of its databases. Like the test servers it lives as long as a
 * pipe that this process holds. Connections it has to the server end with it.
 */
export async function startPgBouncer(serverUrl: string, options: PgBouncerOptions = {}): Promise<PgBouncer> {
  const program = binary()
  if (program === undefined) throw new Error('PgBouncer is not installed')
  for (let attempt = 1; ; attempt += 1) {
    const started = await start(program, new URL(serverUrl), options)
    if (typeof started !== 'string') return started
    if (attempt === 5 || !/in use/i.test(started)) throw new Error(`PgBouncer for the tests did not start:\n${started}`)
  }
}

const USERS = `"postgres" ""\n"${ROLE_WITH_PASSWORD.name}" "${ROLE_WITH_PASSWORD.password}"\n`

/** It refuses to run as root. */
const NOBODY = 65534

async function start(
  program: string,
  server: URL,
  { poolMode = 'transaction', poolSize = 3, files = {}, settings: also = {}, users = USERS }: PgBouncerOptions,
): Promise<PgBouncer | string> {
  const home = await mkdtemp(join(tmpdir(), 'maintenance-pgbouncer-'))
  const port = await freePort()
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    pidfile: join(home, 'pid'),
    pool_mode: poolMode,
    default_pool_size: poolSize,
    max_client_conn: 100,
    auth_type: 'trust',
    auth_file: join(home, 'users.txt'),
    ...also,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${String(value).replace(/^HOME(?=\/)/, home)}`)
  const database = `* = host=${server.hostname} port=${server.port}`
  await writeFile(join(home, 'pgbouncer.ini'), ['[databases]', database, '[pgbouncer]', ...lines, ''].join('\n'))
  await writeFile(join(home, 'users.txt'), users)
  for (const [name, content] of Object.entries(files)) await writeFile(join(home, name), content, { mode: 0o600 })
  const uid = process.getuid?.() === 0 ? NOBODY : undefined
  if (uid !== undefined) await promisify(execFile)('chown', ['-R', `${uid}:${uid}`, home])

  const child = spawn('sh', ['-c', LIFE_OF_A_POOLER, 'pgbouncer', program, join(home, 'pgbouncer.ini')], {
    detached: true,
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
    stdio: ['pipe', 'ignore', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  })
  const problem = await readiness(child, UP)
  if (problem !== undefined) {
    await rm(home, { recursive: true, force: true })
    return problem
  }
  return {
    reload: async (next) => {
      await writeFile(join(home, 'users.txt'), next)
      process.kill(Number(await readFile(join(home, 'pid'), 'utf8')), 'SIGHUP')
    },
    through: (url) => Object.assign(new URL(url), { hostname: '127.0.0.1', port: String(port) }).href,
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.stdin.end()
      await ended
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** $1 program, $2 configuration. TERM ends it at once, without waiting for its clients. */
const LIFE_OF_A_POOLER = `
exec 3<&0 </dev/null
"$1" "$2" 3<&- &
pooler=$!
{ read -r _ <&3; kill -TERM $pooler; } 2>/dev/null &
watch=$!
wait $pooler
kill $watch 2>/dev/null
`

/** Debian puts it where only root's PATH looks. */
function binary(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => join(folder, 'pgbouncer')).find((path) => existsSync(path))
}
