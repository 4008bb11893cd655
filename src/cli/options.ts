import { locationProblem } from '../archive/archive-location.ts'
import { JOBS } from '../catalogue.ts'
import type { Since } from '../commands/archive/archive-verify.ts'
import { timeOf } from '../policy/holds.ts'
import { patternProblems } from '../policy/match.ts'
import { withoutCredentials } from '../secrets/foreign-text.ts'
import { parseDuration, type EpochMs } from '../time/clock.ts'
import { parseWindow, type DailyWindow } from '../time/daily-window.ts'

/** One option of a command: how it is written, and what it stands for. */
export interface Option<Value> {
  /** Without its dashes; operands have no name. */
  readonly name: string
  /** Operands are the words that follow a command. */
  readonly form: 'flag' | 'value' | 'repeatable' | 'operands'
  /** What the help shows for its value. */
  readonly placeholder: string
  /** For the help; empty: the option is only named, after the summary of its command. */
  readonly summary: string
  /** What is wrong with one of the texts that it was given; `undefined`: nothing. */
  problemOf(text: string): string | undefined
  /** The value that its texts stand for; there are none if the option was left out. */
  valueOf(texts: readonly string[]): Value
}

export function flag(name: string, summary = ''): Option<boolean> {
  return { name, form: 'flag', placeholder: '', summary, problemOf: () => undefined, valueOf: (texts) => texts.length > 0 }
}

/** A text as it is; `kind`: what it has to name. */
export function text(name: string, placeholder: string, kind: string, summary = ''): Option<string | undefined> {
  const problemOf = (given: string): string | undefined => (given === '' ? `--${name} needs the name of a ${kind}` : undefined)
  return { name, form: 'value', placeholder, summary, problemOf, valueOf: lastOf }
}

/** Where an archive may lie: a folder, or `s3://bucket/path`. */
export function archivePlace(name: string, summary: string): Option<string | undefined> {
  const problemOf = (given: string): string | undefined => {
    if (given === '') return `--${name} needs a folder or s3://bucket/path`
    const problem = locationProblem(given)
    return problem === undefined ? undefined : `--${name}: ${problem}`
  }
  return { name, form: 'value', placeholder: 'PLACE', summary, problemOf, valueOf: lastOf }
}

/** Names from the catalogue; none: all jobs. */
export function jobNames(summary: string): Option<readonly string[]> {
  return { name: 'job', form: 'repeatable', placeholder: 'NAME', summary, problemOf: jobProblem, valueOf: (names) => names }
}

/** `2026-08-25`, in UTC. */
export function day(name: string): Option<string | undefined> {
  const problemOf = (given: string): string | undefined =>
    isDay(given) ? undefined : `--${name} is ${quoted(given)}, but needs a day such as 2026-08-25`
  return { name, form: 'value', placeholder: 'DAY', summary: '', problemOf, valueOf: lastOf }
}

/** A day, or a time; UTC where it says no zone. */
export function moment(name: string, summary: string): Option<EpochMs | undefined> {
  const problemOf = (given: string): string | undefined =>
    timeOf(given) === undefined
      ? `--${name} is ${quoted(given)}, but needs a day such as 2026-08-25 or a time such as 2026-08-25T14:30Z`
      : undefined
  return { name, form: 'value', placeholder: 'DAY|TIME', summary, problemOf, valueOf: (texts) => texts.map(timeOf).at(-1) }
}

/** Values of a column; a row has one of them. */
export function patterns(name: string, placeholder: string, summary: string): Option<readonly string[]> {
  const problemOf = (given: string): string | undefined => {
    const [problem] = patternProblems(given)
    return problem === undefined ? undefined : `--${name} ${problem}`
  }
  return { name, form: 'repeatable', placeholder, summary, problemOf, valueOf: (texts) => texts }
}

/** Words for people, on one line. */
export function words(name: string, placeholder: string, most: number, summary: string): Option<string | undefined> {
  const problemOf = (given: string): string | undefined => {
    if (given.trim() === '') return `--${name} is empty`
    if (given.length > most) return `--${name} has ${given.length} characters, and ${most} are the most`
    return !given.isWellFormed() || /\p{Cc}/u.test(given) ? `--${name} has a control character or half a character` : undefined
  }
  return { name, form: 'value', placeholder, summary, problemOf, valueOf: lastOf }
}

const DEFAULT_SINCE = '30d'

/** How long ago, in milliseconds. */
export function sinceAgo(summary: string): Option<number> {
  return {
    name: 'since',
    form: 'value',
    placeholder: DEFAULT_SINCE,
    summary,
    problemOf: (given) =>
      parseDuration(given) === undefined
        ? `--since is ${quoted(given)}, but needs a length of time with its unit, such as 12h or 30d`
        : undefined,
    valueOf: (texts) => parseDuration(lastOf(texts) ?? DEFAULT_SINCE) ?? 0,
  }
}

export function sinceDay(): Option<Since | undefined> {
  return {
    name: 'since',
    form: 'value',
    placeholder: 'DAY|30d',
    summary: '',
    problemOf: (given) =>
      sinceOf(given) === undefined
        ? `--since is ${quoted(given)}, but needs a day such as 2026-08-25 or a length of time such as 30d`
        : undefined,
    valueOf: (texts) => texts.map(sinceOf).at(-1),
  }
}

/** `02:00-04:00` */
export function dailyWindow(name: string, summary: string): Option<DailyWindow | undefined> {
  const problemOf = (given: string): string | undefined =>
    parseWindow(given) === undefined ? `--${name} is ${quoted(given)}, but needs a time of day such as 02:00-04:00` : undefined
  return { name, form: 'value', placeholder: '02:00-04:00', summary, problemOf, valueOf: (texts) => texts.map(parseWindow).at(-1) }
}

/** The number of a migration, with or without the zeros of its file. */
export function version(name: string, summary: string): Option<number | undefined> {
  const problemOf = (given: string): string | undefined =>
    /^\d{1,9}$/.test(given) ? undefined : `--${name} is ${quoted(given)}, but needs the number of a migration, such as 5 or 005`
  return { name, form: 'value', placeholder: 'N', summary, problemOf, valueOf: (texts) => texts.map(Number).at(-1) }
}

export function operands(placeholder: string): Option<readonly string[]> {
  return { name: '', form: 'operands', placeholder, summary: '', problemOf: () => undefined, valueOf: (texts) => texts }
}

/** In quotes and without credentials: somebody may type a database URL in place of any word. */
export function quoted(word: string): string {
  return JSON.stringify(withoutCredentials(word))
}

function jobProblem(name: string): string | undefined {
  const names = JOBS.map((job) => job.name)
  return names.includes(name) ? undefined : `unknown job ${quoted(name)}; the jobs are ${names.join(', ')}`
}

function sinceOf(given: string): Since | undefined {
  if (isDay(given)) return { day: given }
  const agoMs = parseDuration(given)
  return agoMs === undefined ? undefined : { agoMs }
}

function isDay(given: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(given) && !Number.isNaN(Date.parse(given))
}

function lastOf(texts: readonly string[]): string | undefined {
  return texts.at(-1)
}
