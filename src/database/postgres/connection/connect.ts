import { SECOND, type Clock } from '../../../time/clock.ts'
import { durationText } from '../../../time/time-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Label } from '../../database.ts'
import type { PostgresUrl } from '../../url/url-types.ts'
import { asDriverError, stateOf, explanation, errorKindOf } from '../postgres-errors.ts'
import { newDriver, type Driver } from './driver.ts'
import { UnsuitableServer } from './server-check.ts'
import { encryptions, mayDowngrade } from './tls.ts'

export interface Target {
  readonly url: PostgresUrl
  readonly applicationName: string
  /** As configured. */
  readonly schema: string | undefined
  readonly clock: Clock
  /** Whether the program writes: then a server that refuses writes counts as lost. */
  readonly writes: boolean
  /** Called after each connect; rejects with an `UnsuitableServer`. */
  readonly check: (driver: Driver) => Promise<void>
}

export interface Patience {
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Whether an error that waiting does not cure (a wrong password) ends the attempts. */
  readonly giveUpOnRefusal: boolean
  /** There was a connection before, and work may have been committed on it. */
  readonly begun?: boolean
  /** Called after each failed attempt that will be followed by another. */
  readonly failed?: (failure: FailedTry) => void
}

export interface FailedTry {
  readonly place: string
  readonly reason: string
  /** Place and reason, as one clause. */
  readonly sentence: string
  /** `silent`: no server answered. `unsuitable`: one answered, but cannot be used. */
  readonly server: 'silent' | 'unsuitable'
}

/** Reports only the first failure of each kind. */
export function reportingOnce(awaiting: (place: string, reason: string) => void): (failure: FailedTry) => void {
  const reported = new Set<FailedTry['server']>()
  return ({ place, reason, server }) => {
    if (!reported.has(server)) awaiting(place, reason)
    reported.add(server)
  }
}

/** Limit of one attempt: a host that drops packets never answers. */
const ATTEMPT_MS = 10 * SECOND
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 5 * SECOND
/** A database that does not exist yet may be one that a container starting alongside is about to create. */
const MISSING_DATABASE_MS = 10 * SECOND

/** Connects, trying again with growing pauses while the server cannot be reached. Rejects with `unreachable` or `refused`. */
export async function connectPatiently(target: Target, patience: Patience): Promise<Driver> {
  const { timeoutMs, signal, giveUpOnRefusal, begun = false, failed } = patience
  const { clock } = target
  const started = clock.monotonicMs()
  for (let tries = 1, pauseMs = FIRST_PAUSE_MS; ; tries += 1, pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    const left = timeoutMs - (clock.monotonicMs() - started)
    let failure: unknown
    try {
      return await connectOnce(target, Math.min(Math.max(left, SECOND), ATTEMPT_MS), signal)
    } catch (error) {
      if (error instanceof DatabaseError) throw error
      failure = error
    }
    if (signal.aborted) throw stopped(target, failure)
    const waited = clock.monotonicMs() - started
    const mostMs = giveUpOnRefusal ? patienceMs(failure, timeoutMs) : timeoutMs
    if (waited + pauseMs > mostMs) throw givenUp(target, failure, { tries, waitedMs: waited, begun })
    failed?.(failedTry(target, failure))
    await clock.sleep(pauseMs, signal)
    if (signal.aborted) throw stopped(target, failure)
  }
}

function failedTry({ url }: Target, failure: unknown): FailedTry {
  const { place } = placeOf(url)
  const reason = explanation(asDriverError(failure))
  return failure instanceof UnsuitableServer
    ? { place, reason, sentence: `${place} ${reason}`, server: 'unsuitable' }
    : { place, reason, sentence: `${place} cannot be reached: ${reason}`, server: 'silent' }
}

function patienceMs(failure: unknown, timeoutMs: number): number {
  if (failure instanceof UnsuitableServer) return failure.passing ? timeoutMs : 0
  const error = asDriverError(failure)
  if (error.code === '3D000') return Math.min(timeoutMs, MISSING_DATABASE_MS)
  const kind = errorKindOf(error)
  return kind === 'unreachable' || kind === 'lost' ? timeoutMs : 0
}

/** Rejects with the driver's error. */
async function connectOnce({ url, applicationName, schema, check }: Target, timeoutMs: number, signal: AbortSignal): Promise<Driver> {
  const plan = encryptions(url, hostOf(url))
  for (const [index, encryption] of plan.entries()) {
    const driver = newDriver({ url, applicationName, encryption, connectTimeoutMs: timeoutMs, schema })
    const cut = (): void => driver.destroy()
    // Without a listener an error that comes after the connection's own would end the process.
    driver.onError(() => undefined)
    signal.addEventListener('abort', cut, { once: true })
    try {
      await driver.connect()
      await check(driver)
      return driver
    } catch (error) {
      driver.destroy()
      if (index === plan.length - 1 || !mayDowngrade(asDriverError(error)) || signal.aborted) throw error
    } finally {
      signal.removeEventListener('abort', cut)
    }
  }
  throw new Error('no way to connect was tried')
}

function hostOf(url: PostgresUrl): string {
  return newDriver({ url, applicationName: '', encryption: false, connectTimeoutMs: 0 }).host
}

/** `host:port` and the database's name, with what the driver fills in where the URL says nothing. */
export function placeOf(url: PostgresUrl): { readonly place: string; readonly name: string } {
  const { host, port, database } = newDriver({ url, applicationName: '', encryption: false, connectTimeoutMs: 0 })
  return { place: `${host.includes(':') ? `[${host}]` : host}:${port}`, name: database }
}

export function postgresLabel(url: PostgresUrl): Label {
  return { engine: 'postgres', ...placeOf(url) }
}

interface Waited {
  readonly tries: number
  readonly waitedMs: number
  readonly begun: boolean
}

function givenUp({ url }: Target, failure: unknown, { tries, waitedMs, begun }: Waited): DatabaseError {
  const state = begun ? 'What was committed before the connection was lost is kept; the rest was not done.' : 'Nothing was changed.'
  const { place, name } = placeOf(url)
  const often = tries === 1 ? 'tried once' : `tried ${tries} times in ${durationText(waitedMs)}`
  if (failure instanceof UnsuitableServer) {
    const waited = failure.passing ? ` (${often})` : ''
    const message = `PostgreSQL at ${place}/${name} ${failure.message}${waited}. ${state} ${failure.advice}`
    return new DatabaseError(failure.kind, message, { cause: failure })
  }
  const error = asDriverError(failure)
  const explained = explanation(error)
  const code = stateOf(failure)
  const kind = errorKindOf(error)
  if (kind === 'unreachable' || kind === 'lost') {
    return new DatabaseError(
      'unreachable',
      `PostgreSQL at ${place}/${name} cannot be reached: ${explained} (${often}). ${state} ` +
        'Check that the server is running and accepts connections from this host, and that DATABASE_URL is right. DATABASE_CONNECT_TIMEOUT sets how long to wait.',
      { cause: failure },
    )
  }
  const advice = code === '3D000' ? 'Create the database, or correct' : 'Correct the user, the password, the TLS settings or'
  return new DatabaseError(
    'refused',
    `PostgreSQL at ${place}/${name} refused the connection: ${explained}${code === undefined ? '' : ` [${code}]`}. ${state} ${advice} DATABASE_URL.`,
    { cause: failure },
  )
}

function stopped({ url }: Target, cause: unknown): DatabaseError {
  const { place, name } = placeOf(url)
  return new DatabaseError('unreachable', `Interrupted while connecting to PostgreSQL at ${place}/${name}. Nothing was changed.`, {
    cause,
  })
}
