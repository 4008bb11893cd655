import type { ExitCode } from '../errors.ts'
import type { Start } from '../program.ts'
import type { Option } from './options.ts'

/** One command. Parsing, refusals and the help are derived from it. */
export interface Command {
  /** The words or the option that choose it; empty: it runs if no command is named. */
  readonly name: string
  readonly summary: string
  readonly options: readonly Option<unknown>[]
  /** The call that the texts of its options make. */
  called(textsOf: (option: Option<unknown>) => readonly string[]): Call
}

/** A command with the values of its options. */
export interface Call {
  readonly values: Readonly<Record<string, unknown>>
  /** Options that do not go together, though each by itself may be right. */
  readonly contradictions: readonly string[]
  /** A place for the archive beside that of the settings: what they say of buckets may be for it. */
  readonly archivePlace: string | undefined
  run(start: Start): Promise<ExitCode>
}

type Options = Readonly<Record<string, Option<unknown>>>
type Values<Given extends Options> = { readonly [Name in keyof Given]: Given[Name] extends Option<infer Value> ? Value : never }

interface Definition<Given extends Options> {
  readonly name: string
  readonly summary: string
  readonly options: Given
  contradictions?(values: Values<Given>): readonly string[]
  archivePlace?(values: Values<Given>): string | undefined
  /** Imports what it needs and no more: importing takes most of the time of a short run, and what is imported stays in memory. */
  run(start: Start, values: Values<Given>): ExitCode | Promise<ExitCode>
}

/** Gives each option the type of its value: `run` sees values, and the parser sees texts. */
export function command<Given extends Options>({ name, summary, options, ...definition }: Definition<Given>): Command {
  return {
    name,
    summary,
    options: Object.values(options),
    called(textsOf) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `Object.fromEntries` forgets the names
      const values = Object.fromEntries(
        Object.entries(options).map(([key, option]) => [key, option.valueOf(textsOf(option))]),
      ) as Values<Given>
      return {
        values,
        contradictions: definition.contradictions?.(values) ?? [],
        archivePlace: definition.archivePlace?.(values),
        run: async (start) => definition.run(start, values),
      }
    },
  }
}
