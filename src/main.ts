import { readFileSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { isatty } from 'node:tty'
import { fileURLToPath } from 'node:url'
import { run } from './cli/cli.ts'
import { exitCodeOf, MaintenanceError } from './errors.ts'
import { visible } from './observe/control-characters.ts'
import { columnsOf, fitted } from './observe/width.ts'
import type { Host } from './program.ts'
import { withoutCredentials } from './secrets/foreign-text.ts'
import { hostClock } from './time/clock.ts'

const packageRoot = fileURLToPath(new URL('..', import.meta.url))

const host: Host = {
  arguments: process.argv.slice(2),
  env: process.env,
  workingDirectory: process.cwd(),
  node: process.execPath,
  packageRoot,
  version: (JSON.parse(readFileSync(`${packageRoot}/package.json`, 'utf8')) as { version: string }).version,
  uid: process.geteuid?.(),
  terminal: { output: isatty(1), error: isatty(2), columns: () => process.stdout.columns ?? process.stderr.columns },
  clock: hostClock(),
  worker: `${hostname()}:${process.pid}`,
  operator: `${userName()}@${hostname()}`,
  random: Math.random,
  print: (text) => void process.stdout.write(fitted(text, columnsOf(host.terminal, 'output'))),
  printError: (text) => void process.stderr.write(fitted(text, columnsOf(host.terminal, 'error'))),
  write: (text) => void process.stdout.write(text),
}

// A reader that closes early (`| head`) is not an error. Whatever happens to the output, the work goes on.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

try {
  process.exitCode = await run(host)
} catch (error) {
  const text =
    error instanceof MaintenanceError
      ? error.message
      : withoutCredentials(error instanceof Error ? (error.stack ?? error.message) : String(error))
  for (const line of text.split('\n')) host.printError(`mcp-gateway-maintenance: ${visible(line)}\n`)
  process.exitCode = exitCodeOf(error)
}

/** In a container the user may have a number only. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.geteuid?.() ?? 'unknown'}`
  }
}
