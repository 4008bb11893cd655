import { pino, type DestinationStream, type Logger } from 'pino'
import { formatTime, type Clock } from '../time.ts'
import type { View } from './view.ts'

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
  /** What shows the course of things on the same terminal: it is handed the lines to write, of what it does not show itself. */
  readonly view?: Pick<View, 'log'> | undefined
  /** What must never appear in a line, whatever an error's text holds. */
  readonly secrets: readonly string[]
}

/** Written synchronously: a line that was logged is out, also when the process is killed right after. */
export async function openLog(options: LogOptions): Promise<Log> {
  const { view, level } = options
  const asText = view !== undefined || options.format === 'pretty' || (options.format === 'auto' && options.terminal)
  const destination = asText ? await textDestination(options) : pino.destination({ dest: options.descriptor, sync: true })
  const hide = scrubber(options.secrets)
  return pino(
    {
      level: view !== undefined && level === 'info' ? 'warn' : level,
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

/** Readable on a light background and on a dark one. */
const COLOURS = 'fatal:red,error:red,warn:bold,info:reset,debug:reset,trace:reset,message:reset'

async function textDestination({ descriptor, terminal, coloured, view }: LogOptions): Promise<DestinationStream> {
  const { default: prettyStream, prettyFactory } = await import('pino-pretty')
  const options = { colorize: terminal && coloured, customColors: COLOURS, ignore: 'event', translateTime: 'SYS:yyyy-mm-dd HH:MM:ss' }
  if (view === undefined) return prettyStream({ ...options, destination: descriptor, sync: true })
  const whole = prettyFactory(options)
  const brief = prettyFactory({ ...options, hideObject: true })
  // Messages say enough for people; only of what nobody foresaw every detail is wanted.
  return { write: (line) => view.log((line.includes('"UNEXPECTED"') ? whole : brief)(line)) }
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
