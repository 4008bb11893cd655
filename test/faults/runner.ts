import { setTimeout as sleep } from 'node:timers/promises'
import { Arena, type ArenaOptions } from './arena.ts'
import type { Fault, Round } from './fault.ts'
import { randomOf } from './random.ts'
import type { Options } from './options.ts'
import type { TestedProgram } from './program.ts'
import type { Tally } from './tally.ts'
import { Violation } from './violation.ts'

/** Longer no round takes on a machine that is busy with others too. */
const LONGEST_ROUND_MS = 5 * 60_000

export interface Planned {
  readonly fault: Fault
  readonly number: number
  readonly engine: Round['engine']
}

/** Every round, those of one fault together. */
export function planOf(faults: readonly Fault[], { full, only, round }: Options): Planned[] {
  return faults
    .filter(({ name }) => only.length === 0 || only.includes(name))
    .flatMap((fault) => fault.rounds(full).map((engine, at) => ({ fault, engine, number: at + 1 })))
    .filter(({ number }) => round === undefined || number === round)
}

/** What all rounds have in common. */
export interface Setting {
  readonly options: Options
  readonly program: TestedProgram
  readonly tally: Tally
  /** Ends every round, and with it the processes it has started. */
  readonly interrupted: AbortSignal
}

export interface Told {
  /** One line. */
  progress(text: string): void
  /** Whatever helps to understand a violation. */
  explain(text: string): void
}

/** So many lanes, each with one round after the other: rounds wait more than they work. Ends at the first violation: false. */
export async function runAll(plan: readonly Planned[], setting: Setting, told: Told): Promise<boolean> {
  const { options, tally } = setting
  const waiting = [...plan]
  let sound = true
  const lane = async (): Promise<void> => {
    for (let planned = waiting.shift(); planned !== undefined && sound; planned = waiting.shift()) {
      const startedMs = performance.now()
      const name = `${planned.fault.name} ${planned.number} (${planned.engine.name})`
      const failure = await runOne(planned, setting)
      if (failure === undefined) told.progress(`${name}: held, ${Math.round((performance.now() - startedMs) / 1_000)} s`)
      else if (sound) {
        sound = false
        if (failure.error instanceof Violation) tally.harm(failure.error)
        const again = `npm run test:faults -- ${options.full ? '--full ' : ''}--seed ${options.seed} --only ${planned.fault.name} --round ${planned.number}`
        told.explain(`${failure.lastWords}\n${name}, seed ${options.seed}: ${textOf(failure.error)}\nto see it again: ${again}`)
      }
    }
  }
  await Promise.all(Array.from({ length: options.lanes }, lane))
  return sound
}

interface Failure {
  readonly error: unknown
  readonly lastWords: string
}

async function runOne({ fault, engine, number }: Planned, { options, program, tally, interrupted }: Setting): Promise<Failure | undefined> {
  const arenas: Arena[] = []
  const round: Round = {
    number,
    engine,
    program,
    full: options.full,
    random: randomOf(options.seed, `${fault.name}/${number}`),
    injected: (times = 1) => tally.inject(fault.name, times),
    skipped: (reason) => void tally.skipped.add(`${fault.name}: skipped, ${reason}`),
    operated: (journal) => tally.operated(engine.name, journal),
    async arena(wanted: ArenaOptions = {}) {
      const arena = new Arena(engine, wanted.database ?? (await engine.fresh()), program, tally)
      arenas.push(arena)
      if (wanted.empty !== true) await arena.migrate()
      return arena
    },
  }
  const over = new AbortController()
  const signal = AbortSignal.any([over.signal, interrupted])
  const late = sleep(LONGEST_ROUND_MS, undefined, { signal }).then(
    () => Promise.reject(new Violation(`the round has not ended after ${LONGEST_ROUND_MS / 1_000} s`)),
    () => (over.signal.aborted ? undefined : Promise.reject(new Error('interrupted'))),
  )
  try {
    await Promise.race([fault.run(round), late])
    return undefined
  } catch (error) {
    return { error, lastWords: arenas.map((arena) => arena.lastWords()).join('\n') }
  } finally {
    over.abort()
    await Promise.all(arenas.map((arena) => arena[Symbol.asyncDispose]()))
  }
}

function textOf(error: unknown): string {
  if (error instanceof Violation) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
