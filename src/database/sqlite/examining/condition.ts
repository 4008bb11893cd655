import { lstat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Stats } from 'node:fs'
import { codeOf } from '../../../errors.ts'
import { sizeText } from '../../../number-text.ts'
import type { Ailment, Condition, Limits } from '../../examining.ts'
import type { Connection } from '../connection/connection.ts'
import type { SqliteSession } from '../connection/session.ts'

/** Files that SQLite keeps beside a database. */
const BESIDE = ['-wal', '-shm', '-journal'] as const

export async function condition(session: SqliteSession, { largeLogBytes }: Limits): Promise<Condition> {
  const { file } = session.connection
  const mode = await session.read(journalMode)
  const stats = new Map<string, Stats>()
  const unseen: string[] = []
  for (const path of [file, ...BESIDE.map((end) => file + end)]) {
    try {
      stats.set(path, await lstat(path))
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') unseen.push(`${path} (${codeOf(error)})`)
    }
  }
  return {
    oldTransactions: [],
    preparedTransactions: [],
    replicationSlots: [],
    settings: [],
    journal: mode === 'wal' ? [] : [withoutLog(file, mode)],
    log: largeLog(`${file}-wal`, stats.get(`${file}-wal`), largeLogBytes),
    files: accessOf(file, stats),
    folder: dirname(file),
    unseen,
  }
}

export function journalMode(connection: Connection): string {
  return connection.run<{ journal_mode: string }>('PRAGMA main.journal_mode').rows[0]?.journal_mode ?? 'unknown'
}

function withoutLog(file: string, mode: string): Ailment {
  return {
    grave: false,
    sentence: `${file} has no write-ahead log (journal mode ${mode}): those who read and those who write wait for each other, and the gateway for each batch of a purge`,
    action: 'Run while nobody has it open: PRAGMA journal_mode = WAL',
  }
}

function largeLog(path: string, stats: Stats | undefined, most: number): Ailment[] {
  if (stats === undefined || stats.size < most) return []
  return [
    {
      grave: true,
      sentence: `${path} has ${sizeText(stats.size)}: somebody reads an old state of the database for so long that what was written since cannot be moved into it, and every reader becomes slower`,
      action: 'find out who has the database open (lsof), and let that reader end; a purge then makes the log short again',
    },
  ]
}

const WRITABLE_BY_OTHERS = 0o002
const WRITABLE_BY_GROUP = 0o020

/**
 * SQLite gives the files beside a database its mode, so that one that everybody may write to has others, and one that a group shares has them writable for that group. As
 * root it also gives them to the database's owner when it opens them, before anybody could look.
 */
function accessOf(file: string, stats: ReadonlyMap<string, Stats>): Ailment[] {
  const database = stats.get(file)
  if (database === undefined) return []
  const { uid, gid } = database
  const strange = [...stats].filter(
    ([, each]) =>
      each.uid !== uid && (each.mode & WRITABLE_BY_OTHERS) === 0 && !((each.mode & WRITABLE_BY_GROUP) !== 0 && each.gid === gid),
  )
  const open = [...stats].filter(([, { mode }]) => (mode & WRITABLE_BY_OTHERS) !== 0).map(([path]) => path)
  return [
    ...strange.map(([path, each]) => ({
      grave: true,
      sentence: `${path} belongs to uid ${each.uid}, and the database to uid ${uid}, which can write neither to it nor to the database`,
      action: `stop whatever has the database open, and give the file to uid ${uid} (chown)`,
    })),
    ...(open.length === 0
      ? []
      : [
          {
            grave: true,
            sentence: `everybody on this machine may write to ${open.join(', ')}`,
            action: 'let only the owner write (chmod o-w)',
          },
        ]),
  ]
}
