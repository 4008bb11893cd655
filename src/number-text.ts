/** `1,234,567` */
export function countText(count: number): string {
  // The first number that is formatted loads the data of all languages, which takes longer than a run with nothing to do; only from a thousand on is there a separator.
  return Number.isSafeInteger(count) && Math.abs(count) < 1000 ? String(count) : count.toLocaleString('en-US')
}

/** `1 file`, `1,234 files` */
export function counted(count: number, one: string, many?: string): string {
  return `${countText(count)} ${plural(count, one, many)}`
}

/** As many names as fit into a sentence, and how many more there are: `a, b and 1,234 more`. */
export function someText(names: readonly string[], most = 10): string {
  const more = names.length - most
  return more > 0 ? `${names.slice(0, most).join(', ')} and ${countText(more)} more` : names.join(', ')
}

/** The same of clauses: `a: is missing; b: is missing; and 12 more`. */
export function someClauses(clauses: readonly string[], most = 5): string {
  const more = clauses.length - most
  return more > 0 ? `${clauses.slice(0, most).join('; ')}; and ${countText(more)} more` : clauses.join('; ')
}

/** Only the word. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return count === 1 ? one : many
}

/** How many rows of a table were counted. */
export interface PartCount {
  /** `undefined`: counting took too long. */
  readonly rows: number | undefined
  /** Whether there are more. */
  readonly more: boolean
  /** How many rows the database's planner expects. */
  readonly planned: number | undefined
}

/** Whether not a single row was found before counting ended: then there may be any number of them. */
export function isUnknown({ rows, more }: Pick<PartCount, 'rows' | 'more'>): boolean {
  return more && (rows ?? 0) === 0
}

/** `1,234`; `more than 100,000`; `not counted`. */
export function partCountText({ rows, more }: PartCount): string {
  if (rows === undefined || isUnknown({ rows, more })) return 'not counted'
  return more ? `more than ${countText(rows)}` : countText(rows)
}

/** `the planner expects about 300,000`; `undefined`: it expects no more than was counted. */
export function plannedText({ rows = 0, planned }: PartCount): string | undefined {
  return planned === undefined || planned <= rows ? undefined : `the planner expects about ${countText(rounded(planned))}`
}

/** To two significant digits. */
function rounded(count: number): number {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(count, 1))) - 1)
  return Math.round(count / step) * step
}

/** `512 bytes`, `12.3 MB`. */
export function sizeText(bytes: number): string {
  if (bytes < 1_000) return `${bytes} bytes`
  const power = Math.min(Math.floor(Math.log10(bytes) / 3), SIZE_NAMES.length - 1)
  const value = bytes / 1_000 ** power
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${SIZE_NAMES[power]}`
}

const SIZE_NAMES = ['bytes', 'kB', 'MB', 'GB', 'TB']
