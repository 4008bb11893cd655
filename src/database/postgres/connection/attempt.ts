import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { SECOND, type Clock } from '../../../time/clock.ts'
import { DatabaseError } from '../../database-error.ts'
import type { PostgresUrl, Server } from '../../url/url-types.ts'
import { asDriverError, errorKindOf, explanation } from '../postgres-errors.ts'
import { newDriver, type Driver } from './driver.ts'
import { UnsuitableServer, type ServerFacts } from './server-check.ts'
import { nameOf } from './server-names.ts'
import { encryptions, mayDowngrade } from './tls.ts'

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

/** Limit for one address: a host that drops packets never answers. */
const ATTEMPT_MS = 10 * SECOND
/** The same where there is another to try: less at first, and more each time, so that a slow server is not given up for good. */
const FIRST_ATTEMPT_MS = 3 * SECOND

export interface Attempt {
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
export async function connectOnce(target: Target, { leftMs, tries, signal }: Attempt): Promise<Connected> {
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

/** No server answered, or it went away. */
export function isSilence(failure: unknown): boolean {
  if (failure instanceof SeveralFailures && failure.cause === undefined) return true
  const kind = errorKindOf(asDriverError(failure))
  return kind === 'unreachable' || kind === 'lost'
}
