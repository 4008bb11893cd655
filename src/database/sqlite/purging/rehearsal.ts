import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { messageOf } from '../../../errors.ts'
import { plural } from '../../../number-text.ts'
import { foreignText } from '../../../secrets/foreign-text.ts'
import { SECOND } from '../../../time/clock.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Connection } from '../connection/connection.ts'
import { someOf } from '../connection/neighbours.ts'
import { databaseError } from '../sqlite-errors.ts'
import { layoutOf, type Layout } from './layout.ts'
import { expiredRows, type ExpiredOptions } from './slices.ts'
import { LONGEST_HOLD_MS } from './unindexed-references.ts'

/** How long the child waits for another process's lock. */
const LOCK_MS = 5 * SECOND
/** How long it may take to get so far that it holds the lock. */
const START_MS = 30 * SECOND
/** So many trials in a row must take too long: on a busy machine one may have been kept waiting itself. */
const MOST_TRIALS = 3
/** Between them, for those who wait for the lock. SQLite looks for it every 100 ms. */
const PAUSE_MS = 300

/**
 * Nothing can interrupt a DELETE on this thread, and what a trigger does for a row is known only when it has been done. If deleting from the table runs
 * triggers, the first row is deleted in a process of its own, which is killed if it holds the lock for too long. Either way SQLite takes the row back.
 */
export async function rehearse(options: ExpiredOptions, node: string, stopping: AbortSignal): Promise<void> {
  const { session, column } = options
  const { connection } = session
  const { layout, triggers } = await session.read(() => {
    const found = layoutOf(connection, column)
    return { layout: found, triggers: found === undefined ? [] : triggersOf(connection, found) }
  })
  if (layout === undefined || triggers.length === 0) return
  const slice = await expiredRows(options).next(1, undefined)
  if (slice === undefined) return

  const { file } = connection
  const row = `one row of ${column.table} (${slice.name()})`
  const sql = removalSql(layout, String(slice.firstRow))
  for (let trials = 1; ; trials += 1) {
    const trial = await tried(node, file, sql, stopping)
    // A killed process may have left a journal. Whoever reads next rolls it back; that is done here, so that it is not left to a gateway that only reads.
    if (trial.end === 'killed') await session.read(() => connection.run('SELECT count(*) FROM main.sqlite_schema'))
    if (trial.end === 'done' || stopping.aborted) return
    if (trial.end === 'error') throw databaseError(Object.assign(new Error(trial.message), { code: trial.code }), file)
    if (!trial.held)
      throw new DatabaseError(
        'failed',
        `${file}: deleting ${row} runs ${named(triggers)}. Whether that takes too long is tried in a process of its own, which could not be used: ` +
          `${foreignText(trial.reason)}. Nothing was deleted. Let this user start one more process of Node, or drop the ${plural(triggers.length, 'trigger')}.`,
      )
    if (trials === MOST_TRIALS)
      throw new DatabaseError(
        'failed',
        `${file}: deleting ${row} takes longer than ${LONGEST_HOLD_MS} ms, in which nobody else could write. It was tried and taken back, because it runs ${named(triggers)}. ` +
          'Nothing was deleted. Make what is done for each row quick (an index on what a trigger searches, a WHEN that leaves the row out), drop the trigger, or disable the job.',
      )
    await connection.clock.sleep(PAUSE_MS, stopping)
  }
}

/**
 * The triggers that deleting a row can run: on the table, on those that foreign keys lead to, and on those that triggers write to. SQLite compiles them all into
 * the statement, each with its name.
 */
function triggersOf(connection: Connection, layout: Layout): readonly string[] {
  const names = connection
    .compiled(removalSql(layout, '0'))
    .flatMap(({ opcode, p4 }) => (opcode === 'Init' && p4?.startsWith(NAMED) === true ? [p4.slice(NAMED.length)] : []))
  return [...new Set(names)]
}

const NAMED = '-- TRIGGER '

function removalSql({ table, rowid }: Layout, row: string): string {
  return `DELETE FROM ${table} NOT INDEXED WHERE ${rowid} = ${row}`
}

