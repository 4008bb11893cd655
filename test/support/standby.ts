import { appendFile, chmod, chown, cp, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { startPostgres, type PostgresMajor, type PostgresServer, type ServerOptions } from './postgres-server.ts'

/** A primary and its standby, which change places. They replicate by streaming, asynchronously. */
export class ReplicatedPair implements AsyncDisposable {
  readonly #major: PostgresMajor
  #primary: PostgresServer
  #standby: PostgresServer

  private constructor(major: PostgresMajor, primary: PostgresServer, standby: PostgresServer) {
    this.#major = major
    this.#primary = primary
    this.#standby = standby
  }

  /** With what each of the two needs of its own, such as its certificate. */
  static async start(major: PostgresMajor, [first, second]: readonly [ServerOptions, ServerOptions] = [{}, {}]): Promise<ReplicatedPair> {
    const primary = await startPostgres(major, { ...first, settings: { ...SETTINGS, ...first.settings } })
    try {
      const settings = { ...SETTINGS, ...second.settings }
      const standby = await startPostgres(major, { ...second, settings, prepare: (data) => copyOf(primary, major, data) })
      return new ReplicatedPair(major, primary, standby)
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
    const [row] = await ask<{ at: string }>(this.primaryUrl, 'SELECT pg_current_wal_lsn()::text AS at')
    for (;;) {
      const [found] = await ask<{ done: boolean | null }>(this.standbyUrl, `SELECT pg_last_wal_replay_lsn() >= '${row!.at}' AS done`)
      if (found?.done === true) return
      await sleep(50)
    }
  }

  /** In order: the primary ends and all it has written is handed on, the standby is promoted, the old primary comes back as its standby. */
  async switchOver(): Promise<void> {
    const [former, next] = [this.#primary, this.#standby]
    await this.caughtUp()
    await former.restart(async () => {
      await promote(next.url)
      await follow(former.data, next.url)
    }, 'for reading')
    this.#primary = next
    this.#standby = former
  }

  /** From here on the standby hears nothing more, and goes stale. */
  async cutReplication(): Promise<void> {
    await ask(this.standbyUrl, `ALTER SYSTEM SET primary_conninfo = ''`)
    await ask(this.standbyUrl, 'SELECT pg_reload_conf()')
    for (;;) {
      const rows = await ask(this.primaryUrl, 'SELECT FROM pg_stat_replication')
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

async function promote(url: string): Promise<void> {
  await ask(url, 'SELECT pg_promote()')
}

async function ask<Row extends object = object>(url: string, sql: string): Promise<Row[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Row>(sql)).rows
  } finally {
    await client.end()
  }
}
