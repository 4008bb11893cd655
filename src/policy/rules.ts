import { formatDuration, parseDuration, type EpochMs } from '../time/clock.ts'
import { canonicalMatch, covers, matchOf, matchProblems, type Match } from './match.ts'
import type { Spared } from './spared.ts'

/** A longer retention for some rows. Of several rules that match, the longest counts; their order means nothing. */
export interface Rule {
  readonly name: string
  readonly match: Match
  /** From when a row was written; `undefined`: for ever. */
  readonly retentionMs: number | undefined
}

export const MOST_RULES = 20
/** Instead of a retention. */
export const FOREVER = 'forever'
/** The longest text of a policy, in bytes: it is kept in the database, and read again before each run. */
export const MOST_POLICY_BYTES = 64 * 2 ** 10

/** Those of a run, and as many that earlier runs had and that nobody has given up. */
export const MOST_KEPT_RULES = 2 * MOST_RULES
export const MOST_KEPT_BYTES = 2 * MOST_POLICY_BYTES

/** The rows that a rule keeps at this moment. */
export function sparedByRule({ match, retentionMs }: Rule, now: EpochMs): Spared {
  return { match, from: retentionMs === undefined ? undefined : now - retentionMs, until: undefined }
}

/** The last moment at which a rule keeps a row that it matches: the inverse of `sparedByRule`. `lastCutoff` as `lastKept` has it; `undefined`: it keeps it for ever. */
export function lastKeptByRule({ retentionMs }: Rule, lastCutoff: EpochMs): EpochMs | undefined {
  return retentionMs === undefined ? undefined : lastCutoff + retentionMs
}

export function retentionText(retentionMs: number | undefined): string {
  return retentionMs === undefined ? FOREVER : formatDuration(retentionMs)
}

export function isRuleName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,63}$/.test(name)
}

/** How long rows are kept: those that no rule matches, and the others. */
export interface Policy {
  readonly retentionMs: number
  readonly rules: readonly Rule[]
}

/** As JSON in ASCII, which a database of any encoding can keep: equal for equal rules, in whatever order they stand. */
export function policyText({ retentionMs, rules }: Policy, columns: readonly string[]): string {
  const texts = rules.map(({ name, match, retentionMs: kept }) => ({
    match: canonicalMatch(match, columns),
    retention: retentionText(kept),
    name,
  }))
  const text = JSON.stringify({
    retention: formatDuration(retentionMs),
    rules: texts.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
  })
  return text.replaceAll(/[^\u0020-\u007e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Reads what `policyText` made. `undefined`: anything else, also what only a later version makes; then nothing may be concluded from it. */
export function parsePolicy(text: string, columns: readonly string[]): Policy | undefined {
  const policy = policyIn(text, columns)
  return policy !== undefined && policyText(policy, columns) === text ? policy : undefined
}

function policyIn(text: string, columns: readonly string[]): Policy | undefined {
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isObject(given)) return undefined
  const { retention, rules } = given
  const retentionMs = durationIn(retention)
  if (retentionMs === undefined || !Array.isArray(rules) || rules.length > MOST_KEPT_RULES) return undefined
  const read = rules.map((rule) => ruleIn(rule, columns))
  return read.some((rule) => rule === undefined) ? undefined : { retentionMs, rules: read.filter((rule) => rule !== undefined) }
}

function ruleIn(given: unknown, columns: readonly string[]): Rule | undefined {
  if (!isObject(given)) return undefined
  const { name, match, retention } = given
  const retentionMs = durationIn(retention)
  if (typeof name !== 'string' || !isObject(match) || matchProblems(match, columns).length > 0) return undefined
  return retentionMs === undefined && retention !== FOREVER ? undefined : { name, match: matchOf(match), retentionMs }
}

function durationIn(given: unknown): number | undefined {
  return typeof given === 'string' ? parseDuration(given) : undefined
}

function isObject(given: unknown): given is Readonly<Record<string, unknown>> {
  return typeof given === 'object' && given !== null && !Array.isArray(given)
}

/**
 * The rules of a policy whose rows another one may let go earlier. It certainly does not where every combination of their values, one a column, is
 * within a rule that keeps its rows at least as long: a rule may be renamed, widened or split. What is left has to be counted.
 */
export function lostRules(before: Policy, { retentionMs, rules }: Policy): readonly Rule[] {
  return before.rules.filter((lost) => {
    if (isAtLeast(retentionMs, lost.retentionMs)) return false
    const longer = rules.filter((rule) => isAtLeast(rule.retentionMs, lost.retentionMs))
    return !(combinationsOf(lost.match) ?? [lost.match]).every((part) => longer.some(({ match }) => covers(match, part)))
  })
}

function isAtLeast(keptMs: number | undefined, otherMs: number | undefined): boolean {
  return (keptMs ?? Infinity) >= (otherMs ?? Infinity)
}

const MOST_COMBINATIONS = 10_000

/** A match as several with one value a column; `undefined`: they are too many. */
function combinationsOf(match: Match): readonly Match[] | undefined {
  const columns = Object.entries(match)
  if (columns.reduce((product, [, patterns]) => product * patterns.length, 1) > MOST_COMBINATIONS) return undefined
  return columns.reduce<readonly Match[]>(
    (parts, [column, patterns]) => parts.flatMap((part) => patterns.map((pattern) => ({ ...part, [column]: [pattern] }))),
    [{}],
  )
}
