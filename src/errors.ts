import { foreignText, onOneLine } from './secrets/foreign-text.ts'

/** The exit code for each kind of error. The numbers are part of the interface. */
const EXIT_CODES = {
  UNEXPECTED: 1,
  JOB_FAILED: 1,
  ARCHIVE_FAILED: 1,
  ARCHIVE_DAMAGED: 1,
  RECEIPTS_DAMAGED: 1,
  USAGE: 2,
  CONFIG_INVALID: 2,
  RUNTIME_TOO_OLD: 2,
  MIGRATION_FILES_INVALID: 2,
  HTTP_UNAVAILABLE: 2,
  DATABASE_UNREACHABLE: 3,
  DATABASE_REFUSED: 3,
  DATABASE_FORBIDDEN: 3,
  DATABASE_READ_ONLY: 3,
  DATABASE_INVALID: 3,
  MIGRATION_REFUSED: 4,
  MIGRATION_FAILED: 4,
  PARTITION_REFUSED: 4,
  SAFETY_STOP: 5,
} as const

export type ErrorCode = keyof typeof EXIT_CODES
export type ExitCode = 0 | (typeof EXIT_CODES)[ErrorCode]

/**
 * A problem reported to a person: the message says what, where, what was not done and what to do, one problem per line.
 * It never holds a secret, and is shown without a stack trace.
 */
export class MaintenanceError extends Error {
  override readonly name: string = 'MaintenanceError'
  readonly code: ErrorCode
  /** One problem each. Line breaks within a problem are removed, since a name in it may contain one. */
  readonly lines: readonly string[]

  constructor(code: ErrorCode, problems: string | readonly string[], options?: ErrorOptions) {
    const lines = (typeof problems === 'string' ? [problems] : problems).map(onOneLine)
    super(lines.join('\n'), options)
    this.code = code
    this.lines = lines
  }

  get exitCode(): ExitCode {
    return EXIT_CODES[this.code]
  }
}

export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof MaintenanceError ? error.exitCode : EXIT_CODES.UNEXPECTED
}

/** The most serious of several exit codes: 5 before 4 before 3 before 1. */
export function gravest(codes: readonly ExitCode[]): ExitCode {
  return codes.reduce((worst, code) => (code > worst ? code : worst), 0)
}

/** One problem on each line. */
export function linesOf(error: unknown): readonly string[] {
  return error instanceof MaintenanceError ? error.lines : [messageOf(error)]
}

/** The code of an error of the system, a driver or a library. Foreign errors are recognised by code, never by their text. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** What went wrong, in words. Texts of a driver or of the system are stripped of credentials and reduced to one line. */
export function messageOf(error: unknown): string {
  if (error instanceof MaintenanceError) return error.message
  return foreignText(error instanceof Error ? error.message : String(error))
}