function named(triggers: readonly string[]): string {
  return `the ${plural(triggers.length, 'trigger')} ${someOf(triggers)}`
}

/** Ends the whole process: its main thread may be in a statement that never ends, and hears nothing, not even that its parent is gone. */
const WATCH = `
const { parentPort, workerData } = require('node:worker_threads')
const { held, parent, holdMs, startMs } = workerData
const begun = performance.now()
let since
setInterval(() => {
  const now = performance.now()
  const phase = Atomics.load(held, 0)
  if (phase === 1) since ??= now
  const late = phase === 1 ? now - since > holdMs : now - begun > startMs
  if (late || process.ppid !== parent) process.kill(process.pid, 'SIGKILL')
}, 5)
parentPort.postMessage('watching')
`

/** Its connection does what the worker's own would do for the row. What refuses a row is reported by the batch that meets it. */
const CHILD = `
const { writeSync } = require('node:fs')
const { Worker } = require('node:worker_threads')
const [driver, file, sql, watch, lockMs, holdMs, startMs] = process.argv.slice(1)
const say = (word) => writeSync(1, JSON.stringify(word) + '\\n')
const held = new Int32Array(new SharedArrayBuffer(4))
const workerData = { held, parent: process.ppid, holdMs: Number(holdMs), startMs: Number(startMs) }
new Worker(watch, { eval: true, workerData }).once('message', () => {
  try {
    const database = new (require(driver))(file, { fileMustExist: true, timeout: Number(lockMs) })
    for (const pragma of ['trusted_schema = OFF', 'cell_size_check = ON', 'foreign_keys = ON', 'secure_delete = ON']) database.pragma(pragma)
    const remove = database.prepare(sql)
    database.exec('BEGIN IMMEDIATE')
    Atomics.store(held, 0, 1)
    say({ held: true })
    try { remove.run() } catch {}
    if (database.inTransaction) database.exec('ROLLBACK')
    Atomics.store(held, 0, 2)
    say({ done: true })
    database.close()
  } catch (error) {
    say({ code: String(error.code), message: String(error.message) })
  }
  process.exit()
})
`

interface Word {
  readonly held?: true
  readonly done?: true
  readonly code?: string
  readonly message?: string
}

type Trial =
  | { readonly end: 'done' }
  /** SQLite's. */
  | { readonly end: 'error'; readonly code: string; readonly message: string }
  /** By its own watch, by the stop signal or by somebody else; or it never began. */
  | { readonly end: 'killed'; readonly held: boolean; readonly reason: string }

async function tried(node: string, file: string, sql: string, stopping: AbortSignal): Promise<Trial> {
  const driver = createRequire(import.meta.url).resolve('better-sqlite3')
  const words: Word[] = []
  const reason = await new Promise<string>((resolve) => {
    const child = spawn(node, ['--eval', CHILD, driver, file, sql, WATCH, String(LOCK_MS), String(LONGEST_HOLD_MS), String(START_MS)], {
      // What a trigger sorts beyond memory lies beside the database.
      env: { SQLITE_TMPDIR: dirname(file) },
      stdio: ['ignore', 'pipe', 'ignore'],
      signal: stopping,
      killSignal: 'SIGKILL',
    })
    let rest = ''
    let second: NodeJS.Timeout | undefined
    // Aborting is an error of the child, too. Where none could be made there is no end of it, and perhaps no output.
    child.on('error', (error) => void (child.pid === undefined && resolve(error.message)))
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own child wrote it
      words.push(...lines.map((line) => JSON.parse(line) as Word))
      // Only if its watch has failed.
      if (words.some(({ held }) => held)) second ??= setTimeout(() => child.kill('SIGKILL'), 2 * LONGEST_HOLD_MS)
    })
    child.once('close', (code, signal) => {
      clearTimeout(second)
      resolve(signal === null ? `it ended with code ${code}` : `${signal} ended it`)
    })
  }).catch(messageOf)
  if (words.some(({ done }) => done)) return { end: 'done' }
  const error = words.find(({ code }) => code !== undefined)
  if (error !== undefined) return { end: 'error', code: error.code!, message: error.message! }
  return { end: 'killed', held: words.some(({ held }) => held), reason }
}
