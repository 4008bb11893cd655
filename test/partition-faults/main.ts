// `npm run test:partition-faults`: kills `partition start`, `partition undo` and a purge that takes partitions out, and apart from them the server behind them,
// after each of their steps and inside them, while rows are written and read; then goes on with them or undoes them. The table must be there whenever somebody
// looks, no row may be lost, doubled or out of sight, ids must rise, what has expired must go, and after `undo` the schema must be the one of before. A tenth of 200
// kills, or all of them with `--full`; `--seed N` repeats the choices, of moments that depend on how fast the machine is; `--only start|undo|drop` takes one command; `--show` tells of each round.
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { randomOf } from '../faults/random.ts'
import { POSTGRES_MAJORS, type PostgresMajor } from '../support/postgres-server.ts'
import { compileInto } from '../support/compiled.ts'
import { arenaOf } from './arena.ts'
import type { Way } from './process.ts'
import { fought, measuredAnew, rehearsed, type Kill, type Rehearsals, type Round } from './round.ts'

const { values } = parseArgs({
  options: {
    full: { type: 'boolean' },
    seed: { type: 'string' },
    only: { type: 'string' },
    kills: { type: 'string' },
    show: { type: 'boolean' },
  },
})
const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000))
const kills = Number(values.kills ?? (values.full === true ? 200 : 20))
const WAYS: readonly Way[] = ['start', 'undo', 'drop']
const ways = WAYS.filter((way) => values.only === undefined || way === values.only)
/** With more of them an index takes a good part of a second. */
const ROWS = values.full === true ? 40_000 : 12_000

interface Fights {
  readonly rounds: readonly Round[]
  /** Of each command that ended undisturbed. */
  readonly rehearsals: Rehearsals
}

async function fights(packageRoot: string, major: PostgresMajor, wanted: number): Promise<Fights> {
  await using arena = await arenaOf(major, packageRoot, ROWS)
  const random = randomOf(seed, `partitions on PostgreSQL ${major}`)
  let rehearsals: Rehearsals = {
    start: await rehearsed(arena, 'start'),
    undo: await rehearsed(arena, 'undo'),
    drop: await rehearsed(arena, 'drop'),
  }
  const rounds: Round[] = []
  const done: Kill[] = []
  while (done.length < wanted) {
    const way = ways[rounds.length % ways.length]!
    const round = await fought(arena, way, `round_${rounds.length}`, random, rehearsals, done)
    rounds.push(round)
    done.push(...round.kills)
    rehearsals = measuredAnew(rehearsals, round.undisturbed)
    if (values.show === true || round.violations.length > 0)
      process.stdout.write(`PostgreSQL ${major}, round ${rounds.length}: ${round.steps.join('; ')}; then ${round.end}\n`)
    for (const violation of round.violations) process.stdout.write(`  ${violation}\n`)
    // Each further round would say the same.
    if (rounds.length > 3 * wanted) throw new Error(`${rounds.length} rounds, and only ${done.length} kills`)
  }
  return { rounds, rehearsals }
}

/** In how many steps of the commands a kill of this kind has met one, of how many that there are. */
function met(all: readonly Fights[], of: Kill['of']): string {
  const steps = all.flatMap(({ rounds, rehearsals }) =>
    ways.flatMap((way) =>
      rehearsals[way].map(({ step }) =>
        rounds.some((round) => round.kills.some((kill) => kill.of === of && kill.way === way && kill.step === step)),
      ),
    ),
  )
  return `${steps.filter(Boolean).length} of ${steps.length}`
}

process.stdout.write(`seed ${seed}, ${kills} kills\n`)
const all: Fights[] = []
const packageRoot = join(tmpdir(), `partition-faults-${process.pid}`)
try {
  await compileInto(packageRoot)
  const each = Math.ceil(kills / POSTGRES_MAJORS.length)
  all.push(...(await Promise.all(POSTGRES_MAJORS.map((major) => fights(packageRoot, major, each)))))
} finally {
  await rm(packageRoot, { recursive: true, force: true })
}
const rounds = all.flatMap((each) => each.rounds)
const killed = rounds.flatMap((round) => round.kills)
const sum = (of: (round: Round) => number): number => rounds.reduce((total, round) => total + of(round), 0)
const violations = sum((round) => round.violations.length)
process.stdout.write(
  `${killed.length} kills in ${rounds.length} rounds: ${killed.filter(({ of }) => of === 'server').length} of the server, in ${met(all, 'server')} steps, and ${killed.filter(({ of }) => of === 'process').length} of the command, in ${met(all, 'process')}; ` +
    `${sum((round) => (round.end === 'plain' ? 1 : 0))} ended plain, ${sum((round) => (round.end === 'partitioned' ? 1 : 0))} partitioned; ${sum((round) => round.looks)} looks, ` +
    `longest lock ${Math.round(Math.max(...rounds.map(({ lockedMs }) => lockedMs)))} ms, violations ${violations}\n`,
)
process.exitCode = violations === 0 ? 0 : 1
