/**
 * PostgreSQL looks up operators, functions and types by name along `search_path`, and takes the one that fits the arguments best. A role that may create
 * objects in a schema on that path can add one that fits better than the built-in or, where the path names pg_catalog late, one that fits as well. So our
 * statements leave no name to the path: these constants replace operators, and functions and types are qualified by hand.
 *
 * An operator in this form binds tighter than a comparison and looser than `+` and `-`, and groups from left to right: use parentheses.
 * Some constructs look up `=` by the path and cannot be qualified: IN, BETWEEN, IS DISTINCT FROM, NULLIF, CASE x WHEN, JOIN … USING. None is used here.
 * Neither is a cast between types without a built-in cast, because someone may have defined one: see `textOf`.
 */
export const EQ = builtIn('=')
export const NE = builtIn('<>')
export const LT = builtIn('<')
export const LE = builtIn('<=')
export const GT = builtIn('>')
export const GE = builtIn('>=')
export const PLUS = builtIn('+')
export const MINUS = builtIn('-')
export const TIMES = builtIn('*')
export const MODULO = builtIn('%')

export function builtIn(operator: string): string {
  return `OPERATOR(pg_catalog.${operator})`
}

/** The text of a value that is not NULL, by its type's output function: a cast to text could be a function that somebody has defined. */
export function textOf(expression: string): string {
  return `pg_catalog.format('%s'::pg_catalog.text, ${expression})`
}

/** Milliseconds since 1970 of a time, as a whole number of type numeric. */
export function millisecondsOf(time: string): string {
  return `pg_catalog.floor(extract(epoch FROM ${time})::pg_catalog.numeric ${TIMES} '1000'::pg_catalog.numeric)`
}

/** Seconds of an interval, as a number. */
export function secondsOf(interval: string): string {
  return `extract(epoch FROM ${interval})::pg_catalog.float8`
}

/** Whether a catalogue column has one of these names. */
export function nameIn(column: string, names: readonly string[], type: 'text' | 'name' | '"char"' = 'text'): string {
  return `${column} ${EQ} ANY ('{${names.join(',')}}'::pg_catalog.${type}[])`
}
