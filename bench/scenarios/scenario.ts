import type { Engine, EngineName } from '../engines/engine.ts'
import { sheet, type Figure, type Sheet } from '../figure.ts'
import type { Options } from '../options.ts'
import type { Workspace } from '../workspace.ts'

export interface Scenario {
  readonly name: string
  readonly engines: readonly EngineName[]
  measure(bench: Bench): Promise<void>
}

/** What a scenario needs. */
export interface Bench {
  readonly workspace: Workspace
  readonly engine: Engine
  readonly options: Options
  /** A purge is stopped after this time; its total is then extrapolated. */
  limitMs(rows: number): number
  /** Reports what the benchmark is doing. */
  progress(step: string): void
  note(text: string): void
  sheet(scenario: string, judged: boolean): Sheet
}

export function bench(given: Pick<Bench, 'workspace' | 'engine' | 'options' | 'progress'>, figures: Figure[], notes: string[]): Bench {
  const { engine, options } = given
  const limitMs = options.quick ? 10_000 : 45_000
  return {
    ...given,
    limitMs: (rows) => limitMs * Math.max(1, rows / options.sizes.reference),
    note: (text) => void notes.push(`${engine.name}: ${text}`),
    sheet: (scenario, judged) => sheet(figures, scenario, engine.name, judged),
  }
}

/** Runs all of them in every repeat, one after the other, in an order that is reversed each time, so that changes on the machine affect them alike. */
export async function alternated<Name extends string, Result>(
  names: readonly Name[],
  repeats: number,
  run: (name: Name, repeat: number) => Promise<Result>,
): Promise<Record<Name, Result[]>> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- fromEntries forgets the names
  const results = Object.fromEntries(names.map((name) => [name, [] as Result[]])) as Record<Name, Result[]>
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const order = repeat % 2 === 0 ? names : names.toReversed()
    for (const name of order) results[name].push(await run(name, repeat))
  }
  return results
}

export function counted(rows: number): string {
  return rows.toLocaleString('en')
}
