import { codeOf } from '../../errors.ts'
import { foreignText } from '../../secrets/foreign-text.ts'
import { DatabaseError, type ErrorKind } from '../database-error.ts'

/**
 * Converts an error of the driver into a `DatabaseError` that names this file. Codes may be extended (`SQLITE_BUSY_SNAPSHOT`), so they are matched by
 * prefix. An error that is not SQLite's is a bug of ours and is returned unchanged.
 */
export function databaseError(error: unknown, file: string): unknown {
  if (!(error instanceof Error) || error instanceof DatabaseError) return error
  if (error instanceof TypeError && error.message === CLOSED) {
    return new DatabaseError('lost', `${file}: the connection was closed.`, { cause: error })
  }
  const code = codeOf(error)
  if (code?.startsWith('SQLITE_') !== true) return error
  const { kind, advice } = RULES.find(({ starts }) => code.startsWith(starts)) ?? UNKNOWN
  const explained = `${file}: ${foreignText(error.message)}`
  return new DatabaseError(kind, advice === undefined ? explained : `${explained}. ${advice}`, { cause: error })
}

interface Rule {
  readonly starts: string
  readonly kind: ErrorKind
  readonly advice?: string
}

/** This error of better-sqlite3 has no code. */
const CLOSED = 'The database connection is not open'

const UNKNOWN: Rule = { starts: '', kind: 'failed' }

const NO_ROOM = 'The transaction was rolled back. Free space on the disk that holds the database.'
const DAMAGED = 'Nothing was changed. Restore the file from a backup, or correct DATABASE_URL.'
const READ_ONLY = 'Let this user write to the file and to its folder, where SQLite keeps its journal, or mount them for writing.'

/** The first match counts. */
const RULES: readonly Rule[] = [
  { starts: 'SQLITE_BUSY', kind: 'busy', advice: 'Another process holds the lock.' },
  { starts: 'SQLITE_LOCKED', kind: 'busy', advice: 'Another statement holds the lock.' },
  {
    starts: 'SQLITE_READONLY_ROLLBACK',
    kind: 'read-only',
    advice:
      'A crashed process left a journal, which can only be rolled back by opening the file for writing. Let the gateway or the worker open it once.',
  },
  {
    starts: 'SQLITE_READONLY_DBMOVED',
    kind: 'invalid',
    advice: 'The file was moved or replaced while it was open. Start again.',
  },
  { starts: 'SQLITE_READONLY', kind: 'read-only', advice: READ_ONLY },
  {
    starts: 'SQLITE_CANTOPEN',
    kind: 'forbidden',
    advice: 'Let this user read and write the file and its folder, where SQLite keeps its journal.',
  },
  { starts: 'SQLITE_PERM', kind: 'forbidden' },
  { starts: 'SQLITE_AUTH', kind: 'forbidden' },
  { starts: 'SQLITE_NOTADB', kind: 'invalid', advice: DAMAGED },
  { starts: 'SQLITE_CORRUPT', kind: 'invalid', advice: DAMAGED },
  { starts: 'SQLITE_CONSTRAINT', kind: 'row-refused' },
  { starts: 'SQLITE_FULL', kind: 'failed', advice: NO_ROOM },
  // The journal could not be deleted at the end of a transaction: the folder became read-only during it.
  { starts: 'SQLITE_IOERR_DELETE', kind: 'read-only', advice: READ_ONLY },
  { starts: 'SQLITE_IOERR', kind: 'failed', advice: 'The disk that holds the database has failed or is full.' },
]
