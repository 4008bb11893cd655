// `npm run test:partition-faults`: kills `partition start`, `partition undo` and a purge that takes partitions out, and apart from them the server behind them,
// after each of their steps and inside them, while rows are written and read; then goes on with them or undoes them. The table must be there whenever somebody
// looks, no row may be lost, doubled or out of sight, ids must rise, what has expired must go, and after `undo` the schema must be the one of before. A tenth of 200
// kills, or all of them with `--full`; `--seed N` repeats the choices; `--only start|undo|drop` takes one command; `--show` tells of each round.
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { randomOf } from '../faults/random.ts'
import { POSTGRES_MAJORS, type PostgresMajor } from '../support/postgres-server.ts'
import { compileInto } from '../support/compiled.ts'
import { arenaOf } from './arena.ts'
import type { Way } from './process.ts'
import { fought, rehearsed, type Rehearsals, type Round } from './round.ts'

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

async function fights(packageRoot: string, major: PostgresMajor, wanted: number): Promise<readonly Round[]> {
  await using arena = await arenaOf(major, packageRoot, ROWS)
  const random = randomOf(seed, `partitions on PostgreSQL ${major}`)
  const rehearsals: Rehearsals = {
    start: await rehearsed(arena, 'start'),
    undo: await rehearsed(arena, 'undo'),
    drop: await rehearsed(arena, 'drop'),
  }
  const rounds: Round[] = []
  for (let killed = 0; killed < wanted;) {
    const way = ways[rounds.length % ways.length]!
    const round = await fought(arena, way, `round_${rounds.length}`, random, rehearsals)
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
const packageRoot = join(tmpdir(), `partition-faults-${process.pid}`)
try {
  await compileInto(packageRoot)
  const each = Math.ceil(kills / POSTGRES_MAJORS.length)
  rounds.push(...(await Promise.all(POSTGRES_MAJORS.map((major) => fights(packageRoot, major, each)))).flat())
} finally {
  await rm(packageRoot, { recursive: true, force: true })
}
const all = rounds.flatMap((round) => round.kills)
const sum = (of: (round: Round) => number): number => rounds.reduce((total, round) => total + of(round), 0)
const violations = sum((round) => round.violations.length)
process.stdout.write(
  `${all.length} kills in ${rounds.length} rounds: ${all.filter((kill) => kill === 'server').length} of the server, ${all.filter((kill) => kill === 'process').length} of the command; ` +
    `${sum((round) => (round.end === 'plain' ? 1 : 0))} ended plain, ${sum((round) => (round.end === 'partitioned' ? 1 : 0))} partitioned; ${sum((round) => round.looks)} looks, ` +
    `longest lock ${Math.round(Math.max(...rounds.map(({ lockedMs }) => lockedMs)))} ms, violations ${violations}\n`,
)
process.exitCode = violations === 0 ? 0 : 1
