import BetterSqlite3 from 'better-sqlite3'
import { setTimeout as sleep } from 'node:timers/promises'
import { stat } from 'node:fs/promises'
import { ENGINES } from '../../support/engines.ts'
import type { Fault } from '../fault.ts'
import { SUBJECTS, subjectOf } from '../subjects.ts'
import { fileOf, isSqlite } from '../dialect.ts'
import { must } from '../violation.ts'

/** Rows of some kilobytes: their deletion, overwritten as it is, makes a log beyond the 32 MB at which the purge waits for the reader. */
const ROWS = 9_000
const BYTES = 4_500
const HOLD_BYTES = 32 * 2 ** 20
/** How long the run may take to get there: lanes beside it make the machine slow. */
const LONGEST_MS = 100_000

/** A reader keeps SQLite's write-ahead log from being moved into the file: the purge waits rather than let it grow, and goes on when the reader ends. */
export const longReader: Fault = {
  name: 'long-reader',
  rounds: () => ENGINES.filter(isSqlite),
  async run(round) {
    const arena = await round.arena()
    const file = fileOf(arena.database)
    await arena.database.sql('PRAGMA journal_mode = wal')
    await arena.truth.write([subjectOf('audit_logs')], ROWS, 300)
    await arena.database.sql('UPDATE audit_logs SET output = hex(zeroblob($1))', [BYTES / 2])
    await arena.truth.write(SUBJECTS, 500, 100)
    const reader = new BetterSqlite3(file, { readonly: true })
    try {
      reader.exec('BEGIN')
      const count = reader.prepare<[], { n: number }>('SELECT count(*) AS n FROM audit_logs')
      const seen = count.get()!.n
      round.injected()
      const running = arena.start(['--run-now'])
      const bytes = async (): Promise<number> => (await stat(`${file}-wal`)).size
      for (const untilMs = performance.now() + LONGEST_MS; (await bytes()) <= HOLD_BYTES && performance.now() < untilMs;) await sleep(100)
      must(count.get()!.n === seen, 'the reader sees another number of rows than it began with')
      must(
        (await bytes()) > HOLD_BYTES,
        `the log is only ${await bytes()} bytes: it never came to that at which the purge waits for a reader`,
      )
      reader.exec('COMMIT')
      must((await running.ended).code === 0, `beside a reader the run exits ${(await running.ended).code}`)
    } finally {
      reader.close()
    }
    await arena.settle()
  },
}
