import { appendFile, chmod, chown, cp, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, types } from 'pg'
import { until } from './until.ts'
import { startPostgres, type PostgresMajor, type PostgresServer, type ServerOptions } from './postgres-server.ts'

export interface PairOptions {
  /** COMMIT waits for the standby too, where it waits for the disk. */
  readonly synchronous?: boolean
  /** What each of the two needs of its own, such as its certificate. */
  readonly servers?: readonly [ServerOptions, ServerOptions]
}

/** What happens between the end of one primary and the promotion of the next. */
export interface Handover {
  /** For so long no server takes writes. */
  readonly withoutPrimaryMs?: number
  /** Of a failover: what the old primary commits in its last moments, for so long, is not received by the standby. */
  readonly unreceivedMs?: number
  /** Of a failover: the old primary goes on for so long beside the new one, which hears nothing more of it. */
  readonly besideMs?: number
  /** Called as soon as the new primary takes writes. */
  readonly promoted?: () => void
}

/** When no server took writes, by the host's clock. */
export interface WithoutPrimary {
  readonly fromMs: number
  readonly toMs: number
}

/** A primary and its standby, which change places. They replicate by streaming. */
export class ReplicatedPair implements AsyncDisposable {
  readonly #major: PostgresMajor
  readonly #synchronous: boolean
  #primary: PostgresServer
  #standby: PostgresServer

  private constructor(major: PostgresMajor, synchronous: boolean, primary: PostgresServer, standby: PostgresServer) {
    this.#major = major
    this.#synchronous = synchronous
    this.#primary = primary
    this.#standby = standby
  }

  static async start(
    major: PostgresMajor,
    { synchronous = false, servers: [first, second] = [{}, {}] }: PairOptions = {},
  ): Promise<ReplicatedPair> {
    const primary = await startPostgres(major, { ...first, settings: { ...SETTINGS, ...first.settings } })
    try {
      const standby = await standbyOf(primary, major, second)
      const pair = new ReplicatedPair(major, synchronous, primary, standby)
      await pair.#synchronize()
      return pair
    } catch (error) {
      await primary.stop()
      throw error
    }
  }

  /** Of the superuser, in the database `postgres`. */
  get primaryUrl(): string {
    return this.#primary.url
  }

  get standbyUrl(): string {
    return this.#standby.url
  }

  /** Until the standby has replayed what the primary has written by now. */
  async caughtUp(): Promise<void> {
    const [row] = await asked<{ at: string }>(this.primaryUrl, 'SELECT pg_current_wal_lsn()::text AS at')
    await until('the standby has replayed what was written', async () => {
      const [found] = await asked<{ done: boolean | null }>(this.standbyUrl, `SELECT pg_last_wal_replay_lsn() >= '${row!.at}' AS done`)
      return found?.done === true ? true : undefined
    })
  }

