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
  /** How wide that terminal is; Infinity: it is none. */
  readonly columns: () => number
  /** Whether a terminal is sent colours. */
  readonly coloured: boolean
  readonly clock: Clock
  /** The progress display on the same terminal. Log lines are written through it. */
  readonly view?: { log(text: string): void } | undefined
}

/** Writes synchronously, so that no line is lost if the process is killed right after it. */
export async function openLog(options: LogOptions): Promise<Log> {
  const { view, level } = options
  const asText = view !== undefined || options.format === 'pretty' || (options.format === 'auto' && options.terminal)
  const destination = asText ? await textDestination(options) : jsonDestination(options)
  return pino(
    {
      level: view !== undefined && level === 'info' ? 'warn' : level,
      base: null,
      // `events.ts` says what is logged of an error. pino's own serializer would add `"type":"Object"` and an empty stack.
      serializers: { err: (err: unknown) => err },
      timestamp: () => `,"time":"${formatTime(options.clock.now())}"`,
      formatters: { level: (label) => ({ level: label }), ...(asText ? { log: visibleFields } : {}) },
      ...(asText ? { hooks: { logMethod: withVisibleMessage } } : {}),
    },
    destination,
  )
}

/** JSON logs are viewed on terminals too, so invisible characters are escaped. */
function jsonDestination({ descriptor }: LogOptions): DestinationStream {
  const written = pino.destination({ dest: descriptor, sync: true })
  return { write: (line) => written.write(visibleJson(line)) }
}

/** Readable on a light background and on a dark one. */
const COLOURS = 'fatal:red,error:red,warn:bold,info:reset,debug:reset,trace:reset,message:reset'

async function textDestination({ descriptor, terminal, coloured, view, columns }: LogOptions): Promise<DestinationStream> {
  const [{ prettyFactory }, { fitted }] = await Promise.all([import('pino-pretty'), import('./width.ts')])
  const options = { colorize: terminal && coloured, customColors: COLOURS, ignore: 'event', translateTime: 'SYS:yyyy-mm-dd HH:MM:ss' }
  const whole = prettyFactory(options)
  if (view === undefined) {
    const written = pino.destination({ dest: descriptor, sync: true })
    return { write: (line) => written.write(fitted(whole(line), columns())) }
  }
  const brief = prettyFactory({ ...options, hideObject: true })
  return {
    write(line) {
      // For people the message is enough; only unexpected errors are shown with all details.
      if (line.includes('"UNEXPECTED"')) view.log(fitted(whole(line), columns()))
      // The view shows the outcome of each job below its table.
      else if (!line.includes('"event":"job.finished"')) view.log(fitted(brief(line), columns()))
    },
  }
}

/** JSON escapes such characters itself; in text they must be escaped here. */
function visibleFields(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => (isInMessage(name, value) ? [] : [[visible(name), visibleValue(name, value)]])),
  )
}

/** The message already says why something failed; an unexpected error has a stack as well. */
function isInMessage(name: string, value: unknown): boolean {
  return name === 'err' && !(value !== null && typeof value === 'object' && 'stack' in value)
}

function visibleValue(name: string, value: unknown): unknown {
  // A stack has several lines.
  if (typeof value === 'string') return name === 'stack' ? visibleLines(value) : visible(value)
  if (Array.isArray(value)) return value.map((each) => visibleValue(name, each))
  return value !== null && typeof value === 'object' ? visibleFields(value) : value
}

type LogMethod = NonNullable<NonNullable<LoggerOptions['hooks']>['logMethod']>

const withVisibleMessage: LogMethod = function (values, method) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- texts stay texts
  method.apply(this, values.map((value) => (typeof value === 'string' ? visible(value) : value)) as Parameters<typeof method>)
}
