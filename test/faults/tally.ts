import { HARMS, type Harm, type Violation } from './violation.ts'

/** What the suite has done and seen. */
export class Tally {
  readonly injected = new Map<string, number>()
  readonly harms = new Map<Harm, number>(HARMS.map((harm) => [harm, 0]))
  readonly skipped = new Set<string>()
  readonly #gateways = new Map<string, { operations: number; longestMs: number }>()
  rowsWritten = 0
  rowsDeleted = 0
  migrationsApplied = 0

  inject(fault: string, times: number): void {
    this.injected.set(fault, (this.injected.get(fault) ?? 0) + times)
  }

  harm({ harm, times }: Violation): void {
    if (harm !== undefined) this.harms.set(harm, (this.harms.get(harm) ?? 0) + times)
  }

  operated(engine: string, { operations, longestMs }: { readonly operations: number; readonly longestMs: number }): void {
    const before = this.#gateways.get(engine) ?? { operations: 0, longestMs: 0 }
    this.#gateways.set(engine, { operations: before.operations + operations, longestMs: Math.max(before.longestMs, longestMs) })
  }

  /** One line an engine, for people: how long it takes depends on what else the machine does. */
  gateways(): string[] {
    return [...this.#gateways].map(
      ([engine, { operations, longestMs }]) =>
        `gateway beside five workers (${engine}): ${operations} operations, all done, the longest in ${longestMs} ms`,
    )
  }

  /** The last line of the suite's output. */
  summary(seed: number, seconds: number): string {
    const injected = [...this.injected.values()].reduce((sum, each) => sum + each, 0)
    const harms = [...this.harms].map(([harm, times]) => `${harm} ${times}`)
    const context = `${this.rowsWritten} rows written, ${this.rowsDeleted} deleted, ${this.migrationsApplied} migrations applied; seed ${seed}, ${seconds} s`
    return `faults injected ${injected}, ${harms.join(', ')}; ${context}`
  }
}
