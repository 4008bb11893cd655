import type { TestEngine } from '../support/engines.ts'
import type { Arena, ArenaOptions } from './arena.ts'
import type { Journal } from './gateway.ts'
import type { Random } from './random.ts'
import type { TestedProgram } from './program.ts'

/** One line of the table of faults. */
export interface Fault {
  /** For `--only` and for the output. */
  readonly name: string
  /** On what its rounds run; `full` is the table's count, else a tenth of it. */
  rounds(full: boolean): readonly TestEngine[]
  /** Rejects with what went wrong. A round is its own: it shares nothing but the machine with those that run beside it. */
  run(round: Round): Promise<void>
}

export interface Round {
  /** From 1. */
  readonly number: number
  readonly engine: TestEngine
  readonly full: boolean
  readonly random: Random
  readonly program: TestedProgram
  /** So many faults took place. */
  injected(times?: number): void
  /** For what this machine cannot do; told once. */
  skipped(reason: string): void
  /** What a gateway did beside the workers, for people. */
  operated(journal: Pick<Journal, 'operations' | 'longestMs'>): void
  /** A database of its own, migrated and watched where nothing else is said. */
  arena(options?: ArenaOptions): Promise<Arena>
}

/** So many rounds on each of these engines, in turns. */
export function onEach(engines: readonly TestEngine[], times: number): readonly TestEngine[] {
  return Array.from({ length: times }, () => engines).flat()
}
