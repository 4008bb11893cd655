import { setTimeout as sleep } from 'node:timers/promises'
import { TERM_MS } from '../../../src/jobs/lease.ts'
import { SECOND } from '../../../src/time.ts'
import { events } from '../../support/command.ts'
import { ENGINES } from '../../support/engines.ts'
import type { Fault } from '../fault.ts'
import { SUBJECTS } from '../subjects.ts'
import { isSqlite } from '../dialect.ts'
import { must } from '../violation.ts'

const ROWS = { go: 20_000, stay: 500 }
const ROUNDS = { full: 10, tenth: 3 }
const BEYOND_MS = SECOND

/** SIGSTOP past the lease, while another worker takes over; resumed, the first must delete nothing more on its old lease. */
export const suspended: Fault = {
  name: 'suspended',
  rounds: (full) => Array.from({ length: full ? ROUNDS.full : ROUNDS.tenth }, (_, at) => ENGINES[at % ENGINES.length]!),
  async run(round) {
    const arena = await round.arena()
    const subject = round.random.pick(SUBJECTS)
    await arena.truth.write([subject], ROWS.go, ROWS.stay)
    const measured = events(await arena.runJob(subject).ended, 'job.finished')[0]
    await arena.truth.write([subject], ROWS.go, ROWS.stay)

    const first = arena.runJob(subject)
    await first.line((line) => line['event'] === 'migrations.current')
    await sleep(round.random.fraction() * 0.6 * Number(measured?.['durationMs']))
    first.kill('SIGSTOP')
    round.injected()
    await sleep(TERM_MS + BEYOND_MS)
    // One that was stopped within a transaction still holds SQLite's lock, and everybody else is told so.
    const second = arena.runJob(subject)
    const taken = await Promise.race([second.ended, sleep(isSqlite(arena.engine) ? 8 * SECOND : 60 * SECOND)])
    if (!isSqlite(arena.engine)) {
      const line = events(await second.ended, 'job.finished')[0]
      must(line?.['outcome'] === 'succeeded', `the lease of a suspended worker was not free: ${String(line?.['outcome'])}`)
    }
    first.kill('SIGCONT')
    const [resumed, other] = await Promise.all([first.ended, second.ended])
    const outcome = events(resumed, 'job.finished')[0]
    if (taken !== undefined && other.code === 0 && resumed.code !== 0)
      must(/has lost the lease/.test(JSON.stringify(outcome)), `resumed, the worker tells another reason: ${JSON.stringify(outcome)}`)
    must(resumed.code === 0 || resumed.code === 1, `resumed, the worker exits ${resumed.code}`)
    await arena.settle()
  },
}
