import { codeOf } from '../../errors.ts'
import { foreignText } from '../../secrets/foreign-text.ts'
import { DatabaseError, type ErrorKind } from '../database-error.ts'

/**
 * The driver's error as one of ours, told of this file. Codes are extended (`SQLITE_BUSY_SNAPSHOT`), so they are recognised by how they
 * begin. What is not SQLite's is returned as it came: a mistake in this program.
 */
export function databaseError(error: unknown, file: string): unknown {
  if (!(error instanceof Error) || error instanceof DatabaseError) return error
  if (error instanceof TypeError && error.message === CLOSED) {
    return new DatabaseError('lost', `${file}: the connection was closed`, { cause: error })
  }
  const code = codeOf(error)
  if (code?.startsWith('SQLITE_') !== true) return error
  const { kind, advice } = RULES.find(({ starts }) => code.startsWith(starts)) ?? UNKNOWN
  const said = `${file}: ${foreignText(error.message)}`
  return new DatabaseError(kind, advice === undefined ? said : `${said}: ${advice}`, { cause: error })
}

interface Rule {
  readonly starts: string
  readonly kind: ErrorKind
  readonly advice?: string
}

/** better-sqlite3 gives this one no code. */
const CLOSED = 'The database connection is not open'

const UNKNOWN: Rule = { starts: '', kind: 'failed' }

const NO_ROOM = 'nothing of this transaction was kept; make room on the disk that holds the database'
const DAMAGED = 'nothing was changed; restore it from a backup, or name the right file in DATABASE_URL'
const READ_ONLY = 'let this user write to the file and to its folder, where SQLite keeps its journal, or mount them for writing'

/** The first that fits counts. */
const RULES: readonly Rule[] = [
  { starts: 'SQLITE_BUSY', kind: 'busy', advice: 'another process holds its lock' },
  { starts: 'SQLITE_LOCKED', kind: 'busy', advice: 'another statement holds its lock' },
  {
    starts: 'SQLITE_READONLY_ROLLBACK',
    kind: 'read-only',
    advice:
      'a process that crashed left a journal, which only an opening for writing can roll back; let the gateway or the worker open it once',
  },
  {
    starts: 'SQLITE_READONLY_DBMOVED',
    kind: 'invalid',
    advice: 'the file was moved or replaced while it was open; start again',
  },
  { starts: 'SQLITE_READONLY', kind: 'read-only', advice: READ_ONLY },
  {
    starts: 'SQLITE_CANTOPEN',
    kind: 'forbidden',
    advice: 'let this user read and write the file and its folder, where SQLite keeps its journal',
  },
  { starts: 'SQLITE_PERM', kind: 'forbidden' },
  { starts: 'SQLITE_AUTH', kind: 'forbidden' },
  { starts: 'SQLITE_NOTADB', kind: 'invalid', advice: DAMAGED },
  { starts: 'SQLITE_CORRUPT', kind: 'invalid', advice: DAMAGED },
  { starts: 'SQLITE_CONSTRAINT', kind: 'row-refused' },
  { starts: 'SQLITE_FULL', kind: 'failed', advice: NO_ROOM },
  // Its journal could not be taken away at the end of a transaction: the folder was made read-only in the middle of it.
  { starts: 'SQLITE_IOERR_DELETE', kind: 'read-only', advice: READ_ONLY },
  { starts: 'SQLITE_IOERR', kind: 'failed', advice: 'the disk that holds the database failed, or is full' },
]
