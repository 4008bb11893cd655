import assert from 'node:assert/strict'
import { DAY, HOUR } from '../../src/time/clock.ts'
import { randomOf } from '../faults/random.ts'
import { command, type CommandOptions } from '../support/command.ts'
import { startPostgres, type PostgresMajor } from '../support/postgres-server.ts'
import { serverClock } from './server-clock.ts'
import { simulate, type Outcome, type Simulated } from './simulation.ts'

export interface Asked {
  readonly major: PostgresMajor
  readonly library: string
  readonly seed: number
  readonly tell: (text: string) => void
  readonly packageRoot?: string
}

/** The days on a server of their own, whose clock begins tomorrow at noon. */
export async function daysOn({ major, library, seed, tell, packageRoot }: Asked, simulated: Simulated): Promise<Outcome> {
  await using clock = await serverClock(library, (Math.floor(Date.now() / DAY) + 1) * DAY + 12 * HOUR)
  const server = await startPostgres(major, { env: clock.env })
  try {
    const { fraction } = randomOf(seed, `days on ${major}`)
    const world = { server, clock, next: fraction, tell, ...(packageRoot === undefined ? {} : { packageRoot }) }
    return await simulate(world, simulated, converted)
  } finally {
    await server.stop()
  }
}

async function converted(options: CommandOptions): Promise<void> {
  const { code, stdout, stderr } = await command(['partition', 'start'], options)
  assert.equal(code, 0, stdout + stderr)
}

export function outcomeText({
  nights,
  written,
  kills,
  races,
  daemons,
  longestLock,
  worstCallMs,
  mostUnplaced,
  mostPartitions,
}: Outcome): string {
  return (
    `${nights} days, ${written.toLocaleString('en')} rows, each gone at its time; ${kills} kills, ${races} races of two, ${daemons} workers that stay; ` +
    `at most ${mostPartitions} partitions, ${mostUnplaced.toLocaleString('en')} rows in DEFAULT and none at the end; longest lock ${longestLock.leastMs.toFixed(0)} to ` +
    `${longestLock.mostMs.toFixed(0)} ms, worst call of the gateway ${worstCallMs.toFixed(0)} ms`
  )
}
