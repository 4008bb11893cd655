import { indexStep, type IndexStep } from '../indexes/concurrent-indexes.ts'
import { directives, GRANTS, NO_TRANSACTION } from './directives.ts'
import { problemsIn, type Problem } from './statement-rules.ts'
import { splitStatements, type Statement } from './statements.ts'

/** The parsed text of a migration. */
export interface Script {
  readonly statements: readonly Statement[]
  /** The steps, if each statement runs outside a transaction; `undefined`: one transaction holds them all. */
  readonly outside: readonly IndexStep[] | undefined
  /** What it grants to every role that runs jobs: `SELECT ON maintenance_holds`. */
  readonly grants: readonly string[]
  /** Why it may not run, one line per problem, each beginning with `line:column`. */
  readonly problems: readonly string[]
}

export interface Place {
  /** From 1; columns count code points. */
  readonly line: number
  readonly column: number
}

export function parseScript(text: string): Script {
  const { statements, open } = splitStatements(text)
  const found = directives(text)
  const outside = found.some(({ name }) => name === NO_TRANSACTION)
  const problems: Problem[] = [
    ...found.flatMap(({ name, at }) =>
      name === NO_TRANSACTION || name.startsWith(GRANTS)
        ? []
        : [{ at, problem: `@${name} is not a directive: the only ones are @${NO_TRANSACTION} and @${GRANTS.trim()}` }],
    ),
    ...statements.flatMap((statement) => problemsIn(statement, outside)),
    ...(open === undefined ? [] : [{ at: open.start, problem: `this ${open.what} never ends` }]),
  ]
  return {
    statements,
    outside: outside ? statements.map(indexStep).filter((step): step is IndexStep => !('refusal' in step)) : undefined,
    grants: found.flatMap(({ name }) => (name.startsWith(GRANTS) ? [name.slice(GRANTS.length)] : [])),
    problems: problems.map(({ at, problem }) => {
      const { line, column } = placeOf(text, at)
      return `${line}:${column} ${problem}`
    }),
  }
}

/** `offset` in UTF-16 units. */
export function placeOf(text: string, offset: number): Place {
  const lines = text.slice(0, offset).split('\n')
  return { line: lines.length, column: Array.from(lines.at(-1) ?? '').length + 1 }
}
