import type { EngineName } from './engines/engine.ts'
import { median } from './statistics.ts'
import { targetOf, type Target } from './targets.ts'

export type Unit = '×' | 'ms' | 'MB' | 'batches' | 'writes'

/** One line of the table. */
export interface Figure {
  readonly scenario: string
  readonly engine: EngineName
  /** Its name in `targets.ts`, if it has a target. */
  readonly name: string
  /** What was measured, in words. */
  readonly what: string
  readonly unit: Unit
  /** One for each repeat, in the order measured. */
  readonly values: readonly number[]
  readonly target: Target | undefined
}

export interface Summary {
  readonly median: number
  readonly least: number
  readonly most: number
  /** `undefined`: there is no target. */
  readonly reached: boolean | undefined
}

/** The figures of one scenario on one engine. */
export interface Sheet {
  /** Whether the targets apply, which are stated for one size. */
  readonly judged: boolean
  readonly add: (name: string, what: string, unit: Unit, values: readonly number[]) => void
}

export function sheet(into: Figure[], scenario: string, engine: EngineName, judged: boolean): Sheet {
  return {
    judged,
    add: (name, what, unit, values) => {
      if (values.length === 0) return
      into.push({ scenario, engine, name, what, unit, values, target: judged ? targetOf(engine, name) : undefined })
    },
  }
}

export function summaryOf({ values, target }: Figure): Summary {
  const middle = median(values)
  const most = Math.max(...values)
  const compared = target?.of === 'every repeat' ? most : middle
  return { median: middle, least: Math.min(...values), most, reached: target === undefined ? undefined : compared <= target.atMost }
}
