import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { MINUTE, SECOND, type Clock } from '../../../time/clock.ts'
import { durationText } from '../../../time/time-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Label } from '../../database.ts'
import type { PostgresUrl, Server } from '../../url/url-types.ts'
import { asDriverError, errorKindOf, explanation, stateOf } from '../postgres-errors.ts'
import { newDriver, type Driver } from './driver.ts'
import { UnsuitableServer, type ServerFacts } from './server-check.ts'
import { encryptions, isDistrust, mayDowngrade } from './tls.ts'

export interface Target {
  /** Another one after the login was renewed. */
  readonly url: PostgresUrl
  readonly applicationName: string
  /** As configured. */
  readonly schema: string | undefined
  readonly clock: Clock
  /** From 0 to below 1. */
  readonly random: () => number
  /** Whether the program writes: then a server that refuses writes counts as lost. */
  readonly writes: boolean
  /** Called after each connect; rejects with an `UnsuitableServer`. */
  readonly check: (driver: Driver) => Promise<ServerFacts>
  /** Reads the login again where it is kept, after the server refused the one that is known. Whether it is another. */
  readonly renewLogin: () => boolean
}

export interface Connected {
  readonly driver: Driver
  readonly facts: ServerFacts
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
  /** `silent`: no server answered. `refusing`: one answered, and did not let us in, or we did not trust it. `unsuitable`: one let us in, but cannot be used. */
  readonly server: 'silent' | 'refusing' | 'unsuitable'
}

/** Reports only the first failure of each kind. */
export function reportingOnce(awaiting: (place: string, reason: string) => void): (failure: FailedTry) => void {
  const reported = new Set<FailedTry['server']>()
  return ({ place, reason, server }) => {
    if (!reported.has(server)) awaiting(place, reason)
    reported.add(server)
  }
}

/** Limit for one address: a host that drops packets never answers. */
const ATTEMPT_MS = 10 * SECOND
/** The same where there is another to try: less at first, and more each time, so that a slow server is not given up for good. */
const FIRST_ATTEMPT_MS = 3 * SECOND
const FIRST_PAUSE_MS = 250
/** A failover is over soon. */
const LONGEST_PAUSE_MS = SECOND
const PATIENT_AFTER_MS = MINUTE
const PATIENT_PAUSE_MS = 5 * SECOND
/** A database that does not exist yet may be one that a container starting alongside is about to create. */
const MISSING_DATABASE_MS = 10 * SECOND

/** Connects, trying again with growing pauses while no server can be reached. Rejects with `unreachable`, `read-only` or `refused`. */
export async function connectPatiently(target: Target, patience: Patience): Promise<Connected> {
  const { timeoutMs, signal, giveUpOnRefusal, begun = false, failed } = patience
  const { clock } = target
  const started = clock.monotonicMs()
  for (let tries = 1; ; tries += 1) {
    const left = timeoutMs - (clock.monotonicMs() - started)
    let failure: unknown
    try {
      return await connectOnce(target, { leftMs: Math.max(left, SECOND), tries, signal })
    } catch (error) {
      if (error instanceof DatabaseError && giveUpOnRefusal) throw error
      failure = error
    }
    if (signal.aborted) throw stopped(target, failure)
    if (isLoginRefused(failure) && target.renewLogin()) continue
    const waited = clock.monotonicMs() - started
    const pauseMs = waited < PATIENT_AFTER_MS ? Math.min(FIRST_PAUSE_MS * 2 ** (tries - 1), LONGEST_PAUSE_MS) : PATIENT_PAUSE_MS
    const mostMs = giveUpOnRefusal ? patienceMs(failure, timeoutMs) : timeoutMs
    if (waited + pauseMs > mostMs) throw givenUp(target, failure, { tries, waitedMs: waited, begun })
    failed?.(failedTry(target, failure))
    await clock.sleep(pauseMs, signal)
    if (signal.aborted) throw stopped(target, failure)
  }
}

function isLoginRefused(failure: unknown): boolean {
  const { code, message } = asDriverError(failure)
  return code === '28P01' || code === '28000' || (code === '08P01' && /authentication failed|no such user/i.test(message))
}

