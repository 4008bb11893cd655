import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PACKAGE_ROOT } from './command.ts'
import { screenOf } from './screen.ts'

const PROGRAM = join(PACKAGE_ROOT, 'bin/mcp-gateway-maintenance.js')

/** For a test's `skip` option: `script` of util-linux gives a process a terminal. */
export const WITHOUT_TERMINAL =
  spawnSync('script', ['--version']).status === 0 ? false : 'there is no script(1) of util-linux here to make a terminal'

export interface Shown {
  readonly code: number | null
  /** Every character that was sent to the terminal. */
  readonly sent: string
  /** What it shows in the end, line by line. */
  readonly screen: readonly string[]
}

export interface TerminalOptions {
  readonly columns?: number
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Typed once this has been sent. */
  readonly type?: { readonly after: RegExp; readonly keys: string }
}

/** Runs the real command on a terminal of its own. */
export async function onTerminal(
  words: readonly string[],
  { columns = 80, env = {}, cwd = tmpdir(), type }: TerminalOptions = {},
): Promise<Shown> {
  const line = [process.execPath, PROGRAM, ...words].map((word) => `'${word}'`).join(' ')
  const child = spawn('script', ['-qec', `stty cols ${columns} rows 50 && exec ${line}`, '/dev/null'], {
    cwd,
    env: { PATH: process.env['PATH'], TERM: 'xterm-256color', LANG: 'C.UTF-8', SHELL: '/bin/sh', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let sent = ''
  let typed = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    sent += text
    if (type === undefined || typed || !type.after.test(sent)) return
    typed = true
    child.stdin.write(type.keys)
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), 100_000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  return { code, sent, screen: screenOf(sent, columns) }
}
