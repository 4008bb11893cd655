// `npm run test:partition-faults`: kills `partition start` and `partition undo`, and apart from them the server behind them, after each of their steps and inside
// the long ones, while rows are written and read; then goes on with them or undoes them. The table must be there whenever somebody looks, no row may be lost,
// doubled or invisible, ids must rise, and after `undo` the schema must be the one of before. A tenth of 200 kills, or all of them with `--full`; `--seed N`
// repeats the choices; `--only start|undo` takes one command; `--show` tells of each round.
import { parseArgs } from 'node:util'
import { randomOf } from '../faults/random.ts'
import { POSTGRES_MAJORS, type PostgresMajor } from '../support/postgres-server.ts'
import { arenaOf, type Kind } from './arena.ts'
import { fought, rehearsed, type Rehearsal, type Round } from './round.ts'

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
const KINDS: readonly Kind[] = ['start', 'undo']
const kinds = KINDS.filter((kind) => values.only === undefined || kind === values.only)
/** So many that an index takes a good part of a second. */
const ROWS = 30_000

async function fights(major: PostgresMajor, wanted: number): Promise<readonly Round[]> {
  await using arena = await arenaOf(major, ROWS)
  const random = randomOf(seed, `partitions on PostgreSQL ${major}`)
  const rehearsals = new Map<Kind, Rehearsal>()
  for (const kind of kinds) rehearsals.set(kind, await rehearsed(arena, kind))
  const rounds: Round[] = []
  for (let killed = 0; killed < wanted;) {
    const kind = kinds[rounds.length % kinds.length]!
    const round = await fought(arena, kind, `round_${rounds.length}`, random, rehearsals.get(kind)!)
    rounds.push(round)
    killed += round.kills.length
    if (values.show === true || round.violations.length > 0)
      process.stdout.write(`PostgreSQL ${major}, round ${rounds.length}: ${round.steps.join('; ')}; then ${round.end}\n`)
    for (const violation of round.violations) process.stdout.write(`  ${violation}\n`)
    // Each further round would say the same.
    if (rounds.length > 3 * wanted) throw new Error(`${rounds.length} rounds, and only ${killed} kills`)
  }
  return rounds
}

process.stdout.write(`seed ${seed}, ${kills} kills\n`)
const rounds: Round[] = []
for (const major of POSTGRES_MAJORS) rounds.push(...(await fights(major, Math.ceil(kills / POSTGRES_MAJORS.length))))
const all = rounds.flatMap((round) => round.kills)
const sum = (of: (round: Round) => number): number => rounds.reduce((total, round) => total + of(round), 0)
const violations = sum((round) => round.violations.length)
process.stdout.write(
  `${all.length} kills in ${rounds.length} rounds: ${all.filter((kill) => kill === 'server').length} of the server, ${all.filter((kill) => kill === 'process').length} of the command; ` +
    `${sum((round) => (round.end === 'plain' ? 1 : 0))} ended plain, ${sum((round) => (round.end === 'partitioned' ? 1 : 0))} partitioned; ${sum((round) => round.looks)} looks, ` +
    `longest lock ${Math.round(Math.max(...rounds.map(({ lockedMs }) => lockedMs)))} ms, violations ${violations}\n`,
)
process.exitCode = violations === 0 ? 0 : 1
