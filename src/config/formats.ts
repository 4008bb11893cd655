import { locationProblem } from '../archive/archive-location.ts'
import { parseDatabaseUrl } from '../database/url/database-url.ts'
import { schemaNameProblem } from '../database/url/schema-name.ts'
import { messageOf } from '../errors.ts'
import { isHostPattern } from '../http/hosts.ts'
import { scheduleProblem } from '../schedule/expression.ts'
import { FOREVER } from '../policy/rules.ts'
import { withoutCredentials } from '../secrets/foreign-text.ts'
import { DAY } from '../time/clock.ts'
import { durationProblem, LONGEST_RETENTION_MS } from './duration-problem.ts'
import type { PartProblem } from './layer.ts'
import { rulesMeant, rulesProblems } from './retention-rules.ts'
import { shown } from './shown.ts'

/** What a format needs to know about the setting. */
export interface Limits {
  readonly choices?: readonly string[]
  /** What others call a choice, in lower case. */
  readonly aliases?: Readonly<Record<string, string>>
  readonly leastMs?: number
}

interface Format {
  /** What is wrong with a value, as a file holds it, or `undefined`; of a value with parts, each problem. */
  check(value: unknown, limits: Limits): string | undefined | readonly PartProblem[]
  /** The value of an environment variable's text. Text that cannot be parsed is returned as it is, for `check` to refuse. */
  readonly fromText?: (text: string) => unknown
  /** What a value means that may be spelled in several ways, wherever it is written; what cannot be read stays as it is, for `check` to refuse. */
  readonly meant?: (value: unknown, limits: Limits) => unknown
  /** In the environment, it is written as in a file. */
  readonly isStructured?: true
}

const BY_NAME = {
  'database URL': { check: databaseUrlProblem },
  text: { check: textProblem },
  'place of an archive': { check: archiveProblem },
  endpoint: { check: endpointProblem },
  region: { check: regionProblem },
  schema: { check: schemaProblem },
  truth: { check: booleanProblem, fromText: readBoolean },
  duration: { check: (value) => durationProblem(value, 0, LONGEST_WAIT_MS, '30s') },
  grace: { check: (value) => durationProblem(value, 0, LONGEST_RETENTION_MS, '5m') },
  retention: { check: (value, { leastMs = 0 }) => durationProblem(value, leastMs, LONGEST_RETENTION_MS, '90d') },
  'retention or forever': {
    check: (value, { leastMs = 0 }) =>
      value === FOREVER ? undefined : durationProblem(value, leastMs, LONGEST_RETENTION_MS, `365d, or ${FOREVER}`),
    fromText: (text) => (text.toLowerCase() === FOREVER ? FOREVER : text),
  },
  schedule: { check: checkSchedule },
  'time zone': { check: timeZoneProblem },
  port: { check: portProblem, fromText: (text) => (/^\d{1,5}$/.test(text) ? Number(text) : text) },
  hosts: { check: hostsProblem, fromText: listed },
  rules: {
    check: (value, { choices = [], leastMs = 0 }) => rulesProblems(value, choices, leastMs),
    meant: rulesMeant,
    isStructured: true,
  },
  tables: {
    check: (value, { choices = [] }) => tablesProblem(value, choices),
    fromText: listed,
  },
  choice: { check: (value, { choices = [] }) => choiceProblem(value, choices), meant: choiceMeant },
} satisfies Record<string, Format>

/** The formats of settings. convict's own formats silently coerce values, so none of them is used. */
export type FormatName = keyof typeof BY_NAME

export const FORMATS: Readonly<Record<FormatName, Format>> = BY_NAME
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its own keys
export const FORMAT_NAMES = Object.keys(BY_NAME) as readonly FormatName[]

/** A timer cannot wait longer. */
const LONGEST_WAIT_MS = 24 * DAY

