import { parseArgs } from 'node:util'

export interface Options {
  /** The table's counts; else a tenth. */
  readonly full: boolean
  readonly seed: number
  /** Names of faults; empty: all. */
  readonly only: readonly string[]
  /** One round of each. */
  readonly round: number | undefined
  /** How many rounds run side by side. */
  readonly lanes: number
}

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const LANES = 8

export function usage(faults: readonly string[]): string {
  return `npm run test:faults -- [OPTION]...
  --full         every fault as often as the suite has it; otherwise a tenth, within five minutes
  --seed N       the same moments and choices again (a new one each time; it is printed)
  --only FAULT   only this one (may be repeated): ${faults.join(', ')}
  --round N      only this round of each
  --lanes N      how many rounds run side by side (${LANES})
`
}

/** `undefined`: help is asked for. Throws a `UsageError`. */
export function optionsFrom(words: readonly string[], faults: readonly string[]): Options | undefined {
  const values = parsed(words)
  if (values.help === true) return undefined
  const only = values.only ?? []
  for (const name of only)
    if (!faults.includes(name)) throw new UsageError(`--only is one of ${faults.join(', ')}, not ${JSON.stringify(name)}`)
  return {
    full: values.full === true,
    seed: wholeNumber('--seed', values.seed) ?? Math.floor(Math.random() * 1_000_000),
    only,
    round: wholeNumber('--round', values.round),
    lanes: wholeNumber('--lanes', values.lanes) ?? LANES,
  }
}

function parsed(words: readonly string[]) {
  try {
    const text = { type: 'string' } as const
    const flag = { type: 'boolean' } as const
    const options = { full: flag, help: flag, seed: text, round: text, lanes: text, only: { type: 'string', multiple: true } } as const
    return parseArgs({ args: [...words], strict: true, options }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function wholeNumber(option: string, given: string | undefined): number | undefined {
  if (given === undefined) return undefined
  if (!/^\d{1,9}$/.test(given)) throw new UsageError(`${option} is a whole number, not ${JSON.stringify(given)}`)
  return Number(given)
}
