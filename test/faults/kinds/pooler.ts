import { setTimeout as sleep } from 'node:timers/promises'
import { ENGINES } from '../../support/engines.ts'
import { startPgBouncer, withoutPgBouncer } from '../../support/pgbouncer.ts'
import { isSqlite } from '../dialect.ts'
import { onEach, type Fault } from '../fault.ts'
import { SUBJECTS } from '../subjects.ts'
import { must } from '../violation.ts'

const STARTERS = 12
const KILLS = 3
const ROWS = { go: 4_000, stay: 400 }

/** PgBouncer in transaction mode between: twelve starters of which some are killed while they migrate, and purges that are killed in the middle. */
export const pooler: Fault = {
  name: 'pooler',
  rounds: () =>
    onEach(
      ENGINES.filter((engine) => !isSqlite(engine)),
      1,
    ),
  async run(round) {
    const missing = withoutPgBouncer()
    if (missing !== false) return round.skipped(missing)
    const arena = await round.arena({ empty: true })
    await using bouncer = await startPgBouncer(arena.database.url)
    const env = { DATABASE_URL: bouncer.through(arena.database.url) }

    const starters = Array.from({ length: STARTERS }, () => arena.start(['migrate'], { env }))
    round.injected(STARTERS)
    const victims = starters.slice(0, KILLS)
    // The first one that has applied something shows that they are at it.
    await Promise.any(starters.map((starter) => starter.line((line) => line['event'] === 'migration.applied')))
    for (const victim of victims) {
      await sleep(round.random.whole(0, 60))
      if (await arena.kill(victim)) round.injected()
    }
    for (const starter of starters.slice(KILLS)) {
      const { code } = await starter.ended
      must(code === 0, `one of ${STARTERS} starters through PgBouncer exits ${code}`)
    }
    await arena.truth.watch()
    await arena.checkMigrations()

    for (const subject of SUBJECTS) {
      await arena.truth.write([subject], ROWS.go, ROWS.stay)
      const running = arena.runJob(subject, { env })
      await running.line((line) => line['event'] === 'migrations.current')
      await sleep(round.random.whole(0, 200))
      if (await arena.kill(running)) round.injected()
    }
    await arena.leasesFree()
    const ended = await arena.run(['--run-now'], { env })
    must(ended.code === 0, `through PgBouncer the run after the kills exits ${ended.code}`)
    await arena.settle()
  },
}
