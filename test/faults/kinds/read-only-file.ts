import { chmod, chown } from 'node:fs/promises'
import { dirname } from 'node:path'
import { events, type CommandOptions } from '../../support/command.ts'
import { ENGINES } from '../../support/engines.ts'
import { endDaemon, startDaemon, worksAfter } from '../daemon.ts'
import { fileOf, isSqlite } from '../dialect.ts'
import type { Fault } from '../fault.ts'
import { SUBJECTS } from '../subjects.ts'
import { must } from '../violation.ts'

const NOBODY = 65534
const ROWS = { go: 1_000, stay: 100 }
const ALL_JOBS = SUBJECTS.map(({ job }) => job.name)

/** The file is made read-only before a run, and its folder under a lasting worker: nothing is changed, the run says so, and with the right back it works. */
export const readOnlyFile: Fault = {
  name: 'read-only-file',
  rounds: () => ENGINES.filter(isSqlite),
  async run(round) {
    const arena = await round.arena()
    const file = fileOf(arena.database)
    const folder = dirname(file)
    await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
    // Root writes whatever the mode says.
    const user: CommandOptions = process.getuid?.() === 0 ? { uid: NOBODY } : {}
    if (user.uid !== undefined) {
      for (const path of [folder, file]) await chown(path, user.uid, user.uid)
      if ((await arena.run(['--version'], user)).code !== 0) return round.skipped('no other user can read the program here')
    }

    await chmod(file, 0o440)
    round.injected()
    const refused = await arena.run(['--run-now'], user)
    must(refused.code === 3, `on a read-only file the run exits ${refused.code}`)
    must(/cannot be written/.test(refused.stdout), 'the run does not say that the file cannot be written')
    await chmod(file, 0o660)
    await arena.check({ settled: false })

    const worker = await startDaemon(arena, user)
    await worksAfter(worker, 0, ALL_JOBS)
    await chmod(folder, 0o550)
    round.injected()
    await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
    // A run that is in the middle of a transaction may meet it as an error of the disk; the next one can tell.
    await worker.line((line) => line['outcome'] === 'failed' && /DATABASE_(FORBIDDEN|READ_ONLY)/.test(JSON.stringify(line['err'])))
    await chmod(folder, 0o700)
    await worksAfter(worker, Date.now(), ALL_JOBS)
    const ended = await endDaemon(worker, 1 + FAILED_RUNS)
    must(
      events(ended, 'job.finished').every((line) => line['outcome'] !== 'failed' || Number(line['deleted']) === 0),
      'a failed run deleted rows',
    )
    await arena.settle()
  },
}

/** While it is read-only the lasting worker may fail once a second. */
const FAILED_RUNS = 5