function failedTry({ url }: Target, failure: unknown): FailedTry {
  const { place } = placeOf(url)
  const reason = explanation(asDriverError(failure))
  if (failure instanceof UnsuitableServer) return { place, reason, sentence: `${place} ${reason}`, server: 'unsuitable' }
  return isSilence(failure)
    ? { place, reason, sentence: `${place} cannot be reached: ${reason}`, server: 'silent' }
    : { place, reason, sentence: `no connection to ${place} can be made: ${reason}`, server: 'refusing' }
}

function patienceMs(failure: unknown, timeoutMs: number): number {
  if (failure instanceof UnsuitableServer) return failure.passing ? timeoutMs : 0
  if (asDriverError(failure).code === '3D000') return Math.min(timeoutMs, MISSING_DATABASE_MS)
  return isSilence(failure) ? timeoutMs : 0
}

/** No server answered, or it went away. */
function isSilence(failure: unknown): boolean {
  if (failure instanceof SeveralFailures && failure.cause === undefined) return true
  const kind = errorKindOf(asDriverError(failure))
  return kind === 'unreachable' || kind === 'lost'
}

interface Attempt {
  readonly leftMs: number
  /** From 1. */
  readonly tries: number
  readonly signal: AbortSignal
}

/**
 * Tries each address of each server in order. What another server may cure leads to the next: silence, and a server that is not of the kind that is wanted. A
 * refusal ends the attempt, as in libpq: a password is not offered to one server after the other. Rejects with the driver's error, with an
 * `UnsuitableServer`, or with what all of them had to say.
 */
async function connectOnce(target: Target, { leftMs, tries, signal }: Attempt): Promise<Connected> {
  const { url } = target
  const servers = url.shuffled ? shuffled(url.servers, target.random) : url.servers
  const failures: Failure[] = []
  let alone = servers.length === 1
  const withinMs = (): number => Math.min(leftMs, url.attemptMs ?? (alone ? ATTEMPT_MS : Math.min(FIRST_ATTEMPT_MS * tries, ATTEMPT_MS)))
  for (const server of servers) {
    const found = await addressesOf(server, { timeoutMs: withinMs(), clock: target.clock, signal }).catch((failure: unknown) => {
      failures.push({ server, failure, passing: true })
      return []
    })
    alone &&= found.length <= 1
    for (const address of found) {
      try {
        return await connectTo(target, address, withinMs(), signal)
      } catch (failure) {
        const passing = isSilence(failure) || (failure instanceof UnsuitableServer && failure.kind === 'read-only')
        failures.push({ server: address, failure, passing })
        if (!passing || signal.aborted) throw together(failures, alone)
      }
    }
    if (signal.aborted) break
  }
  throw together(failures, alone)
}

interface Failure {
  readonly server: Server
  readonly failure: unknown
  /** Whether another server, or waiting, may cure it. */
  readonly passing: boolean
}

function shuffled<T>(all: readonly T[], random: () => number): readonly T[] {
  return all
    .map((each) => ({ each, place: random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ each }) => each)
}

/** A name may stand for several servers: each of its addresses is tried, and certificates are still checked against the name. */
async function addressesOf(server: Server, { timeoutMs, clock, signal }: Asking): Promise<readonly Server[]> {
  const { host, address } = server
  if (address !== undefined || host.startsWith('/') || isIP(host.split('%')[0]!) !== 0) return [server]
  const found = new AbortController()
  // A question to a name server that does not answer cannot be taken back, but need not be waited for.
  const late = clock.sleep(timeoutMs, AbortSignal.any([signal, found.signal])).then(() => {
    throw Object.assign(new Error(`no name server gave an address of ${host} in time`), { code: 'ETIMEDOUT' })
  })
  try {
    const addresses = await Promise.race([lookup(host, { all: true }), late])
    return addresses.map((each) => ({ ...server, address: each.address }))
  } finally {
    found.abort()
  }
}

interface Asking {
  readonly timeoutMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Several servers, or several addresses of one, and what each of them had to say. */
class SeveralFailures extends Error {
  override readonly name = 'SeveralFailures'
  /** That of the one that ended the attempt; `undefined`: each of them may pass. */
  readonly code: string | undefined

