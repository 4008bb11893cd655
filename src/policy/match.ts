/**
 * Which rows a hold or a rule means, by column. A row matches if each of these columns holds one of its patterns; without a column, every row
 * matches. NULL matches no pattern.
 */
export type Match = Readonly<Record<string, readonly string[]>>

/**
 * A value, or with a `*` at its end everything that begins so; a `*` anywhere else is a letter. Letters of ASCII are compared without their case, because keeping
 * a row too long is the smaller mistake.
 */
export interface Pattern {
  /** With the letters of ASCII in lower case. */
  readonly text: string
  readonly isPrefix: boolean
}

/** Patterns of a column, at most. */
export const MOST_PATTERNS = 200
/** Characters of a pattern, at most. */
export const LONGEST_PATTERN = 500

export function patternOf(given: string): Pattern {
  const isPrefix = given.endsWith('*')
  return { text: asciiLower(isPrefix ? given.slice(0, -1) : given), isPrefix }
}

/** As SQLite's `lower` and PostgreSQL's under the collation "C" do it. */
export function asciiLower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** `valueOf`: the text of a column; `undefined`: NULL. */
export function isMatch(match: Match, valueOf: (column: string) => string | undefined): boolean {
  return Object.entries(match).every(([column, patterns]) => {
    const value = valueOf(column)
    if (value === undefined) return false
    const lowered = asciiLower(value)
    return patterns.map(patternOf).some(({ text, isPrefix }) => (isPrefix ? lowered.startsWith(text) : lowered === text))
  })
}

/** Whether every row that `narrower` matches is certain to match `wider` too. */
export function covers(wider: Match, narrower: Match): boolean {
  return Object.entries(wider).every(([column, patterns]) => {
    const others = narrower[column]
    return others !== undefined && others.every((other) => patterns.some((pattern) => includes(patternOf(pattern), patternOf(other))))
  })
}

function includes(wider: Pattern, narrower: Pattern): boolean {
  return wider.isPrefix ? narrower.text.startsWith(wider.text) : !narrower.isPrefix && wider.text === narrower.text
}

/** In the order of `columns`, each pattern once and sorted: equal matches have equal texts as JSON. */
export function canonicalMatch(match: Match, columns: readonly string[]): Match {
  return Object.fromEntries(
    columns.flatMap((column) => {
      const patterns = match[column]
      return patterns === undefined ? [] : [[column, [...new Set(patterns.map(asciiLower))].toSorted()]]
    }),
  )
}

/** What is wrong with a match that somebody wrote, one text each; empty: nothing. A single pattern may stand without a list. */
export function matchProblems(given: unknown, columns: readonly string[]): readonly string[] {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return ['is not a list of columns with their values']
  return Object.entries(given).flatMap(([column, patterns]) =>
    columns.includes(column)
      ? patternProblems(patterns).map((problem) => `${column} ${problem}`)
      : [`${JSON.stringify(column.slice(0, MOST_SHOWN))} is no column to match by: ${columns.join(', ')} are`],
  )
}

const MOST_SHOWN = 60

/** Of a match without problems. */
export function matchOf(given: object): Match {
  return Object.fromEntries(Object.entries(given).map(([column, patterns]) => [column, listOf(patterns).map(String)]))
}

/** What is wrong with the patterns of one column. */
export function patternProblems(given: unknown): readonly string[] {
  const patterns = listOf(given)
  if (patterns.length === 0) return ['has no value']
  if (patterns.length > MOST_PATTERNS) return [`has ${patterns.length} values, and ${MOST_PATTERNS} are the most`]
  return patterns.flatMap((each) => {
    if (each === null || each === undefined) return ['has no value']
    if (typeof each === 'object') return [`has a value that is no text: ${Array.isArray(each) ? 'a list' : 'a section'}`]
    if (typeof each !== 'string') return [`has a value that is no text: ${JSON.stringify(each)}; put it in quotation marks`]
    if (each === '') return ['has an empty value']
    if (each.length > LONGEST_PATTERN) return [`has a value of ${each.length} characters, and ${LONGEST_PATTERN} are the most`]
    if (!each.isWellFormed() || /\p{Cc}/u.test(each)) return ['has a value with a control character or half a character']
    return []
  })
}

function listOf(given: unknown): readonly unknown[] {
  return Array.isArray(given) ? given : [given]
}

/** For people: `user alice or bob, and tool_name stripe:*`; of a match of every row `every row`. */
export function matchText(match: Match): string {
  const columns = Object.entries(match).map(([column, patterns]) => `${column} ${patterns.join(' or ')}`)
  return columns.length === 0 ? 'every row' : columns.join(', and ')
}
