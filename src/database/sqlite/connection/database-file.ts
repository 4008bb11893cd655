import { constants, type Stats } from 'node:fs'
import { access, lstat, open, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { codeOf, messageOf } from '../../../errors.ts'
import { DatabaseError, type ErrorKind } from '../../database-error.ts'
import type { Label, OpenOptions } from '../../database.ts'
import { BESIDE_A_DATABASE, neighboursOf } from './neighbours.ts'
import { refuseForeignUser } from './ownership.ts'

export interface PreparedFile {
  /** Whether it is there. */
  readonly present: boolean
  /** With no link in it, so that what lies beside it is found where SQLite puts it. */
  readonly path: string
}

type Preparing = Pick<OpenOptions, 'access' | 'user' | 'listener'>

/**
 * Looks at the file before SQLite does, whose own answers are few: refuses what cannot be a database, is another user's or cannot be written,
 * and makes it where it is missing and may be made.
 */
export async function prepareFile(file: string, options: Preparing): Promise<PreparedFile> {
  mustBeName(file)
  const path = await withoutLinks(file)
  const found = await look(path)
  if (found === undefined && options.access !== 'write') return await absent(file, path, options)
  const stats = found ?? (await make(path, options))
  if (stats.isDirectory()) throw refusal('invalid', file, 'is a folder, not a database; DATABASE_URL has to name the file')
  if (!stats.isFile()) throw refusal('invalid', file, 'is not a file that can hold a database')
  refuseForeignUser(path, stats.uid, options.user.uid)
  if (options.access !== 'read') await mustBeWritable(path)
  return { present: true, path }
}

function mustBeName(file: string): void {
  if (BESIDE_A_DATABASE.test(file))
    throw refusal('invalid', file, 'has the name of what SQLite keeps beside a database; DATABASE_URL has to name the database itself')
  // The driver would leave them out, and open another file than the one that was looked at.
  if (file !== file.trim()) throw refusal('invalid', file, 'begins or ends with a blank; rename the file, or correct DATABASE_URL')
}

/** As it was given, where no link is in it. A file that is not there yet is one of its folder. */
async function withoutLinks(file: string): Promise<string> {
  const given = resolve(file)
  const real = (await resolved(given)) ?? (await missing(given))
  return real === given ? file : real
}

async function missing(given: string): Promise<string> {
  if ((await lstat(given).catch(() => undefined))?.isSymbolicLink() === true)
    throw refusal('unreachable', given, 'is a link to a file that does not exist')
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
  const instead = likely === undefined ? '' : `; ${likely}: correct DATABASE_URL`
  if (wanted === 'existing') throw new DatabaseError('unreachable', `${file} does not exist: nothing was made or read${instead}`)
  listener.warning(`${file} does not exist; nothing was made, and it is taken to be empty${instead}`)
  return { present: false, path }
}

export function sqliteLabel(file: string): Label {
  return { engine: 'sqlite', place: file, name: basename(file) }
}

/** For the owner and the group, less what the umask takes. */
const NEW_FILE_MODE = 0o660

async function make(file: string, { user, listener }: Preparing): Promise<Stats> {
  const folder = dirname(resolve(file))
  const place = await look(folder)
  if (place === undefined)
    throw refusal('unreachable', file, `cannot be made: there is no folder ${folder}; make it, or correct DATABASE_URL`)
  const { some, more, likely } = await neighboursOf(resolve(file), user.uid)
  if (likely !== undefined)
    throw new DatabaseError(
      'unreachable',
      `${file} does not exist, and ${likely}: nothing was made; correct DATABASE_URL, or, where a new database is meant, make an empty file: ` +
        `touch ${shellWord(file)}`,
    )
  try {
    const made = await open(file, 'wx', NEW_FILE_MODE)
    // What root makes in somebody's folder is for them.
    if (user.uid === 0) await made.chown(place.uid, place.gid)
    await made.close()
    listener.created(file)
    const others = some.length === 0 ? 'Its folder is empty' : `Beside it lie ${some.join(', ')}${more === 0 ? '' : ` and ${more} more`}`
    listener.warning(
      `${file} did not exist, and a new, empty database was made: where the gateway keeps its own elsewhere, correct DATABASE_URL. ${others}`,
    )
  } catch (error) {
    // Another worker was quicker.
    if (codeOf(error) !== 'EEXIST') throw fileRefusal(file, 'cannot be made', error)
  }
  const stats = await look(file)
  if (stats === undefined) throw refusal('unreachable', file, 'was taken away while it was made')
  return stats
}

/** One word for a shell, and no option. */
function shellWord(path: string): string {
  return `'${path.replace(/^-/, './-').replaceAll("'", String.raw`'\''`)}'`
}

async function mustBeWritable(file: string): Promise<void> {
  for (const path of [file, dirname(resolve(file))]) {
    try {
      await access(path, constants.W_OK)
    } catch (error) {
      const what = path === file ? 'cannot be written' : `lies in a folder that cannot be written, ${path}, where SQLite keeps its journal`
      throw new DatabaseError('read-only', `${file} ${what} (${codeOf(error)}): nothing was opened; ${WRITABLE}`, { cause: error })
    }
  }
}

const WRITABLE = 'give this user the right to write to both, and mount them for writing'

/** `undefined`: there is nothing of this name. */
async function look(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw fileRefusal(path, 'cannot be reached', error)
  }
}

const TROUBLES: Readonly<Record<string, ErrorKind>> = { EACCES: 'forbidden', EPERM: 'forbidden', EROFS: 'read-only' }

function fileRefusal(file: string, what: string, error: unknown): DatabaseError {
  const kind = TROUBLES[codeOf(error) ?? ''] ?? 'unreachable'
  const message = `${file} ${what} (${messageOf(error)}): nothing was opened; correct DATABASE_URL, or let this user reach its folder`
  return new DatabaseError(kind, message, { cause: error })
}

function refusal(kind: ErrorKind, file: string, what: string): DatabaseError {
  return new DatabaseError(kind, `${file} ${what}; nothing was opened`)
}
