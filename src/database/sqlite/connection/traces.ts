import { constants } from 'node:fs'
import { access, lstat, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf } from '../../../errors.ts'

/** Where the header says how the file is read; 2: with a write-ahead log. */
const READ_VERSION_AT = 19
const WITH_LOG = 2

/**
 * Whether a connection that may only read would leave files behind. A database with a write-ahead log has none while nobody has it open. Whoever opens it then makes
 * one, and only a connection that may write removes it at its end.
 */
export async function wouldLeaveLog(file: string): Promise<boolean> {
  const isAlone = await lstat(`${file}-wal`).then(
    () => false,
    (error: unknown) => codeOf(error) === 'ENOENT',
  )
  return isAlone && (await hasLog(file)) && (await isWritable(file)) && (await isWritable(dirname(file)))
}

async function hasLog(file: string): Promise<boolean> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => undefined)
  if (handle === undefined) return false
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(1), 0, 1, READ_VERSION_AT)
    return bytesRead === 1 && buffer[0] === WITH_LOG
  } finally {
    // Before SQLite opens it: closing a descriptor takes the process's locks on that file away.
    await handle.close()
  }
}

async function isWritable(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => true,
    () => false,
  )
}
