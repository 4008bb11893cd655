import { parseArgs } from 'node:util'
import { MaintenanceError, messageOf } from '../../errors.ts'
import { withoutCredentials } from '../../secrets/foreign-text.ts'
import { parseDuration } from '../../time/clock.ts'

/** What `archive …` asks for. Days are `2026-08-25`, in UTC. */
export type ArchiveCommand = { readonly kind: 'archive'; readonly configFile: string | undefined } & (
  | { readonly action: 'verify'; readonly since: Since | undefined; readonly json: boolean }
  | { readonly action: 'list'; readonly json: boolean }
  | { readonly action: 'reconcile'; readonly dryRun: boolean; readonly json: boolean }
  | {
      readonly action: 'restore'
      readonly files: readonly string[]
      readonly from: string | undefined
      readonly to: string | undefined
      readonly into: string | undefined
      readonly json: boolean
    }
)

/** A day, or so long ago. */
export type Since = { readonly day: string } | { readonly agoMs: number }

const ACTIONS = ['verify', 'list', 'restore', 'reconcile'] as const

const OPTIONS = {
  since: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
  into: { type: 'string' },
  'dry-run': { type: 'boolean' },
  json: { type: 'boolean' },
  config: { type: 'string' },
} as const

/** Whether a command line is one of these: its first word that is no option is `archive`. */
export function isArchiveCommand(words: readonly string[]): boolean {
  return words.find((word, at) => !word.startsWith('-') && words[at - 1] !== '--config') === 'archive'
}

/** Throws `USAGE` with every problem, one a line. */
export function parseArchiveCommand(words: readonly string[]): ArchiveCommand {
  const { values, positionals } = parsed(words)
  const [, name, ...files] = positionals
  const action = ACTIONS.find((each) => each === name)
  const { from, to, into, config: configFile } = values
  const since = values.since === undefined ? undefined : sinceOf(values.since)
  const problems = [
    ...(action === undefined ? [`archive ${name === undefined ? 'needs' : `has no ${quoted(name)}; it has`} ${ACTIONS.join(', ')}`] : []),
    ...(action !== 'restore' && files.length > 0 ? [`unexpected argument ${files.map((file) => quoted(file)).join(' ')}`] : []),
    ...(action === 'restore' && files.length > 0 && (from !== undefined || to !== undefined)
      ? ['archive restore takes files, or --from and --to']
      : []),
    ...(action !== 'verify' && values.since !== undefined ? ['--since goes with archive verify'] : []),
    ...(action !== 'reconcile' && values['dry-run'] === true ? ['--dry-run goes with archive reconcile'] : []),
    ...(['from', 'to', 'into'] as const)
      .filter((option) => action !== 'restore' && values[option] !== undefined)
      .map((option) => `--${option} goes with archive restore`),
    ...(['from', 'to'] as const).flatMap((option) => {
      const day = values[option]
      return day === undefined || isDay(day) ? [] : [`--${option} is ${quoted(day)}, and needs a day such as 2026-08-25`]
    }),
    ...(values.since !== undefined && since === undefined
      ? [`--since is ${quoted(values.since)}, and needs a day such as 2026-08-25 or a length of time such as 30d`]
      : []),
    ...(into === '' ? ['--into needs the name of a table'] : []),
    ...(configFile === '' ? ['--config needs the name of a file'] : []),
  ]
  if (problems.length > 0 || action === undefined) throw usage(problems)
  const json = values.json === true
  switch (action) {
    case 'verify':
      return { kind: 'archive', action, since, json, configFile }
    case 'list':
      return { kind: 'archive', action, json, configFile }
    case 'reconcile':
      return { kind: 'archive', action, dryRun: values['dry-run'] === true, json, configFile }
    case 'restore':
      return { kind: 'archive', action, files, from, to, into, json, configFile }
  }
}

function parsed(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], options: OPTIONS, allowPositionals: true, strict: true })
  } catch (error) {
    throw usage([
      messageOf(error)
        .replace(/\. .*$/s, '')
        .replace(/\n/g, ' '),
    ])
  }
}

function sinceOf(text: string): Since | undefined {
  if (isDay(text)) return { day: text }
  const agoMs = parseDuration(text)
  return agoMs === undefined ? undefined : { agoMs }
}

function isDay(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text))
}

function quoted(text: string): string {
  return JSON.stringify(withoutCredentials(text))
}

function usage(problems: readonly string[]): MaintenanceError {
  return new MaintenanceError('USAGE', [...problems, 'nothing was done; --help shows every form'])
}
