import { pino, type DestinationStream, type Logger, type LoggerOptions } from 'pino'
import { formatTime, type Clock } from '../time/clock.ts'
import { visible, visibleJson, visibleLines } from './control-characters.ts'

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
  readonly view?: { log(text: string): void } | undefined
}

/** Written synchronously: a line that was logged is out, also when the process is killed right after. */
export async function openLog(options: LogOptions): Promise<Log> {
  const { view, level } = options
  const asText = view !== undefined || options.format === 'pretty' || (options.format === 'auto' && options.terminal)
  const destination = asText ? await textDestination(options) : jsonDestination(options)
  return pino(
    {
      level: view !== undefined && level === 'info' ? 'warn' : level,
      base: null,
      timestamp: () => `,"time":"${formatTime(options.clock.now())}"`,
      formatters: { level: (label) => ({ level: label }), ...(asText ? { log: visibleFields } : {}) },
      ...(asText ? { hooks: { logMethod: withVisibleMessage } } : {}),
    },
    destination,
  )
}

/** A log is also looked at on a terminal. */
function jsonDestination({ descriptor }: LogOptions): DestinationStream {
  const written = pino.destination({ dest: descriptor, sync: true })
  return { write: (line) => written.write(visibleJson(line)) }
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

/** JSON has escapes of its own; a text is shown as it is. */
function visibleFields(fields: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [visible(name), visibleValue(name, value)]))
}

function visibleValue(name: string, value: unknown): unknown {
  // A stack has a line for each function.
  if (typeof value === 'string') return name === 'stack' ? visibleLines(value) : visible(value)
  if (Array.isArray(value)) return value.map((each) => visibleValue(name, each))
  return value !== null && typeof value === 'object' ? visibleFields(value) : value
}

type LogMethod = NonNullable<NonNullable<LoggerOptions['hooks']>['logMethod']>

const withVisibleMessage: LogMethod = function (values, method) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- texts stay texts
  method.apply(this, values.map((value) => (typeof value === 'string' ? visible(value) : value)) as Parameters<typeof method>)
}
