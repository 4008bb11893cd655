import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SECOND } from '../../time/clock.ts'
import { foreignText } from '../../secrets/foreign-text.ts'
import { DatabaseError } from '../database-error.ts'
import type { Compaction } from '../space-keeping.ts'
import type { Connection } from './connection/connection.ts'
import type { SqliteSession } from './connection/session.ts'
import { isReplicated } from './connection/write-ahead-log.ts'
import { writtenBy } from './own-process.ts'
import { INCREMENTAL, pageCounts } from './space.ts'

/** Of a modest disk: only for what is said beforehand, and for whether the time of day that was given suffices. */
const BYTES_A_MS = 25_000
/** What the database's other files and the file system itself take. */
const MARGIN_BYTES = 4 * 2 ** 20
/** How long the child waits for another process's lock. */
const LOCK_MS = 10 * SECOND

/**
 * VACUUM writes the rows in use to a temporary file, and from there back: through the write-ahead log or, without one, after it has copied the pages that it
 * overwrites into the journal. `close` gives this process's own connection back before that.
 */
export async function compactionOf(session: SqliteSession, close: () => Promise<void>): Promise<Compaction> {
  const { file, bytes, freeBytes, writeAhead, replicated } = await session.read(figuresOf)
  const usedBytes = bytes - freeBytes
  const folder = dirname(file)
  const { bavail, bsize } = await statfs(folder)
  return {
    bytes,
    freeBytes,
    neededBytes: usedBytes + (writeAhead ? usedBytes : bytes) + MARGIN_BYTES,
    availableBytes: bavail * bsize,
    folder,
    expectedMs: Math.ceil(usedBytes / BYTES_A_MS) + SECOND,
    replicated,
    async run({ alone, node, signal }) {
      await close()
      return await vacuum(node, file, alone, signal)
    },
  }
}

function figuresOf(connection: Connection) {
  const { pages, free, pageBytes } = pageCounts(connection)
  const [mode] = connection.run<{ journal_mode: string }>('PRAGMA main.journal_mode').rows
  return {
    file: connection.file,
    bytes: pages * pageBytes,
    freeBytes: free * pageBytes,
    writeAhead: mode?.journal_mode === 'wal',
    replicated: isReplicated(connection),
  }
}

/**
 * Runs in a process of its own, because nothing can interrupt a statement on this thread: killing the process makes SQLite roll back. In exclusive mode a file
 * that another process has open with a write-ahead log cannot be opened at all.
 */
const CHILD = `
const [driver, file, alone, lockMs, incremental] = process.argv.slice(1)
const say = (answer) => process.stdout.write(JSON.stringify(answer))
try {
  const database = new (require(driver))(file, { fileMustExist: true, timeout: Number(lockMs) })
  if (alone === 'true') database.pragma('locking_mode = EXCLUSIVE')
  database.pragma('trusted_schema = OFF')
  database.pragma('secure_delete = ON')
  database.pragma('temp_store = FILE')
  database.exec('BEGIN IMMEDIATE; ROLLBACK')
  database.pragma('auto_vacuum = ' + incremental)
  database.exec('VACUUM')
  database.pragma('wal_checkpoint(TRUNCATE)')
  say({ bytes: database.pragma('page_count', { simple: true }) * database.pragma('page_size', { simple: true }) })
  database.close()
} catch (error) {
  say({ code: String(error.code), message: String(error.message) })
}
`

interface Answer {
  readonly bytes?: number
  readonly code?: string
  readonly message?: string
}

async function vacuum(node: string, file: string, alone: boolean, signal: AbortSignal): Promise<number> {
  const words = [file, String(alone), String(LOCK_MS), String(INCREMENTAL)]
  // Its temporary file lies beside the database, where the space was looked for.
  const text = await writtenBy({ node, script: CHILD, words, env: { SQLITE_TMPDIR: dirname(file) }, signal })
  if (signal.aborted)
    throw new DatabaseError('failed', `${file} was not compacted: it was stopped before its end, and the file is as it was before.`)
  const { bytes, code = '', message = 'the process ended without an answer' } = answerOf(text)
  if (bytes !== undefined) return bytes
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED'))
    throw new DatabaseError(
      'busy',
      alone
        ? `${file} was not compacted: another process has it open. Stop the gateway and the worker, or give the time in which they may wait with --within.`
        : `${file} was not compacted: another process held its lock for ${LOCK_MS / SECOND} s. The file is as it was before. Try again in a quieter hour.`,
    )
  throw new DatabaseError('failed', `${file} was not compacted, and is as it was before: ${foreignText(message)}`)
}

function answerOf(text: string): Answer {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own child wrote it
    return JSON.parse(text) as Answer
  } catch {
    return {}
  }
}
