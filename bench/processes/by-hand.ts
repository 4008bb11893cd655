import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { EngineName } from '../engines/engine.ts'

const run = promisify(execFile)

/** Each writes text in the form that costs it least. */
const CLIENTS = {
  sqlite: `sqlite3 -csv "$DATABASE" "$QUERY"`,
  postgres: `psql -X -q -d "$DATABASE" -c "COPY ($QUERY) TO STDOUT"`,
} as const satisfies Record<EngineName, string>

const SQLITE = 'sqlite:///'

/** Those that are not installed. */
export async function missingPrograms(engine: EngineName): Promise<string[]> {
  const missing: string[] = []
  for (const program of ['bash', engine === 'sqlite' ? 'sqlite3' : 'psql', 'zstd'])
    await run(program, ['--version']).catch(() => void missing.push(program))
  return missing
}

/** Writes the rows of the query to a file, compressed as the archive's are, and on disk when it resolves. */
export async function pipedToFile(url: string, query: string, file: string): Promise<void> {
  const client = CLIENTS[url.startsWith(SQLITE) ? 'sqlite' : 'postgres']
  await run('bash', ['-o', 'pipefail', '-c', `${client} | zstd -q -1 > "$FILE" && sync "$FILE"`], {
    env: { PATH: process.env['PATH'], DATABASE: url.startsWith(SQLITE) ? url.slice(SQLITE.length) : url, QUERY: query, FILE: file },
  })
}
