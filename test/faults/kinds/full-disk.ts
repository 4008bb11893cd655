import { execFile } from 'node:child_process'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ENGINES, sqliteDatabase } from '../../support/engines.ts'
import { events } from '../../support/command.ts'
import { endDaemon, startDaemon, worksAfter } from '../daemon.ts'
import { onEach, type Fault } from '../fault.ts'
import { SUBJECTS } from '../subjects.ts'
import { isSqlite } from '../dialect.ts'
import { must } from '../violation.ts'

const MODES = ['delete', 'wal'] as const
const DISK_BYTES = 16 * 2 ** 20
const MOST_ROOM_BYTES = 128 * 2 ** 10
const ROWS = { go: 6_000, stay: 400 }

/** The disk is full when the log or the journal has to grow: the run fails, says so, keeps nothing of the batch; with room again all is done. */
export const fullDisk: Fault = {
  name: 'full-disk',
  rounds: () => onEach(ENGINES.filter(isSqlite), MODES.length),
  async run(round) {
    const database = await sqliteDatabase()
    const disk = database.folder
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', disk])
    } catch {
      await database[Symbol.asyncDispose]()
      return round.skipped('this user may not mount a small disk')
    }
    try {
      const arena = await round.arena({ database })
      await arena.database.sql(`PRAGMA journal_mode = ${MODES[round.number - 1]!}`)
      const [auditLogs, ...others] = SUBJECTS
      await arena.truth.write([auditLogs!], ROWS.go, ROWS.stay)
      // It has nothing to delete yet: a log that has grown already would be written over, and needs no room.
      const worker = await startDaemon(arena, { env: { PURGE_AUDIT_LOGS_SCHEDULE: '0 0 29 2 *' } })
      const ballast = join(disk, 'ballast')
      await fill(ballast, round.random.whole(0, MOST_ROOM_BYTES))
      round.injected()

      const ended = await arena.run(['--run-now', '--job', 'purge-audit-logs'])
      const [line] = events(ended, 'job.finished')
      must(ended.code === 1 || ended.code === 3, `with a full disk the run exits ${ended.code}`)
      must(/full|room/.test(JSON.stringify(line ?? ended.lines)), `with a full disk the run says ${JSON.stringify(line)}`)
      await rm(ballast)
      await arena.truth.write(others, ROWS.go, ROWS.stay)
      await worksAfter(
        worker,
        Date.now(),
        others.map(({ job }) => job.name),
      )
      await endDaemon(worker, 1 + FAILED_RUNS)
      await arena.settle()
    } finally {
      // Once nothing holds it any more.
      await run('umount', ['--lazy', disk])
    }
  },
}

/** While the disk is full the lasting worker may fail once a second. */
const FAILED_RUNS = 5

/** To the last byte, and back by so much. */
async function fill(ballast: string, roomBytes: number): Promise<void> {
  await using file = await open(ballast, 'w')
  try {
    for (;;) await file.write(Buffer.alloc(PAGE_BYTES))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
  const { size } = await file.stat()
  await file.truncate(Math.max(0, size - roomBytes))
}

const PAGE_BYTES = 4_096
const run = promisify(execFile)
