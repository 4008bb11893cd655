import { setTimeout as sleep } from 'node:timers/promises'
import { freshFolder } from '../../archive/support.ts'
import { events, type Ended, type Line, type Running } from '../../support/command.ts'
import { ENGINES } from '../../support/engines.ts'
import { asked } from '../../support/standby.ts'
import { ARCHIVED, mustBeArchivedOnce } from '../archived-once.ts'
import type { Arena } from '../arena.ts'
import { endDaemon, startDaemon, worksAfter } from '../daemon.ts'
import { isSqlite } from '../dialect.ts'
import type { Fault, Round } from '../fault.ts'
import { SUBJECTS } from '../subjects.ts'
import { TwoHosts, type Change } from '../two-hosts.ts'
import { must } from '../violation.ts'

const ROUNDS = { full: 10, tenth: 3 }
const CHANGES = { full: 5, tenth: 2 }
const ROWS = { go: 2_000, stay: 200 }
const WITHIN_MS = 1_200
/** A run that began before the change ends soon after it. */
const SOON_MS = 20_000
const MOST_RECONCILES = 40
const ALL_JOBS = SUBJECTS.map(({ job }) => job.name)
const SERVERS = ENGINES.filter((engine) => !isSqlite(engine))

/**
 * Two servers that stream to each other, both in one DATABASE_URL, change places: in order or because the primary is killed, with both read-only or both primary for a
 * while, and with an address that is late. Rows that a primary without the last commits has again are deleted again; no other row goes, and none is missing.
 */
export const failedOver: Fault = {
  name: 'failed-over',
  rounds: (full) => Array.from({ length: full ? ROUNDS.full : ROUNDS.tenth }, (_, at) => SERVERS[at % SERVERS.length]!),
  async run(round) {
    await using hosts = await TwoHosts.start(round.engine, { synchronous: round.random.fraction() < 0.5 })
    const [purging, archiving, migrating] = [underPurge, underArchive, underMigration]
    await [purging, archiving, migrating][(round.number - 1) % 3]!(round, hosts, round.full ? CHANGES.full : CHANGES.tenth)
  },
}

async function underPurge(round: Round, hosts: TwoHosts, changes: number): Promise<void> {
  const arena = await round.arena({ database: hosts.database() })
  const worker = await startDaemon(arena)
  const spans: Span[] = []
  for (let number = 1; number <= changes; number += 1) {
    spans.push(await changed(round, arena, hosts))
    await worksAfter(worker, spans.at(-1)!.toMs, ALL_JOBS)
  }
  mustFailOnlyWithin(await endDaemon(worker, LOSSES * changes), spans)
  await arena.settle()
}

async function underArchive(round: Round, hosts: TwoHosts, changes: number): Promise<void> {
  await using folder = await freshFolder()
  const env = { ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: folder.path }
  const arena = await round.arena({ database: hosts.database() })
  const worker = await startDaemon(arena, { env })
  const others = ALL_JOBS.filter((job) => job !== ARCHIVED.job.name)
  let reconciled = 0
  for (let number = 1; number <= changes; number += 1) {
    const { change, toMs } = await changed(round, arena, hosts)
    await worksAfter(worker, toMs, others)
    const ended = await endedAfter(worker, toMs)
    if (isAhead(ended)) {
      must(change.mayLose, `the archive is ahead of a database that has ${change.kind} and lost nothing: ${String(ended['msg'])}`)
      await reconcile(arena, env)
      reconciled += 1
    }
    await worksAfter(worker, Date.now(), ALL_JOBS)
  }
  worker.kill('SIGTERM')
  const { code, lines } = await worker.ended
  must(code === 0, `the worker was told to stop and ended with exit ${code}`)
  const failed = lines.filter((line) => line['outcome'] === 'failed' && !isAhead(line))
  must(failed.length <= changes, `${failed.length} runs failed, the first: ${String(failed[0]?.['msg'])}`)
  must(reconciled > 0 || !lines.some(isAhead), 'runs failed because the archive was ahead, and nobody has reconciled it')
  await arena.settle({ env })
  await mustBeArchivedOnce(arena, folder.path, env)
}

async function underMigration(round: Round, hosts: TwoHosts, changes: number): Promise<void> {
  for (let number = 1; number <= changes; number += 1) {
    const name = `migrated_${number}`
    await asked(hosts.pair.primaryUrl, `CREATE DATABASE ${name}`)
    await hosts.pair.caughtUp()
    const arena = await round.arena({ database: hosts.database(name), empty: true })
    const migrating = arena.start(['migrate'])
    if (round.random.fraction() < 0.8) await migrating.line((line) => line['event'] === 'migration.applied')
    await sleep(round.random.whole(0, WITHIN_MS / 2))
    const { mayLose } = await hosts.change(round.random)
    round.injected()
    arena.commitsLost = mayLose
    const { code, stdout } = await migrating.ended
    must(code === 0, `a migration that was cut off by a failover exits ${code}: ${stdout.trimEnd().split('\n').at(-1)}`)
    const again = await arena.run(['migrate'])
    must(again.code === 0, `migrate after a failover exits ${again.code}`)
    await arena.truth.watch()
    await arena.truth.write(SUBJECTS, 20, 20)
    await arena.settle()
  }
}

/** A loss when it goes, when it comes back as a standby, and of connections that were being made. */
const LOSSES = 5

interface Span {
  readonly change: Change
  readonly fromMs: number
  readonly toMs: number
}

/** What was written before is on both servers: only what the program does may be undone. */
async function changed(round: Round, arena: Arena, hosts: TwoHosts): Promise<Span> {
  await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
  await hosts.pair.caughtUp()
  await sleep(round.random.fraction() * WITHIN_MS)
  const fromMs = Date.now()
  const change = await hosts.change(round.random)
  round.injected()
  return { change, fromMs, toMs: Date.now() }
}

function mustFailOnlyWithin(ended: Ended, spans: readonly Span[]): void {
  for (const line of events(ended, 'job.finished').filter(({ outcome }) => outcome === 'failed')) {
    const atMs = Date.parse(String(line['time']))
    const during = spans.some(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs + SOON_MS)
    must(during, `a run failed when nothing was changed: ${String(line['msg'])}`)
  }
}

function isAhead(line: Line): boolean {
  return /are of runs that this database knows nothing of/.test(String(line['msg']))
}

/** The first run of the archived job that has ended after this moment, and was not cut off itself. */
function endedAfter(worker: Running, momentMs: number): Promise<Line> {
  return worker.line(
    (line) =>
      line['job'] === ARCHIVED.job.name &&
      Date.parse(String(line['time'])) > momentMs &&
      (line['outcome'] === 'succeeded' || isAhead(line)),
  )
}

/** As an operator does who was paged. The worker may be at it each second. */
async function reconcile(arena: Arena, env: Readonly<Record<string, string>>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const { code, stderr } = await arena.run(['archive', 'reconcile'], { env })
    if (code === 0) return
    must(tries < MOST_RECONCILES && /is working on it/.test(stderr), `archive reconcile exits ${code}: ${stderr}`)
  }
}
