import { setTimeout as sleep } from 'node:timers/promises'
import { TERM_MS } from '../../../src/runs/lease.ts'
import { SECOND } from '../../../src/time/clock.ts'
import { events } from '../../support/command.ts'
import { ENGINES } from '../../support/engines.ts'
import type { Arena } from '../arena.ts'
import { isSqlite } from '../dialect.ts'
import type { Fault } from '../fault.ts'
import { SUBJECTS } from '../subjects.ts'
import { must } from '../violation.ts'

const ROWS = { go: 20_000, stay: 500 }
/** Written while the first worker sleeps: by its old lease they are in its way. */
const LATER_ROWS = 300
const ROUNDS = { full: 10, tenth: 3 }
const BEYOND_MS = SECOND
/** One that was stopped within a transaction still holds SQLite's lock, and everybody else waits and is told so. */
const TAKEOVER_MS = { sqlite: 8 * SECOND, postgres: 60 * SECOND }

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
    const second = arena.runJob(subject)
    const engine = isSqlite(arena.engine) ? 'sqlite' : 'postgres'
    const taken = await Promise.race([second.ended, sleep(TAKEOVER_MS[engine], undefined, { ref: false })])
    const tookOver = taken !== undefined && events(taken, 'job.finished')[0]?.['outcome'] === 'succeeded'
    must(tookOver || isSqlite(arena.engine), 'the lease of a suspended worker was not free for another')

    if (tookOver) await arena.truth.write([subject], LATER_ROWS, 0)
    const before = tookOver ? await deletedBy(arena, first.pid) : undefined
    first.kill('SIGCONT')
    const [resumed] = await Promise.all([first.ended, second.ended])
    must(resumed.code === 0 || resumed.code === 1, `resumed, the worker exits ${resumed.code}`)
    const after = await deletedBy(arena, first.pid)
    if (before !== undefined)
      must(after === before, `resumed, the worker deleted ${(after ?? 0) - before} rows on a lease that another had taken`)
    if (tookOver && resumed.code === 1)
      must(/has lost the lease/.test(resumed.stdout), 'resumed, the worker does not say that it has lost the lease')
    await arena.settle()
  },
}

/** `undefined`: it was stopped before it began a run. */
async function deletedBy({ database }: Arena, pid: number): Promise<number | undefined> {
  const [run] = await database.sql<{ n: number }>('SELECT rows_deleted AS n FROM maintenance_runs WHERE worker LIKE $1', [`%:${pid}`])
  return run?.n
}
