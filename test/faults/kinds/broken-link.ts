import { setTimeout as sleep } from 'node:timers/promises'
import { ENGINES } from '../../support/engines.ts'
import { endDaemon, startDaemon, worksAfter } from '../daemon.ts'
import { onEach, type Fault, type Round } from '../fault.ts'
import { Proxy, type LinkFault } from '../proxy.ts'
import { SUBJECTS } from '../subjects.ts'
import { isSqlite } from '../dialect.ts'

const FAULTS = { full: 5, tenth: 3 }
/** Longer than the 10 s after which a statement of a transaction counts as unanswered: the worker gives the link up, and the server does not know. */
const STALL_MS = { full: 30_000, tenth: 12_000 }
/** Shorter than that: the worker has to sit it out. */
const SHORT_STALL_MS = 1_500
/** About the time between two runs, so that moments fall into runs, between them and into connecting again. */
const WITHIN_MS = 1_500
const ROWS = { go: 2_000, stay: 100 }
const ALL_JOBS = SUBJECTS.map(({ job }) => job.name)

/** A proxy between the worker and PostgreSQL that cuts, stalls, drops half-way through an answer, or keeps the answer to COMMIT. */
export const brokenLink: Fault = {
  name: 'broken-link',
  rounds: (full) =>
    onEach(
      ENGINES.filter((engine) => !isSqlite(engine)),
      full ? 5 : 1,
    ),
  async run(round) {
    const arena = await round.arena()
    await using proxy = await Proxy.open(arena.database.url)
    const url = proxy.through(arena.database.url)
    const plain = round.random.fraction() < 0.7
    // Where the server offers TLS the worker would take it, and answers could not be told apart.
    if (plain) url.searchParams.set('sslmode', 'disable')
    const worker = await startDaemon(arena, { env: { DATABASE_URL: url.href } })

    const faults = round.full ? FAULTS.full : FAULTS.tenth
    for (let number = 1; number <= faults; number += 1) {
      await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
      await sleep(round.random.fraction() * WITHIN_MS)
      await proxy.inflict(chosen(round, plain, number))
      round.injected()
      // Sometimes the next comes before the worker is well again.
      if (number === faults || round.random.fraction() < 0.7) await worksAfter(worker, Date.now(), ALL_JOBS)
    }
    await endDaemon(worker, faults)
    await arena.settle()
  },
}

/** Each kind comes in a round as it will; one stall that is longer than any patience is in every one. */
function chosen({ random, full }: Round, plain: boolean, number: number): LinkFault {
  if (number === 2) return { kind: 'stall', ms: full ? STALL_MS.full : STALL_MS.tenth }
  switch (
    random.pick(plain ? (['cut', 'half', 'commit-unanswered', 'commit-unanswered', 'stall'] as const) : (['cut', 'half', 'stall'] as const))
  ) {
    case 'cut':
      return { kind: 'cut' }
    case 'half':
      return { kind: 'half', part: random.fraction() }
    case 'commit-unanswered':
      return { kind: 'commit-unanswered' }
    case 'stall':
      return { kind: 'stall', ms: SHORT_STALL_MS }
  }
}
