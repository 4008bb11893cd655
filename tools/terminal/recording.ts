import { cellsOf, type Cell } from '../../test/support/screen.ts'
import { onTerminal } from '../../test/support/terminal.ts'
import { demoDatabase, later, type DemoDatabase } from './demo-database.ts'
import type { Picture } from './picture.ts'

/** Wide enough for the widest line, and not wider than a page. */
export const COLUMNS = 100

interface Session {
  readonly file: string
  readonly title: string
  readonly description: string
  /** What happens to the database before. */
  readonly before?: (database: DemoDatabase) => Promise<void>
  readonly commands: readonly (readonly string[])[]
}

/** One after the other on the same database: what one shows follows from those before it. */
export const SESSIONS: readonly Session[] = [
  {
    file: 'docs/terminal.svg',
    title: 'A dry run and a run on a terminal',
    description:
      'The dry run counts what would be deleted, job by job in a table and by day as bars. The run then shows a full bar for each job, with rows and speed, and a table of what was deleted and how each job ended.',
    commands: [['--run-now', '--dry-run'], ['--run-now']],
  },
  {
    file: 'docs/terminal-status.svg',
    title: 'status on a terminal',
    description:
      'The database and its migrations; for each job what it removes, its schedule, its next and its last run, and what has expired since; at the end a bar of the expired rows that wait for each job.',
    before: later,
    commands: [['status']],
  },
]

/** Runs every session on a terminal of its own. Rejects when a command does not succeed: a picture shows no failure. */
export async function record(): Promise<ReadonlyMap<string, Picture>> {
  await using database = await demoDatabase()
  const pictures = new Map<string, Picture>()
  for (const { file, title, description, before, commands } of SESSIONS) {
    await before?.(database)
    const lines: (readonly Cell[])[] = []
    for (const words of commands) {
      const env = { DATABASE_URL: database.relativeUrl, TZ: 'UTC' }
      const { code, sent } = await onTerminal(words, { columns: COLUMNS, cwd: database.folder, env })
      if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code}:\n${sent}`)
      if (lines.length > 0) lines.push([])
      lines.push(prompt(words), ...withoutEnd(cellsOf(sent, COLUMNS)))
    }
    pictures.set(file, { title, description, columns: COLUMNS, lines })
  }
  return pictures
}

function prompt(words: readonly string[]): readonly Cell[] {
  return Array.from(`$ mcp-gateway-maintenance ${words.join(' ')}`, (character) => ({ character, bold: true, red: false }))
}

function withoutEnd(lines: readonly (readonly Cell[])[]): readonly (readonly Cell[])[] {
  return lines.slice(0, lines.findLastIndex((line) => line.length > 0) + 1)
}
