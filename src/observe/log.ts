import { pino, type Logger } from 'pino'
import { formatTime, type Clock } from '../time.ts'

export type Log = Logger

export interface LogOptions {
  readonly level: string
  readonly format: 'auto' | 'json' | 'pretty'
  /** The file descriptor: 1 is standard output. */
  readonly descriptor: number
  readonly terminal: boolean
  /** Whether a terminal is sent colours. */
  readonly coloured: boolean
  readonly clock: Clock
  /** What must never appear in a line, whatever an error's text holds. */
  readonly secrets: readonly string[]
}

/** Written synchronously: a line that was logged is out, also when the process is killed right after. */
export async function openLog(options: LogOptions): Promise<Log> {
  const { descriptor } = options
  const asText = options.format === 'pretty' || (options.format === 'auto' && options.terminal)
  const destination = asText
    ? (await import('pino-pretty')).default({
        destination: descriptor,
        sync: true,
        colorize: options.terminal && options.coloured,
        ignore: 'event',
        translateTime: 'SYS:yyyy-mm-dd HH:MM:ss',
      })
    : pino.destination({ dest: descriptor, sync: true })
  const hide = scrubber(options.secrets)
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${formatTime(options.clock.now())}"`,
      formatters: { level: (label) => ({ level: label }), log: (fields) => hide(fields) as Record<string, unknown> },
      hooks: {
        logMethod(values, method) {
          method.apply(this, hide(values) as Parameters<typeof method>)
        },
      },
    },
    destination,
  )
}

/** Replaces every secret in every string of a value, at any depth; names of fields stay. */
export function scrubber(secrets: readonly string[]): (value: unknown) => unknown {
  const hidden = [...new Set(secrets)].filter((secret) => secret !== '').toSorted((a, b) => b.length - a.length)
  const scrub = (value: unknown): unknown => {
    if (typeof value === 'string') return hidden.reduce((text, secret) => text.replaceAll(secret, '***'), value)
    if (Array.isArray(value)) return value.map(scrub)
    if (value !== null && typeof value === 'object')
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, scrub(each)]))
    return value
  }
  return scrub
}
