import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { DAY, HOUR, MINUTE, type EpochMs } from '../../src/time/clock.ts'
import { command, events, start, type CommandOptions } from '../support/command.ts'
import { watchLocks } from '../support/lock-watch.ts'
import type { PostgresServer } from '../support/postgres-server.ts'
import { asked } from '../support/standby.ts'
import { INSERT, READS, startReader, startWriter, worstMs } from '../support/traffic.ts'
import { Ledger, type Row, type Terms } from './ledger.ts'
import type { ServerClock } from './server-clock.ts'

export interface Simulated extends Terms {
  /** For so long a gateway is busy after the conversion. Then it writes little, until all of its rows have gone. */
  readonly busyDays: number
  readonly rowsADay: number
  /** From which day on the worker is stopped, and for how long. */
  readonly away: { readonly from: number; readonly days: number }
  readonly aheadDays: number
}

export interface Outcome {
  readonly nights: number
  readonly written: number
  readonly kills: number
  readonly races: number
  readonly daemons: number
  /** Longer than a gateway is promised, each with its moment: on a machine that is busy with something else, a lock waits too. */
  readonly longLocks: readonly string[]
  /** Of one lock, in ms: it was held for at least, and for at most so long. */
  readonly longestLock: { readonly leastMs: number; readonly mostMs: number }
  /** Of a gateway that writes and reads while a worker runs, in ms. */
  readonly worstCallMs: number
  /** The most rows that DEFAULT held, and partitions that there were. */
  readonly mostUnplaced: number
  readonly mostPartitions: number
}

export interface World {
  readonly server: PostgresServer
  readonly clock: ServerClock
  readonly next: () => number
  readonly tell: (text: string) => void
  readonly packageRoot?: string
}

/** What becomes of a night's worker: drawn until none is left, so that each kind occurs within a week of nights. */
const FATES = ['left', 'left', 'left', 'killed', 'killed', 'raced', 'stayed'] as const
type Fate = (typeof FATES)[number]

/** Of ten rows so many are kept by the rule. */
const RULED = 3
const WRITES_PER_SECOND = 50
const READ_EVERY_MS = 50
/** Once it is hardly used, a day. */
const QUIET_ROWS = 30
/** What a gateway is promised. */
export const MOST_LOCKED_MS = 100
/** A killed worker's lease ends by then. */
const PATIENCE_MS = 5 * MINUTE

/**
 * Days of a gateway whose audit_logs are made partitions on the first of them: each day's rows, and at night a worker, which is left to itself, killed, one of
 * two, or the one that stays. Rejects as soon as a row is gone too early or too late, or an insert is refused.
 */
export async function simulate(
  world: World,
  simulated: Simulated,
  convert: (environment: CommandOptions) => Promise<void>,
): Promise<Outcome> {
  const days = new Days(world, simulated)
  await days.before(convert)
  const { busyDays, away, ruleDays } = simulated
  const last = Math.max(busyDays, away.from + away.days) + ruleDays + 2
  for (let day = 1; day <= last; day += 1) await days.day(day, day <= busyDays, day >= away.from && day < away.from + away.days)
  return await days.end(last)
}

class Days {
  readonly #world: World
  readonly #simulated: Simulated
  readonly #ledger: Ledger
  readonly #first: EpochMs
  #kills = 0
  #races = 0
  #daemons = 0
  #least = 0
  #most = 0
  #worst = 0
  #unplaced = 0
  #partitions = 0
  #usualMs = 1_500
  readonly #fates: Fate[] = []
  readonly #long: string[] = []

  constructor(world: World, simulated: Simulated) {
    this.#world = world
    this.#simulated = simulated
    this.#ledger = new Ledger(simulated)
    this.#first = Math.floor(world.clock.now() / DAY) * DAY
  }