/** The only check that shows nothing of the value. */
function databaseUrlProblem(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'it is not text'
  try {
    parseDatabaseUrl(value)
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

function textProblem(value: unknown): string | undefined {
  if (typeof value !== 'string') return `${shown(value)} is not text; put it in quotation marks`
  if (value === '') return 'it is empty'
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(value)) return `${shown(value)} holds a control character`
  // It would be shown wherever the setting is shown.
  if (withoutCredentials(value) !== value)
    return `${shown(value)} holds a password, which only database.url may; is it meant for DATABASE_URL?`
  return value === value.trim() ? undefined : `${shown(value)} begins or ends with a space`
}

function archiveProblem(value: unknown): string | undefined {
  return textProblem(value) ?? (typeof value === 'string' ? locationProblem(value) : undefined)
}

function endpointProblem(value: unknown): string | undefined {
  const problem = textProblem(value)
  if (problem !== undefined || typeof value !== 'string') return problem
  const url = /^https?:\/\//.test(value) && URL.canParse(value) ? new URL(value) : undefined
  const isBare = url?.username === '' && url.password === '' && url.pathname === '/' && url.search === '' && url.hash === ''
  return isBare
    ? undefined
    : `${shown(value)} is not an endpoint; write http:// or https://, a host and perhaps a port, such as https://s3.example.com:9000`
}

function regionProblem(value: unknown): string | undefined {
  const isRegion = typeof value === 'string' && /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38}[A-Za-z0-9])?$/.test(value)
  return isRegion ? undefined : `${shown(value)} is not a region; write its name, such as eu-central-1`
}

function schemaProblem(value: unknown): string | undefined {
  const problem = typeof value === 'string' ? schemaNameProblem(value) : undefined
  return textProblem(value) ?? (problem === undefined ? undefined : `${shown(value)} ${problem}`)
}

function booleanProblem(value: unknown): string | undefined {
  return typeof value === 'boolean' ? undefined : `${shown(value)} is not a boolean; write true or false`
}

function readBoolean(text: string): unknown {
  const word = text.toLowerCase()
  return word === 'true' ? true : word === 'false' ? false : text
}

function checkSchedule(value: unknown): string | undefined {
  if (typeof value !== 'string') return `${shown(value)} is not a schedule; write a cron expression in quotation marks, such as "0 3 * * *"`
  const problem = scheduleProblem(value)
  return problem === undefined ? undefined : `${shown(value)} is not a schedule: ${problem}`
}

/**
 * Only `UTC` and names like `Europe/Berlin`: short names mean one zone to JavaScript and another to PostgreSQL (`BST` is Dhaka here and London
 * there), and an offset has its sign turned round.
 */
function timeZoneProblem(value: unknown): string | undefined {
  const known = typeof value === 'string' && /^(?:UTC|[A-Z][\w+-]*(?:\/[\w+-]+)+)$/i.test(value) && isTimeZone(value)
  return known ? undefined : `${shown(value)} is not a time zone; write UTC or a name such as Europe/Berlin`
}

function isTimeZone(name: string): boolean {
  // The first use of Intl takes as long as opening a database.
  if (name.toUpperCase() === 'UTC') return true
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

const MOST_PORT = 65_535

function portProblem(value: unknown): string | undefined {
  const whole = typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MOST_PORT
  return whole ? undefined : `${shown(value)} is not a port; write a whole number from 0 to ${MOST_PORT}`
}

function listed(text: string): readonly string[] {
  return text.split(',').map((each) => each.trim())
}

function tablesProblem(value: unknown, choices: readonly string[]): string | undefined {
  if (!Array.isArray(value)) return `${shown(value)} is not a list; write one, such as [${choices[0]}]`
  if (value.length === 0) return 'it lists no tables; leave the setting out'
  const wrong: readonly unknown[] = value.filter((each) => !choices.some((choice) => choice === each))
  return wrong.length === 0
    ? undefined
    : `${wrong.map(shown).join(', ')} is none of the gateway’s tables, which are ${choices.join(', ')}; tables of others need no setting`
}

const MOST_HOSTS = 100

function hostsProblem(value: unknown): string | undefined {
  if (!Array.isArray(value)) return `${shown(value)} is not a list; write one, such as [localhost, '*.example.com']`
  if (value.length === 0 || value.length > MOST_HOSTS)
    return `it lists ${value.length} hosts; list 1 to ${MOST_HOSTS}, or leave the setting out`
  const wrong: readonly unknown[] = value.filter((each) => typeof each !== 'string' || !isHostPattern(each))
  return wrong.length === 0
    ? undefined
    : `${wrong.map(shown).join(', ')} is not a host; write a name or an address without a port, *. before a name for every name below it, or * for every host`
}

function choiceMeant(value: unknown, { choices = [], aliases = {} }: Limits): unknown {
  const word = String(value).toLowerCase()
  return typeof value === 'string'
    ? (choices.find((choice) => choice === word || choice === new Map(Object.entries(aliases)).get(word)) ?? value)
    : value
}

function choiceProblem(value: unknown, choices: readonly string[]): string | undefined {
  return choices.some((choice) => choice === value) ? undefined : `${shown(value)} is not one of ${choices.join(', ')}`
}
