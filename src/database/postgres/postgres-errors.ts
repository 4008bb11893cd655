import { codeOf, messageOf } from '../../errors.ts'
import { foreignText } from '../../secrets/foreign-text.ts'
import { DatabaseError, type ErrorKind } from '../database-error.ts'

/**
 * The part of the driver's errors that is used. An error of the server has a SQLSTATE, one of a socket a system code, and some have no code. Its texts
 * hold no secret and are one line each, except `where`. The server's `detail` is left out, because it quotes the row.
 */
export interface DriverError {
  readonly message: string
  readonly code?: string | undefined
  readonly hint?: string | undefined
  /** Counted in code points from 1. */
  readonly position?: string | undefined
  /** The functions and statements in which the error arose, one line each, innermost first. */
  readonly where?: string | undefined
  /** For a host with several addresses, one error for each. */
  readonly errors?: readonly unknown[] | undefined
}

/** insufficient_privilege */
const FORBIDDEN = '42501'

/** Not said of a function of the gateway's, whose privileges are not granted there. */
const GRANTS =
  '. Grant what is missing: deploy/postgres/purge-role.sql does so for a role that purges, migrate-role.sql for one that migrates'

/** SQLSTATEs that decide by themselves; see appendix A of PostgreSQL's manual. */
const BY_STATE: Readonly<Record<string, ErrorKind>> = {
  '55P03': 'busy', // lock_not_available: a lock_timeout, or NOWAIT
  '57014': 'busy', // query_canceled: a statement_timeout or pg_cancel_backend
  '40P01': 'busy', // deadlock_detected
  '40001': 'busy', // serialization_failure
  '25P03': 'lost', // idle_in_transaction_session_timeout
  '25P04': 'lost', // transaction_timeout
  '57P01': 'lost', // admin_shutdown
  '57P02': 'lost', // crash_shutdown
  '57P05': 'lost', // idle_session_timeout
  '57P03': 'unreachable', // cannot_connect_now
  '53300': 'unreachable', // too_many_connections
  [FORBIDDEN]: 'forbidden',
  '25006': 'read-only', // read_only_sql_transaction
  '3D000': 'refused', // invalid_catalog_name: no such database
  P0001: 'row-refused', // RAISE in a function
}

const BY_CLASS: Readonly<Record<string, ErrorKind>> = {
  '08': 'lost', // connection exceptions
  '23': 'row-refused', // integrity constraints
  '28': 'refused', // invalid authorization
}

/** System and TLS error codes. */
const BY_SYSTEM_CODE: Readonly<Record<string, ErrorKind>> = {
  ECONNREFUSED: 'unreachable',
  ENOTFOUND: 'unreachable',
  EAI_AGAIN: 'unreachable',
  ETIMEDOUT: 'unreachable',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  ENOENT: 'unreachable', // a Unix socket whose server is not started yet
  ECONNRESET: 'lost',
  ECONNABORTED: 'lost',
  EPIPE: 'lost',
}

/** The driver gives these no code: its messages when the socket is closed or an answer does not come in time. */
const LOST_MESSAGE =
  /^(Connection terminated|Query read timeout|Client has encountered a connection error|Client was closed|timeout expired)/

/** PgBouncer uses 08P01 for everything, including refusals that waiting does not cure. */
const POOLER_REFUSAL =
  /authentication failed|unsupported startup parameter|no such (database|user)|(?:SSL|TLS connection|TLS client certificate) required|TLS certificate name mismatch|server login failed|cannot do \w+ authentication/i

export function errorKindOf(error: DriverError): ErrorKind {
  const { code } = error
  if (code === undefined) return LOST_MESSAGE.test(error.message) ? 'lost' : 'failed'
  if (code === '08P01' && POOLER_REFUSAL.test(error.message)) return 'refused'
  const known = BY_STATE[code] ?? BY_SYSTEM_CODE[code] ?? BY_CLASS[SQLSTATE.test(code) ? code.slice(0, 2) : '']
  if (known !== undefined) return known
  // Any error raised in a function counts as a trigger's refusal of the row.
  return SQLSTATE.test(code) && TRIGGER_CONTEXT.test(error.where ?? '') ? 'row-refused' : 'failed'
}

const SQLSTATE = /^[0-9A-Z]{5}$/
const TRIGGER_CONTEXT = /\bfunction\b/

/** `advice`: what to do where a privilege is missing. */
export function databaseError(thrown: unknown, advice = GRANTS): DatabaseError {
  if (thrown instanceof DatabaseError) return thrown
  const error = asDriverError(thrown)
  const state = error.code === undefined ? '' : ` [${error.code}]`
  const hint = error.hint === undefined ? '' : ` (${error.hint})`
  const place = error.where === undefined ? '' : `, in ${error.where.split('\n', 1)[0]}`
  const grants = error.code === FORBIDDEN && error.where === undefined ? advice : ''
  const text = `${explanation(error)}${hint}${place}${state}${grants}`
  const position = Number(error.position)
  return new DatabaseError(errorKindOf(error), text, { cause: thrown, ...(position > 0 ? { position } : {}) })
}

/** The SQLSTATE or system code below a `DatabaseError`, or of the driver's error itself. */
export function stateOf(error: unknown): string | undefined {
  return error instanceof DatabaseError ? stateOf(error.cause) : codeOf(error)
}

/** The message; for a host with several addresses, the message of each. */
export function explanation(error: DriverError): string {
  return error.message === '' && error.errors !== undefined ? error.errors.map(messageOf).join(', ') : error.message
}

/** The trigger's function may be listed after the statement that failed in it, and a recursion can add a line of context for each level. */
const MOST_CONTEXT_LINES = 20

/** An error of `pg`, stripped of these secrets of the connection, so that it may be passed on. */
export function driverError(thrown: unknown, secrets: readonly string[]): Error & DriverError {
  const { message, code, hint, position, where, errors } = asDriverError(thrown)
  const clean = (text: string): string => foreignText(text, secrets)
  return Object.assign(new Error(clean(message)), {
    code,
    position,
    hint: hint === undefined ? undefined : clean(hint),
    where: where?.split('\n').slice(0, MOST_CONTEXT_LINES).map(clean).join('\n'),
    errors: errors?.map((each) => driverError(each, secrets)),
  })
}

export function asDriverError(thrown: unknown): DriverError {
  return thrown instanceof Error ? thrown : { message: String(thrown) }
}
