import { parseArgs } from 'node:util'

export interface Options {
  /** Every place where the order matters, in every model; otherwise some of them, within four minutes. */
  readonly full: boolean
  readonly seed: number
  /** Parts of the names of what is done; empty: all. */
  readonly only: readonly string[]
}

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export function usage(names: readonly string[]): string {
  return `npm run test:power-cuts -- [OPTION]...
  --full         every cut where the order matters, in every model, and 200 crashes of each PostgreSQL; otherwise some of them, within four minutes
  --seed N       the same choices again (a new one each time; it is printed)
  --only NAME    only what has this in its name (may be repeated):
${names.map((name) => `                 ${name}\n`).join('')}`
}

/** `undefined`: help is asked for. Throws a `UsageError`. */
export function optionsFrom(words: readonly string[], names: readonly string[]): Options | undefined {
  const { help, full, seed, only = [] } = parsed(words)
  if (help === true) return undefined
  for (const part of only)
    if (!names.some((name) => name.includes(part))) throw new UsageError(`nothing has ${JSON.stringify(part)} in its name`)
  if (seed !== undefined && !/^\d{1,9}$/.test(seed)) throw new UsageError(`--seed is a whole number, not ${JSON.stringify(seed)}`)
  return { full: full === true, seed: seed === undefined ? Math.floor(Math.random() * 1_000_000) : Number(seed), only }
}

function parsed(words: readonly string[]) {
  try {
    const options = {
      full: { type: 'boolean' },
      help: { type: 'boolean' },
      seed: { type: 'string' },
      only: { type: 'string', multiple: true },
    } as const
    return parseArgs({ args: [...words], strict: true, options }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}
