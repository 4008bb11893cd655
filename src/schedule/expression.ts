/**
 * What is wrong with a cron expression, in one line, or `undefined`. It takes less than node-cron does: what node-cron reads differently from
 * every other cron, or reads as something nobody means, is refused.
 */
export function scheduleProblem(expression: string): string | undefined {
  const fields = fieldsOf(expression)
  if (fields[0]?.startsWith('@') === true) return `a nickname is one of ${[...NICKNAMES.keys()].join(', ')}`
  if (fields.length !== 5 && fields.length !== 6)
    return `it has ${fields.length} fields, not five (minute hour day month weekday) or six with seconds first`
  const texts = fields.length === 5 ? ['0', ...fields] : fields
  const problems = FIELDS.flatMap((field, at) => fieldProblem(field, texts[at]!) ?? [])
  if (problems.length > 0) return problems.join('; ')

  const [day = '', month = '', weekday = ''] = texts.slice(3)
  if (restricts(day) && restricts(weekday))
    return 'it restricts both day of month and weekday, which some programs read as "both" and others as "either"; write * for one of them'
  if (!isPossible(day, month)) return `day of month "${day}" does not come in month "${month}"`
  return undefined
}

/** What stands between blanks; a nickname such as `@daily` is what it stands for. */
export function fieldsOf(expression: string): readonly string[] {
  const text = expression.trim()
  return text === '' ? [] : (NICKNAMES.get(text.toLowerCase()) ?? text).split(/[ \t]+/)
}

interface Field {
  readonly name: string
  readonly least: number
  readonly most: number
  /** A range that runs backwards wraps after this. */
  readonly wrapsAfter: number
  readonly names: readonly string[]
  /** Tokens other than numbers, names, ranges and steps. */
  readonly special: RegExp
}

const NEVER = /^(?!)/
/** `*`, `5`, `5-10`, optionally followed by a step. */
const RANGE = /^(?:\*|(\d+)(?:-(\d+))?)(?:\/(\d+))?$/
const MONTHS = ['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october', 'november', 'december']
const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']

/** `L` last, `W` nearest working day, `#` the nth of the month. */
const FIELDS: readonly Field[] = [
  { name: 'second', least: 0, most: 59, wrapsAfter: 59, names: [], special: NEVER },
  { name: 'minute', least: 0, most: 59, wrapsAfter: 59, names: [], special: NEVER },
  { name: 'hour', least: 0, most: 23, wrapsAfter: 23, names: [], special: NEVER },
  {
    name: 'day of month',
    least: 1,
    most: 31,
    wrapsAfter: 31,
    names: [],
    special: /^(?:L|LW|L-0?[1-9]|L-[12]\d|L-30|(?:0?[1-9]|[12]\d|3[01])W)$/i,
  },
  { name: 'month', least: 1, most: 12, wrapsAfter: 12, names: MONTHS, special: NEVER },
  { name: 'weekday', least: 0, most: 7, wrapsAfter: 6, names: WEEKDAYS, special: /^[0-7](?:L|#[1-5])$/i },
]

function fieldProblem(field: Field, text: string): string | undefined {
  if (text === '?' && (field.name === 'day of month' || field.name === 'weekday')) return undefined
  for (const token of text.split(',')) {
    const problem = tokenProblem(field, token)
    if (problem !== undefined) return `${field.name} "${token}" ${problem}`
  }
  return undefined
}

function tokenProblem(field: Field, token: string): string | undefined {
  const plain = withNumbers(field, token)
  if (field.special.test(plain)) return undefined
  const match = RANGE.exec(plain)
  if (match === null) return 'cannot be read'
  const [, from, to, step] = match
  for (const value of [from, to])
    if (value !== undefined && (Number(value) < field.least || Number(value) > field.most))
      return `is not within ${field.least} to ${field.most}`
  if (step === undefined) return undefined
  if (from !== undefined && to === undefined) return 'steps from a single value; write a range, or * before the step'
  const reach = from === undefined ? field.wrapsAfter - field.least : distance(field, Number(from), Number(to))
  if (Number(step) === 0) return 'has a step of 0'
  if (Number(step) > Math.max(reach, 1)) return `steps further than it reaches: the step can be ${Math.max(reach, 1)} at most`
  return undefined
}

function distance(field: Field, from: number, to: number): number {
  return to >= from ? to - from : to - from + (field.wrapsAfter - field.least + 1)
}

/** Month and weekday names, whole or three letters long, as numbers. */
function withNumbers(field: Field, token: string): string {
  return token.replace(/[a-z]{3,}/gi, (word) => {
    const bare = word.toLowerCase()
    // `friL` is the last Friday.
    const name = field.name === 'weekday' && bare.endsWith('l') ? bare.slice(0, -1) : bare
    const at = field.names.findIndex((each) => each === name || each.slice(0, 3) === name)
    return at === -1 ? word : `${at + field.least}${name === bare ? '' : 'L'}`
  })
}

function restricts(text: string): boolean {
  return !['*', '?', '*/1'].includes(text)
}

const MOST_DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

function isPossible(day: string, month: string): boolean {
  if (!restricts(day)) return true
  const longest = Math.max(...MOST_DAYS.filter((_, at) => includesMonth(month, at + 1)))
  return day.split(',').some((token) => {
    const last = /^L-(\d+)$/i.exec(token)
    if (last !== null) return longest - Number(last[1]) >= 1
    const first = /^\d+/.exec(token)
    // A range that runs backwards passes the first of the month.
    const to = /^\d+-(\d+)/.exec(token)
    return first === null || Number(first[0]) <= longest || (to !== null && Number(to[1]) < Number(first[0]))
  })
}

function includesMonth(text: string, month: number): boolean {
  const field = FIELDS[4]!
  return text.split(',').some((token) => {
    const match = RANGE.exec(withNumbers(field, token))!
    const from = Number(match[1] ?? field.least)
    const to = match[1] === undefined ? field.most : Number(match[2] ?? from)
    const ahead = distance(field, from, month)
    return ahead <= distance(field, from, to) && ahead % Number(match[3] ?? 1) === 0
  })
}

/** As in crontab(5). `@reboot` is none: a worker starts when it starts, and makes up for what was missed. */
const NICKNAMES: ReadonlyMap<string, string> = new Map([
  ['@hourly', '0 * * * *'],
  ['@daily', '0 0 * * *'],
  ['@midnight', '0 0 * * *'],
  ['@weekly', '0 0 * * 0'],
  ['@monthly', '0 0 1 * *'],
  ['@yearly', '0 0 1 1 *'],
  ['@annually', '0 0 1 1 *'],
])
