/** A value that somebody gave a setting. */
export interface Given {
  readonly key: string
  readonly value: unknown
  /** Where it comes from, as the `config` command shows it. */
  readonly source: string
  /** The same with the line, for problems. */
  readonly where: string
}

/** What is wrong with a value, or with a part of it. */
export interface PartProblem {
  /** Follows the key of the setting: `[1].match`; empty: it is the whole value. */
  readonly part: string
  readonly problem: string
}

/** What one source of settings says. */
export interface Layer {
  readonly given: readonly Given[]
  /** One line each. */
  readonly problems: readonly string[]
  /** Information for the log. */
  readonly notes: readonly string[]
  /** Probable mistakes. */
  readonly warnings: readonly string[]
}

export const NOTHING: Layer = { given: [], problems: [], notes: [], warnings: [] }

export type Environment = Readonly<Record<string, string | undefined>>
