import { join } from 'node:path'
import { command, start, type Running } from '../support/command.ts'
import type { TestDatabase, TestEngine } from '../support/engines.ts'

const USERS = 8
const ROWS = 8_000

/** A generator of random numbers from 0 up to 1, repeatable by its seed. */
export function random(from: number): () => number {
  let state = from >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A worker that runs the purge every second, and can be killed and started again. */
export class Worker {
  readonly #packageRoot: string
  readonly #env: Readonly<Record<string, string>>
  #running: Running
  /** What those that were killed have logged. */
  #logged = ''

  constructor(packageRoot: string, env: Readonly<Record<string, string>>) {
    this.#packageRoot = packageRoot
    this.#env = env
    this.#running = this.#start()
  }

  /** As by a power cut: nothing is given back. */
  async kill(): Promise<void> {
    await this.stop()
    this.#running = this.#start()
  }

  async stop(): Promise<string> {
    this.#running.kill('SIGKILL')
    const { stdout, stderr } = await this.#running.ended
    this.#logged += stdout + stderr
    return this.#logged
  }

  #start(): Running {
    return start([], { env: this.#env, packageRoot: this.#packageRoot })
  }
}

export interface Arena {
  readonly engine: TestEngine
  readonly outside: TestDatabase
  readonly packageRoot: string
  readonly next: () => number
}

export function envOf(url: string): Readonly<Record<string, string>> {
  return {
    DATABASE_URL: url,
    PURGE_AUDIT_LOGS_SCHEDULE: '* * * * * *',
    PURGE_POLICY_DECISIONS_ENABLED: 'false',
    PURGE_SESSIONS_ENABLED: 'false',
    PURGE_RATE_LIMITS_ENABLED: 'false',
    MIGRATIONS_ENABLED: 'false',
  }
}

export function userAt(number: number): string {
  return `User.${number % USERS}@example.org`
}

/** Rows that have expired, of every user in turn, and enough that stay for no safety stop to come. */
export async function fill({ engine, outside }: Arena): Promise<void> {
  for (const [rows, age] of [
    [ROWS, '-(91 * 86400) - n * 7'],
    [200, '-n'],
  ] as const) {
    const series =
      engine.name === 'sqlite'
        ? `(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${rows}) SELECT n FROM s) AS s`
        : `generate_series(1, ${rows}) AS s (n)`
    const user = `'User.' || (n % ${USERS}) || '@example.org'`
    await outside.sql(
      `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) SELECT 't', ${user}, 'invoke', 'success', ${engine.momentOf(age)} FROM ${series}`,
    )
  }
}

/** The expired rows of a user that are there. */
export async function idsOf({ engine, outside }: Arena, user: string): Promise<readonly number[]> {
  const rows = await outside.sql<{ id: number }>(
    `SELECT id FROM audit_logs WHERE "user" = $1 AND timestamp < ${engine.moment(-90 * 86_400)} ORDER BY id`,
    [user],
  )
  return rows.map(({ id }) => id)
}

/** How many expired rows there are of users whose rows are not held. */
export async function freeRows({ engine, outside }: Arena, held: readonly string[]): Promise<number> {
  const listed = held.map((_, at) => `$${at + 1}`).join(', ')
  const [row] = await outside.sql<{ n: number }>(
    `SELECT count(*) AS n FROM audit_logs WHERE timestamp < ${engine.moment(-90 * 86_400)}${held.length === 0 ? '' : ` AND "user" NOT IN (${listed})`}`,
    held,
  )
  return row!.n
}

/** Whether a worker holds the lease. */
export async function isPurging({ outside }: Arena): Promise<boolean> {
  const [row] = await outside.sql<{ expires_at: number }>(`SELECT expires_at FROM maintenance_leases WHERE job = 'purge-audit-logs'`)
  return (row?.expires_at ?? 0) > 0
}

export async function hold({ outside, packageRoot }: Arena, words: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await command(['hold', ...words], { env: { DATABASE_URL: outside.url }, packageRoot })
  if (code !== 0) throw new Error(`hold ${words.join(' ')} ended with ${code}:\n${stdout}${stderr}`)
}

export function compiledAt(folder: string): string {
  return join(folder, 'compiled')
}
