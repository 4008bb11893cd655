import { matchOf, matchProblems } from '../policy/match.ts'
import { FOREVER, isRuleName, MOST_POLICY_BYTES, MOST_RULES, policyText, type Rule } from '../policy/rules.ts'
import { withoutCredentials } from '../secrets/foreign-text.ts'
import { parseDuration } from '../time/clock.ts'
import { durationProblem, LONGEST_RETENTION_MS } from './duration-problem.ts'
import type { PartProblem } from './layer.ts'
import { nearest } from './nearest.ts'
import { shown } from './shown.ts'

/** A rule as it is written. */
export interface RuleValue {
  readonly name: string
  readonly match: Readonly<Record<string, string | readonly string[]>>
  readonly retention: string
}

const KEYS = ['name', 'match', 'retention']

const EXAMPLE = '[{ name: security, match: { status: [denied] }, retention: 365d }]'

/** Without a rule there are none. */
export function rulesMeant(value: unknown): unknown {
  return Array.isArray(value) && value.length === 0 ? null : value
}

/** What is wrong with a list of rules, and with each of them. */
export function rulesProblems(value: unknown, columns: readonly string[], leastMs: number): readonly PartProblem[] {
  if (!Array.isArray(value)) return [{ part: '', problem: `${shown(value)} is not a list of rules; write one, such as ${EXAMPLE}` }]
  const rules: readonly unknown[] = value
  const problems = [
    ...(rules.length > MOST_RULES ? [{ part: '', problem: `it lists ${rules.length} rules, and ${MOST_RULES} are the most` }] : []),
    ...rules.flatMap((rule, at) => ruleProblems(rule, at, rules, columns, leastMs)),
  ]
  return problems.length > 0 || isShortEnough(rulesOf(value), columns)
    ? problems
    : [
        {
          part: '',
          problem: `the rules are longer than ${MOST_POLICY_BYTES} bytes, the most that is allowed; use prefixes, such as stripe:*`,
        },
      ]
}

/** Each run records its rules, and the next one reads them. */
function isShortEnough(rules: readonly Rule[], columns: readonly string[]): boolean {
  return policyText({ retentionMs: LONGEST_RETENTION_MS, rules }, columns).length <= MOST_POLICY_BYTES
}

function ruleProblems(rule: unknown, at: number, rules: readonly unknown[], columns: readonly string[], leastMs: number): PartProblem[] {
  if (!isSection(rule))
    return [
      { part: `[${at}]`, problem: `${shown(rule)} is not a rule; write one with ${KEYS.join(', ')}, such as ${EXAMPLE.slice(1, -1)}` },
    ]
  const { name, match, retention } = rule
  const unknown = Object.keys(rule).flatMap((key) => (KEYS.includes(key) ? [] : [unknownKey(key)]))
  const missing = KEYS.flatMap((key) => (Object.hasOwn(rule, key) ? [] : [`it has no ${key}`]))
  const of = (key: string, problems: readonly (string | undefined)[]): PartProblem[] =>
    Object.hasOwn(rule, key)
      ? problems.flatMap((problem) => (problem === undefined ? [] : [{ part: `[${at}].${key}`, problem: withoutCredentials(problem) }]))
      : []
  return [
    ...[...unknown, ...missing].map((problem) => ({ part: `[${at}]`, problem })),
    ...of('name', [nameProblem(name) ?? doubledProblem(name, at, rules)]),
    ...of('match', conditionProblems(match, columns)),
    ...of('retention', [
      retention === FOREVER ? undefined : durationProblem(retention, leastMs, LONGEST_RETENTION_MS, `365d, or ${FOREVER}`),
    ]),
  ]
}

/** The key may be anything by mistake, even a password. */
function unknownKey(key: string): string {
  if (!/^[\w.-]{1,60}$/.test(key)) return `it has a key that is not a name; a rule has ${KEYS.join(', ')}`
  const meant = nearest(key, KEYS)
  return `there is no ${key} in a rule; ${meant === undefined ? `it has ${KEYS.join(', ')}` : `did you mean ${meant}?`}`
}

function nameProblem(name: unknown): string | undefined {
  if (typeof name !== 'string') return `${shown(name)} is not text; put it in quotation marks`
  return isRuleName(name)
    ? undefined
    : `${shown(name)} is not a name; begin with a letter or digit, and go on with those and . _ : @ / -, 64 characters at most`
}

function doubledProblem(name: unknown, at: number, rules: readonly unknown[]): string | undefined {
  const first = rules.findIndex((rule) => isSection(rule) && rule['name'] === name)
  return first < at ? `${shown(name)} is the name of rule [${first}] too; give each its own` : undefined
}

function conditionProblems(match: unknown, columns: readonly string[]): readonly string[] {
  if (!isSection(match))
    return [
      `${shown(match)} is not a match; write columns with their values, such as { status: [denied] }; columns are ${columns.join(', ')}`,
    ]
  const names = Object.keys(match)
  if (names.length === 0) return [`it has no column; name at least one of ${columns.join(', ')}`]
  return [
    ...names.flatMap((name) => (columns.includes(name) ? [] : [unknownColumn(name, columns)])),
    ...matchProblems(Object.fromEntries(Object.entries(match).filter(([name]) => columns.includes(name))), columns),
  ]
}

function unknownColumn(name: string, columns: readonly string[]): string {
  const meant = nearest(name, columns)
  const word = /^[\w.-]{1,60}$/.test(name) ? JSON.stringify(name) : 'one of its keys'
  return `${word} is no column to match by; ${meant === undefined ? `columns are ${columns.join(', ')}` : `did you mean ${meant}?`}`
}

function isSection(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** From rules without problems. */
export function rulesOf(values: readonly RuleValue[] | null | undefined): readonly Rule[] {
  return (values ?? []).map(({ name, match, retention }) => ({ name, match: matchOf(match), retentionMs: parseDuration(retention) }))
}
