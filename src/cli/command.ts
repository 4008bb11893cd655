import type { ExitCode } from '../errors.ts'
import type { Start } from '../program.ts'
import type { Option } from './options.ts'

/** One command: what is parsed, what is refused and the help follow from it. */
export interface Command {
  /** The words or the option that choose it; empty: no word does. */
  readonly name: string
  readonly summary: string
  readonly options: readonly Option<unknown>[]
  /** With the texts that each of its options was given. */
  called(textsOf: (option: Option<unknown>) => readonly string[]): Call
}

/** A command with what its options stand for. */
export interface Call {
  readonly values: Readonly<Record<string, unknown>>
  /** What does not go together, though each by itself may be right. */
  readonly contradictions: readonly string[]
  run(start: Start): Promise<ExitCode>
}

type Options = Readonly<Record<string, Option<unknown>>>
type Values<Given extends Options> = { readonly [Name in keyof Given]: Given[Name] extends Option<infer Value> ? Value : never }

interface Definition<Given extends Options> {
  readonly name: string
  readonly summary: string
  readonly options: Given
  contradictions?(values: Values<Given>): readonly string[]
  /** Loads what it needs and no more: loading is most of what a short run takes, and what is loaded stays in memory. */
  run(start: Start, values: Values<Given>): ExitCode | Promise<ExitCode>
}

/** Ties an option to the type of what it stands for: `run` sees the values, whoever parses sees texts. */
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
        run: async (start) => definition.run(start, values),
      }
    },
  }
}