  /** In order: the primary ends and all it has written is handed on, the standby is promoted, the old primary comes back as its standby. */
  async switchOver({
    withoutPrimaryMs,
    promoted = () => {},
  }: Pick<Handover, 'withoutPrimaryMs' | 'promoted'> = {}): Promise<WithoutPrimary> {
    const [former, next] = [this.#primary, this.#standby]
    await this.caughtUp()
    const fromMs = Date.now()
    let toMs = 0
    const handOver = async (): Promise<void> => {
      await promote(next.url)
      toMs = Date.now()
      promoted()
    }
    if (withoutPrimaryMs === undefined)
      await former.restart(async () => {
        await handOver()
        await follow(former.data, next.url)
      }, 'for reading')
    else {
      // Both are standbys for a while.
      await former.restart(() => follow(former.data, next.url), 'for reading')
      await sleep(withoutPrimaryMs)
      await handOver()
    }
    this.#primary = next
    this.#standby = former
    await this.#synchronize()
    return { fromMs, toMs }
  }

  /** The primary is killed and the standby promoted with what it has received; then a new standby, of a base backup, takes the place of the one that was killed. */
  async failOver({ withoutPrimaryMs = 0, unreceivedMs, besideMs, promoted = () => {} }: Handover): Promise<WithoutPrimary> {
    const [former, next] = [this.#primary, this.#standby]
    if (unreceivedMs !== undefined) {
      await this.#cutOff()
      await sleep(unreceivedMs)
    }
    const fromMs = Date.now()
    let toMs = fromMs
    if (besideMs === undefined) {
      await former.kill()
      await sleep(withoutPrimaryMs)
      await promote(next.url)
      toMs = Date.now()
      promoted()
    } else {
      await this.#cutOff()
      await promote(next.url)
      promoted()
      await sleep(besideMs)
      await former.kill()
    }
    this.#primary = next
    this.#standby = await standbyOf(next, this.#major)
    await this.#synchronize()
    return { fromMs, toMs }
  }

  /** From here on the standby hears nothing more, and goes stale. */
  async cutReplication(): Promise<void> {
    await this.#cutOff()
    for (;;) {
      const rows = await asked(this.primaryUrl, 'SELECT FROM pg_stat_replication')
      if (rows.length === 0) return
      await sleep(50)
    }
  }

  /** Destroys the primary, and promotes the standby with the data that it has. */
  async promoteStale(): Promise<void> {
    await this.#primary.stop()
    await promote(this.standbyUrl)
    this.#primary = this.#standby
  }

  async #cutOff(): Promise<void> {
    await asked(this.standbyUrl, `ALTER SYSTEM SET primary_conninfo = ''`)
    await asked(this.standbyUrl, 'SELECT pg_reload_conf()')
  }

  async #synchronize(): Promise<void> {
    if (!this.#synchronous) return
    await asked(this.primaryUrl, `ALTER SYSTEM SET synchronous_standby_names = '*'`)
    await asked(this.primaryUrl, 'SELECT pg_reload_conf()')
    while ((await asked(this.primaryUrl, `SELECT FROM pg_stat_replication WHERE sync_state = 'sync'`)).length === 0) await sleep(50)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...new Set([this.#primary, this.#standby])].map((server) => server.stop()))
  }

  get major(): PostgresMajor {
    return this.#major
  }
}

/** What a standby asks for may have been written long before. */
const SETTINGS = { wal_keep_size: '512MB' }
/** What is in them is of the running server alone, or is sent again by the primary. */
const EMPTY = new Set(['pg_wal', 'pg_replslot', 'pg_notify', 'pg_stat_tmp', 'pg_subtrans', 'pg_dynshmem'])

function standbyOf(primary: PostgresServer, major: PostgresMajor, options: ServerOptions = {}): Promise<PostgresServer> {
  return startPostgres(major, {
    ...options,
    settings: { ...SETTINGS, ...options.settings },
    prepare: (data) => copyOf(primary, major, data),
  })
}

/** A base backup by copying files: the packages that bring the servers have no pg_basebackup. */
async function copyOf(primary: PostgresServer, major: PostgresMajor, data: string): Promise<void> {
  const client = new Client({ connectionString: primary.url })
  await client.connect()
  try {
    await client.query(major < 15 ? `SELECT pg_start_backup('standby', true, false)` : `SELECT pg_backup_start('standby', true)`)
    await mkdir(data, { mode: 0o700 })
    for (const name of await readdir(primary.data)) {
      if (EMPTY.has(name)) await mkdir(join(data, name), { mode: 0o700 })
      else if (!name.startsWith('postmaster.')) await cp(join(primary.data, name), join(data, name), { recursive: true })
    }
    await mkdir(join(data, 'pg_wal/archive_status'))
    const stopped = await client.query<{ labelfile: string }>(
      major < 15 ? 'SELECT labelfile FROM pg_stop_backup(false, false)' : 'SELECT labelfile FROM pg_backup_stop(false)',
    )
    await writeFile(join(data, 'backup_label'), stopped.rows[0]!.labelfile)
    await follow(data, primary.url)
  } finally {
    await client.end()
  }
}

/** At its next start the server with this data is the standby of that one. */
async function follow(data: string, url: string): Promise<void> {
  const { port } = new URL(url)
  await appendFile(join(data, 'postgresql.auto.conf'), `primary_conninfo = 'host=127.0.0.1 port=${port} user=postgres'\n`)
  const signal = join(data, 'standby.signal')
  await writeFile(signal, '')
  // The server runs as another user where these tests run as root.
  const { uid, gid } = await stat(data)
  await chown(signal, uid, gid)
  await chmod(signal, 0o600)
}

/** Without a standby of its own it waits for none. */
async function promote(url: string): Promise<void> {
  await asked(url, 'ALTER SYSTEM RESET synchronous_standby_names')
  await asked(url, 'SELECT pg_reload_conf()')
  await asked(url, 'SELECT pg_promote()')
}

/** Connected anew each time, since servers go away in between. */
export async function asked<Row>(url: string, text: string, values: readonly (string | number | null)[] = []): Promise<Row[]> {
  const client = new Client({ connectionString: url })
  // A server that is killed may end the connection at any time.
  client.on('error', () => {})
  client.setTypeParser(types.builtins.INT8, Number)
  await client.connect()
  try {
    return (await client.query(text, [...values])).rows as Row[]
  } finally {
    await client.end()
  }
}

/** One URL that names both. One of the two may have a certificate: it is not what is tested with it. */
export function bothHosts({ primaryUrl, standbyUrl }: Pick<ReplicatedPair, 'primaryUrl' | 'standbyUrl'>): string {
  const [first, second] = [new URL(primaryUrl), new URL(standbyUrl)]
  return `postgres://postgres@${first.host},${second.host}${first.pathname}?sslmode=disable`
}
