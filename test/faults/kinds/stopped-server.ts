import { setTimeout as sleep } from 'node:timers/promises'
import { POSTGRES_MAJORS, startPostgres } from '../../support/postgres-server.ts'
import { ENGINES, type TestDatabase } from '../../support/engines.ts'
import { endDaemon, startDaemon, worksAfter } from '../daemon.ts'
import { onEach, type Fault } from '../fault.ts'
import { asked } from '../../support/standby.ts'
import { SUBJECTS } from '../subjects.ts'
import { isSqlite } from '../dialect.ts'

const FAULTS = { full: 5, tenth: 1 }
const WITHIN_MS = 1_500
const DOWN_MS = 2_000
const ROWS = { go: 2_000, stay: 100 }
const ALL_JOBS = SUBJECTS.map(({ job }) => job.name)

/** PostgreSQL is stopped at once, and started again after a while: what was committed is there, what was not is not. */
export const stoppedServer: Fault = {
  name: 'stopped-server',
  rounds: (full) =>
    onEach(
      ENGINES.filter((engine) => !isSqlite(engine)),
      full ? 3 : 1,
    ),
  async run(round) {
    const major = POSTGRES_MAJORS.find((each) => round.engine.name.endsWith(String(each)))!
    const server = await startPostgres(major)
    try {
      const arena = await round.arena({ database: reached(server.url) })
      const worker = await startDaemon(arena)
      const faults = round.full ? FAULTS.full : FAULTS.tenth
      for (let number = 1; number <= faults; number += 1) {
        await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
        await sleep(round.random.fraction() * WITHIN_MS)
        await server.crash(Math.round(round.random.fraction() * DOWN_MS))
        round.injected()
        await worksAfter(worker, Date.now(), ALL_JOBS)
      }
      await endDaemon(worker, faults)
      await arena.settle()
    } finally {
      await server.stop()
    }
  },
}

function reached(url: string): TestDatabase {
  return {
    url,
    sql: <Row>(text: string, values: readonly (string | number | null)[] = []) => asked<Row>(url, text, values),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}
