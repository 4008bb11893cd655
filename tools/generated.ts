import { cascadeVariable, graceOf, retentionOf, rulesVariable, JOBS, type Job } from '../src/catalogue.ts'
import { LIBPQ_PARAMETERS } from '../src/database/url/libpq-parameters.ts'
import { describeSettings } from '../src/config/schema.ts'
import { DAY, formatDuration } from '../src/time/clock.ts'
import { PROBES } from '../src/doctor/probes.ts'
import { eventRows } from './events-table.ts'
import { metricRows } from './metrics-table.ts'
import { highlights, resultsText } from './performance-figures.ts'

/** A part of a file that repeats the code, between two lines that name it. */
interface Part {
  readonly file: string
  readonly begin: string
  readonly end: string
  text(): string
}

const PARTS: readonly Part[] = [
  { file: 'README.md', ...markdown('jobs'), text: jobsTable },
  { file: 'README.md', ...markdown('settings'), text: usualSettingsTable },
  { file: 'README.md', ...markdown('performance'), text: () => `\n${highlights().join('\n')}\n\n` },
  { file: 'docs/settings.md', ...markdown('settings'), text: settingsTable },
  { file: 'docs/doctor.md', ...markdown('probes'), text: probesTable },
  { file: 'docs/log-events.md', ...markdown('events'), text: () => table(['event', 'level', 'fields', ''], eventRows()) },
  { file: 'docs/connection-parameters.md', ...markdown('parameters'), text: parametersTable },
  { file: 'docs/metrics.md', ...markdown('metrics'), text: () => table(['metric', 'kind', 'labels', ''], metricRows()) },
  { file: 'bench/README.md', ...markdown('results'), text: () => `\n${resultsText()}\n\n` },
  { file: 'config/default.yaml', begin: '  # jobs: written by `npm run docs`\n', end: '  # end of jobs\n', text: jobSettings },
]

/** The files that hold such parts. */
export const FILES: readonly string[] = [...new Set(PARTS.map(({ file }) => file))]

/** The text of a file with its parts brought up to date. Throws where a part has no place. */
export function broughtUpToDate(file: string, text: string): string {
  return PARTS.filter((part) => part.file === file).reduce((before, part) => {
    const begin = before.indexOf(part.begin)
    const end = before.indexOf(part.end)
    if (begin === -1 || end < begin) throw new Error(`${file} has no place between ${part.begin} and ${part.end}`)
    return `${before.slice(0, begin)}${part.begin}${part.text()}${before.slice(end)}`
  }, text)
}

function markdown(name: string): Pick<Part, 'begin' | 'end'> {
  return { begin: `<!-- ${name}: written by \`npm run docs\` -->\n`, end: `<!-- end of ${name} -->` }
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
  return `\n${lines.join('\n')}\n\n`
}

function code(name: string | undefined): string {
  return name === undefined ? '' : `\`${name}\``
}

function parametersTable(): string {
  const rows = LIBPQ_PARAMETERS.map(({ keyword, variable, jdbc, fate, harmless = [], note }) => {
    const silently = harmless.length === 0 ? '' : ` (not at ${harmless.map(code).join(' ')})`
    return [code(keyword), code(variable), code(jdbc), `${fate}${silently}`, note]
  })
  return table(['parameter', 'variable', 'JDBC', 'is', ''], rows)
}

function probesTable(): string {
  return table(
    ['code', 'finds'],
    PROBES.map(({ code: name, finds }) => [`\`${name}\``, finds]),
  )
}

function settingsTable(): string {
  const rows = describeSettings().map(({ key, environment, default: value, doc }) => [
    `\`${key}\``,
    environment.map((name) => `\`${name}\``).join(' or '),
    value === null ? 'none' : `\`${value}\``,
    doc,
  ])
  return table(['setting', 'environment', 'default', ''], rows)
}

/** What most installations change; the whole table is docs/settings.md. */
const USUAL_SETTINGS = [
  'database.url',
  'database.schema',
  'jobs.purgeAuditLogs.retention',
  'jobs.purgeAuditLogs.schedule',
  'schedule.timeZone',
  'migrations.enabled',
  'archive.enabled',
  'archive.directory',
  'http.enabled',
  'log.level',
]

function usualSettingsTable(): string {
  const settings = new Map(describeSettings().map((setting) => [setting.key, setting]))
  const rows = USUAL_SETTINGS.map((key) => {
    const setting = settings.get(key)
    if (setting === undefined) throw new Error(`there is no setting ${key}`)
    const { environment, default: value, doc } = setting
    return [environment.map((name) => `\`${name}\``).join(' or '), `\`${value}\``, doc]
  })
  return table(['environment variable', 'default', ''], rows)
}

function jobsTable(): string {
  const rows = JOBS.map((job) => [`\`${job.name}\``, removes(job), byDefault(job)])
  return table(['job', 'removes', 'by default'], rows)
}

function removes({ table: from, column, keep }: Job): string {
  return `\`${from}\` whose \`${column}\` ${keep.from === 'expiry' ? 'has passed' : 'is older than the retention'}`
}

function byDefault(job: Job): string {
  const { schedule } = job
  const retention = retentionOf(job)
  return [...(retention === undefined ? [] : [`older than ${retention.defaultMs / DAY} days`]), inWords(schedule)].join(', ')
}

function inWords(schedule: string): string {
  const [, minutes] = /^\*\/(\d+) \* \* \* \*$/.exec(schedule) ?? []
  if (minutes !== undefined) return `every ${minutes} minutes`
  const [, minute, hour] = /^(\d+) (\d+) \* \* \*$/.exec(schedule) ?? []
  return minute === undefined || hour === undefined ? `\`${schedule}\`` : `at ${hour.padStart(2, '0')}:${minute.padStart(2, '0')} UTC`
}

/** The defaults of every job, as config/default.yaml has them. */
function jobSettings(): string {
  return JOBS.map((job) => {
    const { settings, environment, schedule, summary } = job
    const retention = retentionOf(job)
    const lines = [
      `# ${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`,
      `${settings}:`,
      `  # ${environment}_ENABLED`,
      '  enabled: true',
      `  # ${environment}_SCHEDULE`,
      `  schedule: '${schedule}'`,
    ]
    if (retention !== undefined) {
      lines.push(
        `  # Rows are kept this long, ${formatDuration(retention.leastMs)} at least; 90d is 90 times 24 hours. ${retention.environment}`,
      )
      lines.push(`  retention: ${formatDuration(retention.defaultMs)}`)
    }
    const rules = rulesVariable(job)
    if (rules !== undefined) {
      lines.push(
        `  # Rows that are kept longer, as [{ name: security, match: { status: [denied] }, retention: 365d }]; null is none. ${rules}`,
      )
      lines.push('  rules: null')
    }
    const grace = graceOf(job)
    if (grace !== undefined) lines.push(`  # Rows are kept this long after they have expired. ${grace.environment}`, '  grace: 0s')
    lines.push(
      `  # The gateway's tables whose rows may go along by foreign keys, as [TABLE]; null is none. ${cascadeVariable(job)}`,
      '  cascade: null',
    )
    return lines.map((line) => `  ${line}\n`).join('')
  }).join('\n')
}
