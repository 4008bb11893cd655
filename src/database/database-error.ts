import { MaintenanceError, type ErrorCode } from '../errors.ts'

/**
 * `busy`: a lock, a deadlock, a serialisation failure or a cancelled statement; worth another try. `slow`: a statement took longer than it may. `lost`: the connection broke. `unreachable`: none could be made.
 * `forbidden`: a privilege is missing. `read-only`: the database takes no writes. `row-refused`: a constraint or trigger refused a row.
 * `invalid`: not a database, or a damaged one. `refused`: the server rejected the login, the database or the request.
 * `failed`: any other error of a statement.
 */
export type ErrorKind =
  | 'busy'
  | 'slow'
  | 'lost'
  | 'unreachable'
  | 'forbidden'
  | 'read-only'
  | 'row-refused'
  | 'invalid'
  | 'refused'
  | 'failed'

const ERROR_CODES = {
  busy: 'JOB_FAILED',
  slow: 'JOB_FAILED',
  lost: 'DATABASE_UNREACHABLE',
  unreachable: 'DATABASE_UNREACHABLE',
  forbidden: 'DATABASE_FORBIDDEN',
  'read-only': 'DATABASE_READ_ONLY',
  'row-refused': 'JOB_FAILED',
  invalid: 'DATABASE_INVALID',
  refused: 'DATABASE_REFUSED',
  failed: 'JOB_FAILED',
} as const satisfies Record<ErrorKind, ErrorCode>

/** Every error that crosses the boundary. `cause` is the driver's. */
export class DatabaseError extends MaintenanceError {
  override readonly name = 'DatabaseError'
  readonly kind: ErrorKind
  /** Where in the statement's text the engine saw the error: code points, counted from 1. */
  readonly position: number | undefined

  constructor(kind: ErrorKind, problems: string | readonly string[], options?: ErrorOptions & { readonly position?: number | undefined }) {
    super(ERROR_CODES[kind], problems, options)
    this.kind = kind
    this.position = options?.position
  }
}
