import { setTimeout as sleep } from 'node:timers/promises'
import { ENGINES } from '../../support/engines.ts'
import { endDaemon, startDaemon, worksAfter } from '../daemon.ts'
import { onEach, type Fault } from '../fault.ts'
import { SUBJECTS } from '../subjects.ts'
import { isSqlite } from '../dialect.ts'
import { must } from '../violation.ts'

const FAULTS = { full: 5, tenth: 2 }
const WITHIN_MS = 1_500
const ROWS = { go: 2_000, stay: 100 }
const ALL_JOBS = SUBJECTS.map(({ job }) => job.name)
const TERMINATE = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND application_name LIKE 'mcp-gateway-maintenance%'`
const MOST_LOOKS = 1_000

/** An administrator ends the worker's connection at a random moment. */
export const terminatedBackend: Fault = {
  name: 'terminated-backend',
  rounds: (full) =>
    onEach(
      ENGINES.filter((engine) => !isSqlite(engine)),
      full ? 3 : 1,
    ),
  async run(round) {
    const arena = await round.arena()
    const worker = await startDaemon(arena)
    const faults = round.full ? FAULTS.full : FAULTS.tenth
    for (let number = 1; number <= faults; number += 1) {
      await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
      await sleep(round.random.fraction() * WITHIN_MS)
      let terminated = 0
      for (let looks = 0; terminated === 0; looks += 1) {
        must(looks < MOST_LOOKS, 'the worker has no connection that could be ended')
        terminated = (await arena.database.sql(TERMINATE)).length
        if (terminated === 0) await sleep(5)
      }
      round.injected(terminated)
      if (number === faults || round.random.fraction() < 0.7) await worksAfter(worker, Date.now(), ALL_JOBS)
    }
    await endDaemon(worker, faults)
    await arena.settle()
  },
}
