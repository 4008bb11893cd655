import { JOBS } from '../catalogue.ts'
import { describeSettings } from '../config/schema.ts'
import type { Command } from './command.ts'
import { COMMANDS, CONFIG_FILE, HELP, VERSION } from './commands.ts'
import type { Option } from './options.ts'

/** `--help`. */
export function helpText(): string {
  const usage = COMMANDS.flatMap(linesOf)
  const width = Math.max(...usage.map(([left]) => left.length))
  const jobs = JOBS.map(({ name, summary }) => [`  ${name}`, summary] as const)
  const url = describeSettings().find((setting) => setting.key === 'database.url')?.default
  return `Keeps the Secure MCP Gateway's database correct and small: applies migrations, purges what has expired.

Usage
${columns(usage, width)}

Every form takes
${columns([[`  ${written(CONFIG_FILE)}`, CONFIG_FILE.summary]], width)}
  ${written(HELP)}   ${written(VERSION)}

Jobs
${columns(jobs, Math.max(...jobs.map(([left]) => left.length)))}

The database is DATABASE_URL, the gateway's own; without it ${url}.
Exit codes: 0 done, 1 a job failed, 2 usage or configuration, 3 database, 4 migrations, 5 safety stop.
`
}

type Line = readonly [left: string, right: string]

/** An option that has something to say has a line of its own. */
function linesOf({ name, summary, options }: Command): readonly Line[] {
  const brief = options.filter((option) => option.summary === '').map((option) => `[${written(option)}]`)
  return [
    [`  mcp-gateway-maintenance ${name}`.trimEnd(), `${summary}${brief.length === 0 ? '' : `   ${brief.join(' ')}`}`],
    ...options.filter((option) => option.summary !== '').map((option): Line => [`      ${written(option)}`, option.summary]),
  ]
}

function written({ name, form, placeholder }: Option<unknown>): string {
  return form === 'operands' ? placeholder : `--${name} ${placeholder}`.trimEnd()
}

function columns(lines: readonly Line[], width: number): string {
  return lines.map(([left, right]) => `${left.padEnd(width)}  ${right}`).join('\n')
}
