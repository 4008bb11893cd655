import { foreignText } from '../../../secrets/foreign-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Thorough } from '../../examining.ts'
import { writtenBy } from '../own-process.ts'

/** How long the child waits for another process's lock. */
const LOCK_MS = 10_000
const MOST_PROBLEMS = 20

/** Ends the whole process once it has read for too long, or nobody waits for it any more: its main thread hears nothing while it reads. */
const WATCH = `
const { workerData: { parent, mostMs } } = require('node:worker_threads')
const begun = performance.now()
setInterval(() => {
  if (performance.now() - begun >= mostMs || process.ppid !== parent) process.kill(process.pid, 'SIGKILL')
}, 20)
`

/**
 * Reads every page and each row's index entries: seconds for each gigabyte, in which this thread could answer nothing, so that it is a process of its own. It only reads;
 * with a write-ahead log it keeps nobody from writing. Without one nobody can commit until it has ended, so that it ends soon.
 */
const CHILD = `
const { writeSync } = require('node:fs')
const { Worker } = require('node:worker_threads')
const [driver, file, watch, lockMs, mostMs, most] = process.argv.slice(1)
const say = (answer) => writeSync(1, JSON.stringify(answer) + '\\n')
try {
  const database = new (require(driver))(file, { readonly: true, fileMustExist: true, timeout: Number(lockMs) })
  database.pragma('trusted_schema = OFF')
  new Worker(watch, { eval: true, workerData: { parent: process.ppid, mostMs: Number(mostMs) } }).once('online', () => {
    say({ begun: true })
    try {
      say({ found: database.pragma('main.quick_check(' + most + ')').map((row) => Object.values(row)[0]) })
      database.close()
    } catch (error) {
      say({ code: String(error.code), message: String(error.message) })
    }
    process.exit()
  })
} catch (error) {
  say({ code: String(error.code), message: String(error.message) })
}
`

interface Answer {
  readonly begun?: true
  readonly found?: readonly string[]
  readonly code?: string
  readonly message?: string
}

export interface Reading {
  readonly file: string
  /** The Node that runs this program. */
  readonly node: string
  /** How long it may take; `undefined`: as long as it needs. */
  readonly mostMs: number | undefined
  readonly signal: AbortSignal
}

export async function quickCheck({ file, node, mostMs = Infinity, signal }: Reading): Promise<Thorough> {
  const words = [file, WATCH, String(LOCK_MS), String(mostMs), String(MOST_PROBLEMS)]
  const text = await writtenBy({ node, script: CHILD, words, signal })
  const { begun, found, code = '', message = 'the process ended without an answer' } = lastAnswer(text)
  if (found !== undefined)
    return { damage: found.length === 1 && found[0] === 'ok' ? [] : found.map((each) => foreignText(each)), unseen: undefined }
  if (code.startsWith('SQLITE_CORRUPT') || code.startsWith('SQLITE_NOTADB')) return { damage: [foreignText(message)], unseen: undefined }
  if (begun === true && mostMs < Infinity && !signal.aborted) return { damage: [], unseen: `the pages of ${file}: ${WOULD_LOCK}` }
  throw new DatabaseError('failed', `${file}: its pages were not read: ${foreignText(message)}`)
}

const WOULD_LOCK =
  'reading all of them takes long, and without a write-ahead log nobody could write meanwhile, so it was ended. Stop the gateway, and run: PRAGMA quick_check'

function lastAnswer(text: string): Answer {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own child wrote it
    return JSON.parse(text.trim().split('\n').at(-1) ?? '') as Answer
  } catch {
    return {}
  }
}
