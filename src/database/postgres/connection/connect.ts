import { MINUTE, SECOND } from '../../../time/clock.ts'
import { durationText } from '../../../time/time-text.ts'
import { DatabaseError } from '../../database-error.ts'
import { asDriverError, explanation, stateOf } from '../postgres-errors.ts'
import { connectOnce, isSilence, type Connected, type Target } from './attempt.ts'
import { UnsuitableServer } from './server-check.ts'
import { placeOf } from './server-names.ts'
import { isDistrust } from './tls.ts'

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
