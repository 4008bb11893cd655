import { constants, type Stats } from 'node:fs'
import { access, lstat, open, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { codeOf, messageOf } from '../../../errors.ts'
import { DatabaseError, type ErrorKind } from '../../database-error.ts'
import type { Label, OpenOptions } from '../../database.ts'
import { BESIDE_A_DATABASE, neighboursOf } from './neighbours.ts'
import { refuseForeignUser } from './ownership.ts'

export interface PreparedFile {
  /** Whether the file exists. */
  readonly present: boolean
  /** With symbolic links resolved, because SQLite puts its other files beside the real one. */
  readonly path: string
}

type Preparing = Pick<OpenOptions, 'access' | 'user' | 'listener'>

/**
 * Checks the file before SQLite opens it, because SQLite's errors say little: refuses a file that cannot be a database, belongs to another user or cannot
 * be written. Creates a missing one if that is allowed.
 */
export async function prepareFile(file: string, options: Preparing): Promise<PreparedFile> {
  mustBeName(file)
  const path = await withoutLinks(file)
  const found = await look(path)
  if (found === undefined && options.access !== 'write') return await absent(file, path, options)
  const stats = found ?? (await make(path, options))
  if (stats.isDirectory()) throw refusal('invalid', file, 'is a folder, not a database', 'Name the database file in DATABASE_URL.')
  if (!stats.isFile()) throw refusal('invalid', file, 'is not a regular file', 'Name the database file in DATABASE_URL.')
  refuseForeignUser(path, stats.uid, options.user.uid)
  if (options.access !== 'read') await mustBeWritable(path)
  return { present: true, path }
}

function mustBeName(file: string): void {
  if (BESIDE_A_DATABASE.test(file))
    throw refusal(
      'invalid',
      file,
      'has the name of a file that SQLite keeps beside a database',
      'Name the database itself in DATABASE_URL.',
    )
  // The driver trims the name, so it would open a different file from the one that was checked.
  if (file !== file.trim()) throw refusal('invalid', file, 'begins or ends with a space', 'Rename the file, or correct DATABASE_URL.')
}

/** Resolves symbolic links; a path without any stays as it was given. Of a file that does not exist yet, those of its folder. */
async function withoutLinks(file: string): Promise<string> {
  const given = resolve(file)
  const real = (await resolved(given)) ?? (await missing(given))
  return real === given ? file : real
}

async function missing(given: string): Promise<string> {
  if ((await lstat(given).catch(() => undefined))?.isSymbolicLink() === true)
    throw refusal('unreachable', given, 'is a symbolic link to a file that does not exist', 'Create that file, or correct DATABASE_URL.')
  const folder = await resolved(dirname(given))
  return folder === undefined ? given : join(folder, basename(given))
}

async function resolved(path: string): Promise<string | undefined> {
  try {
    return await realpath(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw fileRefusal(path, 'cannot be reached', error)
  }
}

async function absent(file: string, path: string, { access: wanted, user, listener }: Preparing): Promise<PreparedFile> {
  const { likely } = await neighboursOf(path, user.uid)
  const instead = likely === undefined ? '' : ` ${likely}. Correct DATABASE_URL.`
  if (wanted === 'existing') throw new DatabaseError('unreachable', `${file} does not exist. Nothing was created or read.${instead}`)
  listener.warning(`${file} does not exist and is treated as empty. Nothing was created.${instead}`)
  return { present: false, path }
}

export function sqliteLabel(file: string): Label {
  return { engine: 'sqlite', place: file, name: basename(file) }
}

/** For owner and group, reduced by the umask. */
const NEW_FILE_MODE = 0o660

async function make(file: string, { user, listener }: Preparing): Promise<Stats> {
  const folder = dirname(resolve(file))
  const place = await look(folder)
  if (place === undefined)
    throw refusal('unreachable', file, `cannot be created: there is no folder ${folder}`, 'Create the folder, or correct DATABASE_URL.')
  const { names, likely } = await neighboursOf(resolve(file), user.uid)
  if (likely !== undefined)
    throw new DatabaseError(
      'unreachable',
      `${file} does not exist, and ${likely}. Nothing was created. Correct DATABASE_URL or, if you want a new database, create an empty file: ` +
        `touch ${shellWord(file)}`,
    )
  try {
    const made = await open(file, 'wx', NEW_FILE_MODE)
    // A file that root creates in another user's folder is meant for that user.
    if (user.uid === 0) await made.chown(place.uid, place.gid)
    await made.close()
    listener.created(file)
    const others = names === '' ? 'Its folder is empty' : `Its folder also holds ${names}`
    listener.warning(
      `${file} did not exist, so a new, empty database was created. If the gateway's database is elsewhere, correct DATABASE_URL. ${others}.`,
    )
  } catch (error) {
    // If it exists now, another worker has created it.
    if (codeOf(error) !== 'EEXIST') throw fileRefusal(file, 'cannot be created', error)
  }
  const stats = await look(file)
  if (stats === undefined)
    throw refusal('unreachable', file, 'was removed while it was being created', 'Find out what removes it, then start again.')
  return stats
}

/** Quoted for a shell as one word, and never taken for an option. */
function shellWord(path: string): string {
  return `'${path.replace(/^-/, './-').replaceAll("'", String.raw`'\''`)}'`
}

async function mustBeWritable(file: string): Promise<void> {
  for (const path of [file, dirname(resolve(file))]) {
    try {
      await access(path, constants.W_OK)
    } catch (error) {
      const what = path === file ? 'cannot be written' : `is in a folder that cannot be written, ${path}, where SQLite keeps its journal`
      throw new DatabaseError('read-only', `${file} ${what} (${codeOf(error)}). Nothing was opened. ${WRITABLE}`, { cause: error })
    }
  }
}

const WRITABLE = 'Let this user write to both, and mount them for writing.'

/** `undefined`: nothing has this name. */
async function look(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw fileRefusal(path, 'cannot be reached', error)
  }
}

const KIND_BY_CODE: Readonly<Record<string, ErrorKind>> = { EACCES: 'forbidden', EPERM: 'forbidden', EROFS: 'read-only' }

function fileRefusal(file: string, what: string, error: unknown): DatabaseError {
  const kind = KIND_BY_CODE[codeOf(error) ?? ''] ?? 'unreachable'
  const message = `${file} ${what} (${messageOf(error)}). Nothing was opened. Correct DATABASE_URL, or give this user access to its folder.`
  return new DatabaseError(kind, message, { cause: error })
}

function refusal(kind: ErrorKind, file: string, what: string, advice: string): DatabaseError {
  return new DatabaseError(kind, `${file} ${what}. Nothing was opened. ${advice}`)
}