  /** What has been written for as long as the rule keeps it, a run, and the conversion. */
  async before(convert: (environment: CommandOptions) => Promise<void>): Promise<void> {
    const { ruleDays, rowsADay } = this.#simulated
    const migrated = await command(['migrate'], this.#environment())
    assert.equal(migrated.code, 0, migrated.stdout + migrated.stderr)
    for (let day = -ruleDays; day < 0; day += 1) await this.#write(day, rowsADay)
    await this.#night(() => this.#run())
    await convert(this.#environment())
  }

  async day(day: number, busy: boolean, away: boolean): Promise<void> {
    const { clock, next } = this.#world
    const begin = this.#first + day * DAY
    await clock.set(begin - 2 * HOUR)
    await this.#write(day - 1, busy ? this.#simulated.rowsADay : QUIET_ROWS)
    if (away) return
    await clock.set(begin + 2 * HOUR + Math.round(next() * 2 * HOUR))
    await this.#night(() => this.#fate())
    await this.#covered(day)
    if (day % 10 === 0) this.#world.tell(`day ${day}: ${this.#ledger.left} rows, ${this.#partitions} partitions at most`)
  }

  async end(nights: number): Promise<Outcome> {
    const first = await this.#sql<{ name: string }>(
      `SELECT first_partition AS name FROM maintenance_partitioned WHERE converted_at IS NOT NULL`,
    )
    assert.equal(first.length, 1, 'the table counts as converted')
    const strays = await this.#sql<{ name: string }>(
      `SELECT relname AS name FROM pg_class AS c WHERE relkind = 'r' AND relname LIKE 'audit\\_logs\\_%' AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid)`,
    )
    assert.deepEqual(strays, [], 'every table that was taken out was dropped')
    assert.deepEqual(await this.#sql('SELECT relation FROM maintenance_detached'), [])
    assert.deepEqual(await this.#sql(`SELECT FROM pg_class WHERE relname = '${first[0]!.name}'`), [], 'the table of before has gone')
    assert.equal(await this.#default(), 0, 'DEFAULT is empty')
    // Otherwise there was nothing to become empty again.
    assert.ok(this.#unplaced > 0, 'while the worker was away for longer than partitions were made ahead, rows went to DEFAULT')
    return {
      nights,
      written: this.#ledger.written,
      kills: this.#kills,
      races: this.#races,
      daemons: this.#daemons,
      longLocks: this.#long,
      longestLock: { leastMs: this.#least, mostMs: this.#most },
      worstCallMs: this.#worst,
      mostUnplaced: this.#unplaced,
      mostPartitions: this.#partitions,
    }
  }

  /** What a worker does at night, beside the gateway, and what the table has afterwards. */
  async #night(work: () => Promise<void>): Promise<void> {
    const { server, clock } = this.#world
    const watch = await watchLocks(server.url)
    const writer = await startWriter(server.url, INSERT, WRITES_PER_SECOND)
    const reader = await startReader(server.url, READS, READ_EVERY_MS)
    const began = clock.now()
    try {
      await work()
    } finally {
      const written = await writer.end()
      const read = await reader.end()
      assert.deepEqual([...written.errors, ...read.errors], [], 'no call of the gateway failed')
      await this.#know(written.ids)
      for (const span of await watch.end()) {
        if (span.leastMs > MOST_LOCKED_MS)
          this.#long.push(`${new Date(began).toISOString()}: ${span.on.join(', ')} for ${span.leastMs.toFixed(0)} ms`)
        this.#least = Math.max(this.#least, span.leastMs)
        this.#most = Math.max(this.#most, span.mostMs)
      }
      this.#worst = Math.max(this.#worst, worstMs(written.calls), worstMs(read.calls))
    }
    // The run that succeeded began after what came before it, so a row may have expired in between; none is written within minutes of a cutoff but these.
    const ids = await this.#sql<{ id: number }>('SELECT id FROM audit_logs')
    const faults = this.#ledger.faults(
      ids.map(({ id }) => id),
      began,
      clock.now(),
    )
    assert.deepEqual(faults, [], new Date(began).toISOString())
  }

  async #fate(): Promise<void> {
    if (this.#fates.length === 0) this.#fates.push(...FATES)
    const [fate] = this.#fates.splice(Math.floor(this.#world.next() * this.#fates.length), 1)
    if (fate === 'killed') await this.#killed()
    else if (fate === 'raced') await this.#raced()
    else if (fate === 'stayed') await this.#stayed()
    else await this.#run()
  }

  async #run(): Promise<void> {
    const began = performance.now()
    const ended = await command(['--run-now', '--job', JOB], this.#environment())
    assert.equal(ended.code, 0, ended.stdout + ended.stderr)
    assert.deepEqual(outcomes(ended.stdout), ['succeeded'])
    this.#usualMs = performance.now() - began
  }

  /** As by a power cut, at any moment; the next one comes when its lease is over. */
  async #killed(): Promise<void> {
    const { clock, next } = this.#world
    const running = start(['--run-now', '--job', JOB], this.#environment())
    await sleep(next() * this.#usualMs)
    running.kill('SIGKILL')
    await running.ended
    this.#kills += 1
    await clock.set(clock.now() + PATIENCE_MS)
    await this.#run()
  }

  /** One of the two may find the lease taken. */
  async #raced(): Promise<void> {
    const both = await Promise.all([1, 2].map(() => command(['--run-now', '--job', JOB], this.#environment())))
    const found = new Set(both.flatMap(({ stdout }) => outcomes(stdout)))
    assert.ok(found.has('succeeded') && !found.has('failed'), both.map(({ stdout }) => stdout).join('\n'))
    this.#races += 1
  }

  /** The worker as it is usually run: it makes partitions, and makes up for the run that was missed. */
  async #stayed(): Promise<void> {
    const worker = start([], this.#environment())
    const line = await worker.line((each) => each['event'] === 'job.finished' && each['job'] === JOB)
    worker.kill('SIGTERM')
    const ended = await worker.ended
    assert.equal(line['outcome'], 'succeeded', ended.stdout)
    assert.equal(ended.code, 0, ended.stdout + ended.stderr)
    assert.deepEqual(events(ended, 'job.failed'), [])
    this.#daemons += 1
  }

  /** Partitions are there ahead; one that has expired has gone once it has no rows. */
  async #covered(day: number): Promise<void> {
    const { aheadDays, retentionDays } = this.#simulated
    const names = await this.#sql<{ name: string }>(
      `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass`,
    )
    const there = new Set(names.map(({ name }) => name))
    this.#partitions = Math.max(this.#partitions, there.size)
    this.#unplaced = Math.max(this.#unplaced, await this.#default())
    const furthest = partitionOf(this.#first + (day + aheadDays - 1) * DAY)
    assert.ok(there.has(furthest), `${furthest} is not there on day ${day}: ${[...there].join(', ')}`)
    const oldest = partitionOf(this.#first + (day - retentionDays - 1) * DAY)
    for (const name of there) {
      if (!/_p\d{8}$/.test(name) || name > oldest) continue
      const [{ n } = { n: 0 }] = await this.#sql<{ n: number }>(`SELECT count(*) AS n FROM ${name}`)
      assert.ok(n > 0, `${name} has expired and is there without a row`)
    }
  }

  /** A day's rows, from midnight until ten in the evening. */
  async #write(day: number, rows: number): Promise<void> {
    const begin = this.#first + day * DAY
    const written = await this.#sql<Returned>(
      `INSERT INTO audit_logs (tool_name, "user", action, status, parameters, "timestamp")
       SELECT 'tool', 'user@example.org', 'invoke', CASE WHEN n % 10 < ${RULED} THEN 'denied' ELSE 'success' END, '{}',
         $1::timestamp + n * interval '22 hours' / $2::integer
       FROM generate_series(0, $2::integer - 1) AS n ${RETURNING}`,
      [new Date(begin).toISOString().slice(0, 19), rows],
    )
    this.#ledger.add(written.map(rowOf))
  }

  async #know(ids: readonly number[]): Promise<void> {
    const rows = await this.#sql<Returned>(
      `SELECT id, extract(epoch FROM "timestamp") * 1000 AS at, status FROM audit_logs WHERE id = ANY (string_to_array($1, ',')::bigint[])`,
      [ids.join(',')],
    )
    assert.equal(rows.length, ids.length, 'what the gateway has just written is there once')
    this.#ledger.add(rows.map(rowOf))
  }

  async #default(): Promise<number> {
    return (await this.#sql<{ n: number }>('SELECT count(*) AS n FROM audit_logs_default'))[0]!.n
  }

  #sql<Found>(text: string, values: readonly (string | number | null)[] = []): Promise<Found[]> {
    return asked<Found>(this.#world.server.url, text, values)
  }

  #environment(): CommandOptions {
    const { server, clock, packageRoot } = this.#world
    const { retentionDays, ruleDays, aheadDays } = this.#simulated
    return {
      ...(packageRoot === undefined ? {} : { packageRoot }),
      timeoutMs: LONGEST_RUN_MS,
      env: {
        ...clock.env,
        DATABASE_URL: server.url,
        AUDIT_LOGS_RETENTION: `${retentionDays}d`,
        AUDIT_LOGS_RETENTION_RULES: `[{ name: denied, match: { status: [denied] }, retention: ${ruleDays}d }]`,
        PARTITIONS_AHEAD: `${aheadDays}d`,
        HTTP_ENABLED: 'false',
        // Before any moment at which a worker is started here, so that the one that stays has a run to make up for.
        PURGE_AUDIT_LOGS_SCHEDULE: '10 0 * * *',
      },
    }
  }
}

/** Of a night on a busy machine; a worker that hangs fails. */
const LONGEST_RUN_MS = 60_000
const JOB = 'purge-audit-logs'
const RETURNING = `RETURNING id, extract(epoch FROM "timestamp") * 1000 AS at, status`

interface Returned {
  readonly id: number
  readonly at: string
  readonly status: string
}

function rowOf({ id, at, status }: Returned): Row {
  return { id, at: Number(at), ruled: status === 'denied' }
}

function outcomes(stdout: string): unknown[] {
  return stdout.split('\n').flatMap((line) => {
    if (!line.includes('"job.finished"')) return []
    return [(JSON.parse(line) as { outcome: unknown }).outcome]
  })
}

function partitionOf(day: EpochMs): string {
  return `audit_logs_p${new Date(day).toISOString().slice(0, 10).replaceAll('-', '')}`
}
