import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { LAUNCHER } from '../support/compiled.ts'

export type Way = 'start' | 'undo' | 'drop'

/** When a command is stopped: so many milliseconds after it has said this line or, without one, after it was started. */
export interface Moment {
  readonly step: string | undefined
  readonly afterMs: number
}

export interface Step {
  readonly step: string
  readonly tookMs: number
}

export interface Ended {
  readonly isKilled: boolean
  readonly code: number | null
  /** Those that ended. */
  readonly steps: readonly Step[]
  readonly output: string
  /** The longest that it reports. */
  readonly lockedMs: number
}

const WORDS: Readonly<Record<Way, readonly string[]>> = { start: ['partition', 'start'], undo: ['partition', 'undo'], drop: ['--run-now'] }
/** A server that was killed, or a command that was and still has a session there. */
const SETTINGS = { MIGRATIONS_LOCK_TIMEOUT: '60s', LOG_FORMAT: 'json', AUDIT_LOGS_RETENTION: '90d' }
const HANGS_MS = 120_000

/** Runs the command to its end, or until the moment, at which `stop` kills it or the server behind it. Resolves when both are still. */
export async function commanded(
  packageRoot: string,
  url: string,
  way: Way,
  moment?: Moment,
  stop?: (kill: () => void) => Promise<void>,
): Promise<Ended> {
  const child = spawn(process.execPath, [join(packageRoot, LAUNCHER), ...WORDS[way]], {
    env: { PATH: process.env['PATH'], DATABASE_URL: url, ...SETTINGS },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: HANGS_MS,
    killSignal: 'SIGKILL',
  })
  let output = ''
  let stopping: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  const look = (): void => {
    if (moment === undefined || stop === undefined || timer !== undefined) return
    if (moment.step !== undefined && !output.split('\n').includes(moment.step)) return
    timer = setTimeout(() => {
      stopping = stop(() => void child.kill('SIGKILL'))
    }, moment.afterMs)
  }
  const began = performance.now()
  const steps: Step[] = []
  let last = { step: '', atMs: began }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    look()
    for (const line of text.split('\n')) {
      const nowMs = performance.now()
      if (line.startsWith('  done in')) steps.push({ step: last.step, tookMs: nowMs - last.atMs })
      else if (line !== '' && !line.startsWith(' ')) last = { step: line, atMs: nowMs }
    }
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  look()
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  clearTimeout(timer)
  await stopping
  if (way === 'drop') steps.push({ step: '', tookMs: performance.now() - began })
  const locked = [...output.matchAll(/nobody could use the table for ([\d.]+) ms/g)].map(([, ms]) => Number(ms))
  return { isKilled: stopping !== undefined, code, steps, output, lockedMs: Math.max(0, ...locked) }
}
