import { fork } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { DAY } from '../../src/time/clock.ts'
import { restorable } from '../archive/restorable.ts'
import { archivedRows, freshFolder, idsOf, verified } from '../archive/support.ts'
import { randomOf } from '../faults/random.ts'
import { AUDIT_LOGS, auditLogs, run } from '../runs/support.ts'
import { ENGINES } from '../support/engines.ts'
import { startPostgres, type PostgresMajor, type PostgresServer } from '../support/postgres-server.ts'
import type { Verdict } from './judge.ts'
import type { Progress } from './purging.ts'

const PURGING = fileURLToPath(new URL('purging.ts', import.meta.url))
const ROWS = 150
const KEPT_ROWS = 15
/** So often the archive begins anew, or reading it would take longer and longer. */
const ROUNDS_AN_ARCHIVE = 8
/** What was not flushed at COMMIT is written by nobody else: it is really lost. */
const SETTINGS = { synchronous_commit: 'off', wal_writer_delay: '10s', wal_writer_flush_after: '2GB', wal_buffers: '64MB' }

export interface Crashes {
  readonly crashes: number
  /** In how many of them rows came back whose deletion had been committed. */
  readonly undone: number
  readonly violations: readonly Verdict[]
}

/** Kills a whole server again and again while a purge is working, every other time with the worker; then one more run must put everything right. */
export async function crashServer(major: PostgresMajor, crashes: number, seed: number): Promise<Crashes> {
  const server = await startPostgres(major, { settings: SETTINGS })
  try {
    process.env[`TEST_POSTGRES_${major}`] = server.url
    return await crashing(server, major, crashes, seed)
  } finally {
    await server.stop()
  }
}

async function crashing(server: PostgresServer, major: PostgresMajor, wanted: number, seed: number): Promise<Crashes> {
  const engine = ENGINES.find(({ name }) => name === `postgres ${major}`)!
  await using base = await restorable(engine)
  await using folder = await freshFolder()
  const { outside } = base
  const random = randomOf(seed, `postgres ${major}`)
  await auditLogs(outside, engine, KEPT_ROWS, 5)
  const kept = await idsOf(outside)
  let [crashes, undone, transactions] = [0, 0, 0]
  const violations: Verdict[] = []
  for (let round = 0; crashes < wanted; round += 1) {
    if (round % ROUNDS_AN_ARCHIVE === 0) {
      for (const table of ['maintenance_archives', 'maintenance_archived']) await outside.sql(`DELETE FROM ${table}`)
      await rm(folder.path, { recursive: true, force: true })
    }
    const isPlain = round % 4 === 3
    const files = await copies(folder.path)
    await auditLogs(outside, engine, ROWS, 95)
    const ids = (await idsOf(outside)).filter((id) => !kept.includes(id))
    // The rows are there for good, whatever the server loses of the run.
    await outside.sql('CHECKPOINT')
    const words = isPlain ? [outside.url] : [outside.url, folder.path]
    // The first run of each kind tells how many transactions there are.
    const moment = round === 0 ? Infinity : random.whole(3, Math.max(transactions, 10))
    const diesToo = random.fraction() < 0.5
    const ended = await worked(server, words, moment, diesToo)
    transactions = Math.max(transactions, ended.transactions)
    if (ended.crashed) crashes += 1
    const left = (await idsOf(outside)).filter((id) => ids.includes(id))
    if (ended.crashed && left.length > ROWS - ended.deleted) undone += 1
    await outside.sql('UPDATE maintenance_leases SET expires_at = 0')
    for (const { violation, what } of await afterwards({ ids, kept, files, isPlain, left }))
      violations.push({ violation, what: `${what}; round ${round}, at transaction ${moment}${diesToo ? ', with the worker' : ''}` })
  }
  return { crashes, undone, violations }

  async function afterwards(before: {
    readonly ids: readonly number[]
    readonly kept: readonly number[]
    readonly files: ReadonlyMap<number, number>
    readonly isPlain: boolean
    readonly left: readonly number[]
  }): Promise<readonly Verdict[]> {
    const verdicts: Verdict[] = []
    await base.with(async (database) => {
      const archive = before.isPlain ? undefined : { directory: folder.path, uid: process.getuid?.(), keptMs: undefined }
      const request = { job: AUDIT_LOGS, retentionMs: 90 * DAY, accepted: new Set(['empty-table', 'no-archive'] as const) }
      const { outcome, error } = await run(database, request, { archive })
      if (outcome !== 'succeeded') verdicts.push({ violation: 'needs a person', what: `one more run: ${outcome}, ${String(error)}` })
      const { problems, pending } = await verified(database, folder.path)
      if (problems.length > 0 || pending > 0)
        verdicts.push({ violation: 'needs a person', what: `archive verify: ${problems.join('; ')}, ${pending} pending` })
    })
    const table = new Set(await idsOf(outside))
    const now = await copies(folder.path)
    const note = (violation: Verdict['violation'], ids: readonly number[]): void => {
      if (ids.length > 0) verdicts.push({ violation, what: `${ids.length} rows, ${ids[0]} first` })
    }
    note(
      'lost',
      before.kept.filter((id) => !table.has(id)),
    )
    note(
      'lost',
      [...before.files.keys()].filter((id) => !now.has(id)),
    )
    if (!before.isPlain)
      note(
        'lost',
        before.ids.filter((id) => !table.has(id) && !now.has(id)),
      )
    note(
      'double',
      [...now].flatMap(([id, times]) => (times > 1 || table.has(id) ? [id] : [])),
    )
    note(
      'not done',
      before.ids.filter((id) => table.has(id)),
    )
    return verdicts
  }
}

interface Ended {
  readonly crashed: boolean
  readonly transactions: number
  readonly deleted: number
}

/** Resolves when the server is there again and the worker has ended. */
async function worked(server: PostgresServer, words: readonly string[], moment: number, diesToo: boolean): Promise<Ended> {
  const child = fork(PURGING, words, { stdio: 'ignore' })
  let [transactions, deleted] = [0, 0]
  let crash: Promise<void> | undefined
  child.on('message', (progress: Progress) => {
    if ('deleted' in progress) deleted = progress.deleted
    if (!('transaction' in progress)) return
    ;({ transaction: transactions } = progress)
    if (transactions < moment || crash !== undefined) return
    crash = server.crash(0, 'SIGKILL')
    if (diesToo) child.kill('SIGKILL')
  })
  await new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await crash
  return { crashed: crash !== undefined, transactions, deleted }
}

/** In how many published files each row is. */
async function copies(directory: string): Promise<ReadonlyMap<number, number>> {
  const found = new Map<number, number>()
  for (const row of await archivedRows(directory).catch(() => [])) {
    const id = Number(row['id'])
    found.set(id, (found.get(id) ?? 0) + 1)
  }
  return found
}
