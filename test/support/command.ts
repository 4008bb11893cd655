import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** This checkout on the Node that runs the tests; a suite names a compiled copy, and `npm run test:package` an installed package and the Node to run it on. */
export const PACKAGE_ROOT = process.env['TEST_PACKAGE_ROOT'] ?? fileURLToPath(new URL('../..', import.meta.url))
const NODE = process.env['TEST_PACKAGE_NODE'] ?? process.execPath

export type Line = Readonly<Record<string, unknown>>

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** Standard output, a JSON object a line; lines that are none are left out. */
  readonly lines: readonly Line[]
}

/** Disposed of, it is killed where it still runs: a test that fails leaves nothing behind that it would wait for. */
export interface Running extends AsyncDisposable {
  readonly pid: number
  kill(signal: NodeJS.Signals): void
  /** Resolves with the first line, already written or still to come, that fits; rejects when the process ends without it. */
  line(fits: (line: Line) => boolean): Promise<Line>
  readonly ended: Promise<Ended>
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly uid?: number
  /** Where it is another than the user's own. */
  readonly gid?: number
  /** Another copy of the program than this checkout. */
  readonly packageRoot?: string
  /** Ends a process that hangs. Longer than a test may take: a worker may stand behind a whole file of tests, on a slow machine. */
  readonly timeoutMs?: number
}

/** Starts the real command, with no setting but those given. */
export function start(words: readonly string[], options: CommandOptions = {}): Running {
  const child = spawn(NODE, [join(options.packageRoot ?? PACKAGE_ROOT, 'bin/mcp-gateway-maintenance.js'), ...words], {
    cwd: options.cwd ?? tmpdir(),
    env: { PATH: process.env['PATH'], ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.gid ?? options.uid }),
  })
  let stdout = ''
  let stderr = ''
  const changed = new EventTarget()
  const tell = (): void => void changed.dispatchEvent(new Event('output'))
  child.stdout.setEncoding('utf8').on('data', (text: string) => ((stdout += text), tell()))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 600_000)
  let over = false
  const ended = once(child, 'close').then(([code, signal]: (number | NodeJS.Signals | null)[]): Ended => {
    clearTimeout(timer)
    over = true
    tell()
    return { code: code as number | null, signal: signal as NodeJS.Signals | null, stdout, stderr, lines: linesOf(stdout) }
  })
  return {
    pid: child.pid!,
    kill: (signal) => void child.kill(signal),
    ended,
    line: (fits) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = linesOf(stdout).find(fits)
          if (found === undefined && !over) return
          changed.removeEventListener('output', look)
          if (found === undefined) reject(new Error(`the process ended without the line:\n${stdout}${stderr}`))
          else resolve(found)
        }
        changed.addEventListener('output', look)
        look()
      }),
    async [Symbol.asyncDispose]() {
      if (!over) child.kill('SIGKILL')
      await ended
    },
  }
}

/** Runs the real command to its end. */
export function command(words: readonly string[], options: CommandOptions = {}): Promise<Ended> {
  return start(words, options).ended
}

export function events(ended: Ended, event: string): readonly Line[] {
  return ended.lines.filter((line) => line['event'] === event)
}

function linesOf(text: string): Line[] {
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as Line]
    } catch {
      return []
    }
  })
}