  constructor(message: string, ended: unknown) {
    super(message, { cause: ended })
    this.code = ended === undefined ? undefined : asDriverError(ended).code
  }
}

/** One error for all. If a server answered and does not take writes, the others are not missed: its kind counts. */
function together(failures: readonly Failure[], alone: boolean): unknown {
  const last = failures.at(-1)!
  // What is wrong with our own files is wrong for each server.
  if (alone || last.failure instanceof DatabaseError) return last.failure
  const reasons = failures.map(({ server, failure }) => {
    const reason = explanation(asDriverError(failure))
    return failure instanceof UnsuitableServer ? `${nameOf(server)} ${reason}` : `${nameOf(server)}: ${reason}`
  })
  const all = reasons.join('; ')
  const unsuitable = (last.passing ? failures : [last]).map(({ failure }) => failure).find((failure) => failure instanceof UnsuitableServer)
  if (unsuitable === undefined) return new SeveralFailures(all, last.passing ? undefined : last.failure)
  return new UnsuitableServer(`names no server that will do (${all})`, {
    kind: unsuitable.kind,
    passing: last.passing && failures.some(({ failure }) => !(failure instanceof UnsuitableServer) || failure.passing),
    advice: unsuitable.advice,
  })
}

async function connectTo(target: Target, server: Server, timeoutMs: number, signal: AbortSignal): Promise<Connected> {
  const { url, applicationName, schema, check } = target
  const plan = encryptions(url.tls, server)
  for (const [index, encryption] of plan.entries()) {
    const driver = newDriver({ url, server, applicationName, encryption, connectTimeoutMs: timeoutMs, schema })
    const cut = (): void => driver.destroy()
    // Without a listener an error that comes after the connection's own would end the process.
    driver.onError(() => undefined)
    signal.addEventListener('abort', cut, { once: true })
    try {
      await driver.connect()
      return { driver, facts: await check(driver) }
    } catch (error) {
      driver.destroy()
      if (index === plan.length - 1 || !mayDowngrade(asDriverError(error)) || signal.aborted) throw error
    } finally {
      signal.removeEventListener('abort', cut)
    }
  }
  throw new Error('no way to connect was tried')
}

function nameOf({ host, port, address }: Server): string {
  const name = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return address === undefined || address === host ? name : `${name} (${address})`
}

/** `host:port` of each server, and the database's name. */
export function placeOf({ servers, database }: PostgresUrl): { readonly place: string; readonly name: string } {
  return { place: servers.map(({ host, port }) => nameOf({ host, port, address: undefined })).join(','), name: database }
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
  if (failure instanceof DatabaseError) return failure
  const state = begun ? 'What was committed before the connection was lost is kept; the rest was not done.' : 'Nothing was changed.'
  const { place, name } = placeOf(url)
  const often = tries === 1 ? 'tried once' : `tried ${tries} times in ${durationText(waitedMs)}`
  if (failure instanceof UnsuitableServer) {
    const waited = failure.passing ? ` (${often})` : ''
    const message = `PostgreSQL at ${place}/${name} ${failure.message}${waited}. ${state} ${failure.advice}`
    return new DatabaseError(failure.kind, message, { cause: failure })
  }
  const explained = explanation(asDriverError(failure))
  const code = stateOf(failure)
  if (isSilence(failure)) {
    return new DatabaseError(
      'unreachable',
      `PostgreSQL at ${place}/${name} cannot be reached: ${explained} (${often}). ${state} ` +
        'Check that the server is running and accepts connections from this host, and that DATABASE_URL is right. DATABASE_CONNECT_TIMEOUT sets how long to wait.',
      { cause: failure },
    )
  }
  if (isDistrust(code))
    return new DatabaseError(
      'refused',
      `PostgreSQL at ${place}/${name} is not trusted: ${explained} [${code}]. ${state} ` +
        'Name the file with the certificate of its authority in sslrootcert, and the server in DATABASE_URL as its certificate does.',
      { cause: failure },
    )
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
