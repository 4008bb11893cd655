import { setTimeout as sleep } from 'node:timers/promises'
import BetterSqlite3 from 'better-sqlite3'
import { SECOND } from '../../../src/time/clock.ts'
import { events } from '../../support/command.ts'
import { ENGINES } from '../../support/engines.ts'
import { endDaemon, startDaemon, worksAfter } from '../daemon.ts'
import { fileOf, isSqlite } from '../dialect.ts'
import { onEach, type Fault, type Round } from '../fault.ts'
import { SUBJECTS } from '../subjects.ts'
import { must } from '../violation.ts'

const HELD_MS = 10 * SECOND
const ROWS = { go: 8_000, stay: 400 }

/** Another process holds SQLite's write lock for 10 s: before a run, in the middle of one, and under a lasting worker. */
export const writeLock: Fault = {
  name: 'write-lock',
  rounds: () => onEach(ENGINES.filter(isSqlite), CASES.length),
  run: (round) => CASES[round.number - 1]!(round),
}

const CASES: readonly ((round: Round) => Promise<void>)[] = [before, inTheMiddle, underAWorker]

async function before(round: Round): Promise<void> {
  const arena = await round.arena()
  await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
  const held = hold(round, fileOf(arena.database))
  const ended = await arena.run(['--run-now'])
  await held
  must(ended.code === 0, `a lock of 10 s before the run, and it exits ${ended.code}`)
  await arena.settle()
}

async function inTheMiddle(round: Round): Promise<void> {
  const arena = await round.arena()
  await arena.database.sql('PRAGMA journal_mode = wal')
  await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
  const measured = events(await arena.run(['--run-now']), 'job.finished')
  const durationMs = measured.reduce((sum, line) => sum + Number(line['durationMs']), 0)
  await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
  const running = arena.start(['--run-now'])
  await running.line((line) => line['event'] === 'migrations.current')
  await sleep(round.random.fraction() * durationMs * 0.7)
  await hold(round, fileOf(arena.database))
  must((await running.ended).code === 0, `a lock of 10 s in the middle, and it exits ${(await running.ended).code}`)
  await arena.settle()
}

async function underAWorker(round: Round): Promise<void> {
  const arena = await round.arena()
  const worker = await startDaemon(arena)
  await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
  await sleep(round.random.fraction() * SECOND)
  await hold(round, fileOf(arena.database))
  await worksAfter(
    worker,
    Date.now(),
    SUBJECTS.map(({ job }) => job.name),
  )
  await endDaemon(worker, 1)
  await arena.settle()
}

/** This process is another than the worker's, and its connection another than any. */
async function hold(round: Round, file: string): Promise<void> {
  const holder = new BetterSqlite3(file, { timeout: 0 })
  try {
    while (!began(holder)) await sleep(1)
    round.injected()
    await sleep(HELD_MS)
    holder.exec('COMMIT')
  } finally {
    holder.close()
  }
}

/** Asked again and again rather than waited for, which would stop this process and every other round with it. */
function began(holder: BetterSqlite3.Database): boolean {
  try {
    holder.exec('BEGIN IMMEDIATE')
    return true
  } catch {
    return false
  }
}
