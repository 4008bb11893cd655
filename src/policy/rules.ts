import { formatDuration, type EpochMs } from '../time/clock.ts'
import { canonicalMatch, covers, type Match } from './match.ts'
import type { Spared } from './spared.ts'

/** A longer retention for some rows. Of several rules that match, the longest counts; their order means nothing. */
export interface Rule {
  readonly name: string
  readonly match: Match
  /** From when a row was written; `undefined`: for ever. */
  readonly retentionMs: number | undefined
}

export const MOST_RULES = 20

/** The rows that a rule keeps at this moment. */
export function sparedByRule({ match, retentionMs }: Rule, now: EpochMs): Spared {
  return { match, from: retentionMs === undefined ? undefined : now - retentionMs, until: undefined }
}

/** How long rows are kept: those that no rule matches, and the others. */
export interface Policy {
  readonly retentionMs: number
  readonly rules: readonly Rule[]
}

/** As JSON: equal for equal rules, in whatever order they stand. */
export function policyText({ retentionMs, rules }: Policy, columns: readonly string[]): string {
  const texts = rules.map(({ name, match, retentionMs: kept }) => ({
    match: canonicalMatch(match, columns),
    retention: kept === undefined ? 'forever' : formatDuration(kept),
    name,
  }))
  return JSON.stringify({
    retention: formatDuration(retentionMs),
    rules: texts.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
  })
}

/** The rules of a policy whose rows another one may let go earlier: it has no rule that means all of these rows and keeps them at least as long. */
export function lostRules(before: Policy, { retentionMs, rules }: Policy): readonly Rule[] {
  return before.rules.filter(
    (lost) =>
      !isAtLeast(retentionMs, lost.retentionMs) &&
      !rules.some((rule) => isAtLeast(rule.retentionMs, lost.retentionMs) && covers(rule.match, lost.match)),
  )
}

function isAtLeast(keptMs: number | undefined, otherMs: number | undefined): boolean {
  return (keptMs ?? Infinity) >= (otherMs ?? Infinity)
}
