import { ENGINES } from '../../support/engines.ts'
import type { Arena } from '../arena.ts'
import { isSqlite } from '../dialect.ts'
import { onEach, type Fault, type Round } from '../fault.ts'
import { OWN_MIGRATIONS } from '../program.ts'
import { Proxy, type LinkFault } from '../proxy.ts'
import { SUBJECTS } from '../subjects.ts'
import { must } from '../violation.ts'

const FAULTS = { full: 8, tenth: 2 }
/** About as many as a worker meets on an empty database, from its first connection on. */
const ANSWERS = 60

/** The link breaks at one of the server's answers to a migrating worker, or one of its COMMITs is never answered; the next worker completes the work. */
export const brokenMigration: Fault = {
  name: 'broken-migration',
  rounds: (full) =>
    onEach(
      ENGINES.filter((engine) => !isSqlite(engine)),
      full ? 2 : 1,
    ),
  async run(round) {
    for (let number = 1; number <= (round.full ? FAULTS.full : FAULTS.tenth); number += 1) {
      const arena = await round.arena({ empty: true })
      await migrateBadly(round, arena, number % 2 === 1)
      const ended = await arena.run(['migrate'])
      must(ended.code === 0, `migrate after a broken link exits ${ended.code}`)
      await arena.truth.watch()
      await arena.truth.write(SUBJECTS, 20, 20)
      await arena.settle()
    }
  },
}

async function migrateBadly(round: Round, arena: Arena, unanswered: boolean): Promise<void> {
  await using proxy = await Proxy.open(arena.database.url)
  const url = proxy.through(arena.database.url)
  url.searchParams.set('sslmode', 'disable')
  const fault: LinkFault = unanswered
    ? { kind: 'commit-unanswered', after: round.random.whole(0, OWN_MIGRATIONS) }
    : { kind: 'half', part: round.random.fraction(), after: round.random.whole(0, ANSWERS) }
  let met = false
  void proxy.inflict(fault).then(() => (met = true))
  const { code } = await arena.run(['migrate'], { env: { DATABASE_URL: url.href } })
  if (met) round.injected()
  // Lost, told and given up (3), or connected again and completed.
  must(code === 0 || (met && code === 3), `on a broken link migrate exits ${code}`)
}
