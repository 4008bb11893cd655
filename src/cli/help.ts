import { JOBS } from '../catalogue.ts'
import { describeSettings } from '../config/schema.ts'
import { fitted, wrapped } from '../observe/width.ts'
import type { Command } from './command.ts'
import { COMMANDS, CONFIG_FILE, HELP, VERSION } from './commands.ts'
import type { Option } from './options.ts'

/** The help of these commands, for a terminal of this width. */
export function helpText(commands: readonly Command[] = COMMANDS, room = Infinity): string {
  const usage = commands.flatMap(linesOf)
  const jobs = JOBS.map(({ name, summary }) => [`  ${name}`, summary] as const)
  const columns = columnsFor(room)
  const url = describeSettings().find((setting) => setting.key === 'database.url')?.default
  const paragraph = (text: string): string => wrapped(text, room).join('\n')
  return `${paragraph("Keeps the Secure MCP Gateway's database correct and small: applies migrations, purges what has expired.")}

Usage
${columns(usage)}

Options of every command
${columns([[`  ${written(CONFIG_FILE)}`, CONFIG_FILE.summary]], usage)}
  -h, ${written(HELP)}   -V, ${written(VERSION)}

Jobs
${columns(jobs)}

${paragraph(`The database is DATABASE_URL, the gateway's own; without it ${url}.`)}
${paragraph('Exit codes: 0 done, 1 a job failed, 2 usage or configuration, 3 database, 4 migrations or partitions, 5 safety stop.')}
`
}

type Line = readonly [left: string, right: string]

/** An option with a summary has a line of its own. */
function linesOf({ name, summary, options }: Command): readonly Line[] {
  const brief = options.filter((option) => option.summary === '').map((option) => `[${written(option)}]`)
  return [
    [`  mcp-gateway-maintenance ${name}`.trimEnd(), [summary, ...brief].join(' ')],
    ...options.filter((option) => option.summary !== '').map((option): Line => [`      ${written(option)}`, option.summary]),
  ]
}

function written({ name, form, placeholder }: Option<unknown>): string {
  return form === 'operands' ? placeholder : `--${name} ${placeholder}`.trimEnd()
}

/** The right sides begin in one column, the same as for `alike`; if too little room is left for them, each goes below its left side. */
function columnsFor(room: number): (lines: readonly Line[], alike?: readonly Line[]) => string {
  return (lines, alike = lines) => {
    const width = Math.max(...alike.map(([left]) => left.length)) + GAP
    if (room - width < LEAST_RIGHT) return lines.map(([left, right]) => fitted(`${left}\n${' '.repeat(BELOW)}${right}`, room)).join('\n')
    return lines.map(([left, right]) => fitted(`${left.padEnd(width)}${right}`, room)).join('\n')
  }
}

const GAP = 2
const BELOW = 10
const LEAST_RIGHT = 32
