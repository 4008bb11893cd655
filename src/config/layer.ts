/** A value that somebody gave a setting. */
export interface Given {
  readonly key: string
  readonly value: unknown
  /** Who gave it, as the `config` command says. */
  readonly source: string
  /** The same to the line, for problems. */
  readonly where: string
}

/** What one source of settings says. */
export interface Layer {
  readonly given: readonly Given[]
  /** One line each. */
  readonly problems: readonly string[]
  /** What is only worth a line in the log. */
  readonly notes: readonly string[]
  /** What somebody probably did not mean. */
  readonly warnings: readonly string[]
}

export const NOTHING: Layer = { given: [], problems: [], notes: [], warnings: [] }

export type Environment = Readonly<Record<string, string | undefined>>
