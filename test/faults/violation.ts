/** What must never happen, as it stands in the summary. */
export const HARMS = ['rows lost', 'rows deleted that should stay', 'rows deleted twice', 'migrations applied twice'] as const
export type Harm = (typeof HARMS)[number]

/** A promise of the program that a fault broke. */
export class Violation extends Error {
  override readonly name = 'Violation'
  readonly harm: Harm | undefined
  readonly times: number

  constructor(message: string, harm?: Harm, times = 1) {
    super(message)
    this.harm = harm
    this.times = times
  }
}

export function must(holds: boolean, message: string): asserts holds {
  if (!holds) throw new Violation(message)
}

export function mustNot(harm: Harm, times: number, message: string): void {
  if (times !== 0) throw new Violation(`${harm}: ${times} (${message})`, harm, times)
}
