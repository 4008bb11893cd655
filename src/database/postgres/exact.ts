/**
 * PostgreSQL looks operators, functions and types up by name, along `search_path`, and takes what fits the arguments best. Whoever may create in a
 * schema of that path can put something there that fits better than what is built in, or, where the path names pg_catalog late, something that fits
 * as well. So no name of our statements is left to the path: these stand where an operator would, and functions and types are qualified by hand.
 *
 * An operator written so binds tighter than a comparison and looser than `+` and `-`, and several of them from left to right: use parentheses.
 * What cannot be qualified looks `=` up by the path: IN, BETWEEN, IS DISTINCT FROM, NULLIF, CASE x WHEN, JOIN … USING. There is none of it here.
 * Nor is there a cast between types that no built-in cast joins, for somebody may make one: see `textOf`.
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

/** Of a value that is not NULL, by its type's own output function: a cast to text could be somebody's function. */
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

/** Of names in a catalogue. */
export function nameIn(column: string, names: readonly string[], type: 'text' | 'name' | '"char"' = 'text'): string {
  return `${column} ${EQ} ANY ('{${names.join(',')}}'::pg_catalog.${type}[])`
}
