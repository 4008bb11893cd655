import { constants, type Stats } from 'node:fs'
import { access, open, stat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { messageOf } from '../../errors.ts'
import { DatabaseError, type Label, type OpenOptions, type Trouble } from '../database.ts'
import { refuseForeignUser } from './ownership.ts'

/**
 * Looks at the file before SQLite does, whose own answers are few: refuses what cannot be a database, is another user's or cannot be written,
 * and makes it where it is missing and may be made. `absent`: it is missing and only to be read.
 */
export async function prepareFile(file: string, options: Pick<OpenOptions, 'access' | 'user' | 'listener'>): Promise<'ready' | 'absent'> {
  const found = await look(file)
  if (found === undefined && options.access === 'read') return 'absent'
  const stats = found ?? (await make(file, options))
  if (stats.isDirectory()) throw refusal('invalid', file, 'is a folder, not a database; DATABASE_URL has to name the file')
  if (!stats.isFile()) throw refusal('invalid', file, 'is not a file that can hold a database')
  refuseForeignUser(file, stats.uid, options.user.uid)
  if (options.access === 'write') await mustBeWritable(file)
  return 'ready'
}

export function sqliteLabel(file: string): Label {
  return { engine: 'sqlite', place: file, name: basename(file) }
}

/** For the owner and the group, less what the umask takes. */
const NEW_FILE_MODE = 0o660

async function make(file: string, { user, listener }: Pick<OpenOptions, 'user' | 'listener'>): Promise<Stats> {
  const folder = dirname(resolve(file))
  const place = await look(folder)
  if (place === undefined)
    throw refusal('unreachable', file, `cannot be made: there is no folder ${folder}; make it, or correct DATABASE_URL`)
  try {
    const made = await open(file, 'wx', NEW_FILE_MODE)
    // What root makes in somebody's folder is for them.
    if (user.uid === 0) await made.chown(place.uid, place.gid)
    await made.close()
    listener.created(file)
  } catch (error) {
    // Another worker was quicker.
    if (codeOf(error) !== 'EEXIST') throw fileRefusal(file, 'cannot be made', error)
  }
  const stats = await look(file)
  if (stats === undefined) throw refusal('unreachable', file, 'is a link to a file that does not exist')
  return stats
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

const TROUBLES: Readonly<Record<string, Trouble>> = { EACCES: 'forbidden', EPERM: 'forbidden', EROFS: 'read-only' }

function fileRefusal(file: string, what: string, error: unknown): DatabaseError {
  const trouble = TROUBLES[codeOf(error) ?? ''] ?? 'unreachable'
  const message = `${file} ${what} (${messageOf(error)}): nothing was opened; correct DATABASE_URL, or let this user reach its folder`
  return new DatabaseError(trouble, message, { cause: error })
}

function refusal(trouble: Trouble, file: string, what: string): DatabaseError {
  return new DatabaseError(trouble, `${file} ${what}; nothing was opened`)
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
