import { DatabaseError, type ErrorKind } from '../database/database-error.ts'
import { MaintenanceError } from '../errors.ts'
import { padded } from './file-names.ts'
import type { MigrationFile } from './migration-files.ts'
import { placeOf } from './sql/script.ts'
import type { Statement } from './sql/statements.ts'

/** Runs a statement of a file; the database's error then carries the statement. */
export async function atStatement(statement: Statement, run: () => Promise<unknown>): Promise<void> {
  try {
    await run()
  } catch (error) {
    throw error instanceof DatabaseError ? new StatementError(statement, error) : error
  }
}

/**
 * The error for a file that failed: where, with the line and a caret, and the state of the database. Problems that must be solved outside the migrations
 * (a privilege, the connection, a read-only database) keep their kind and exit code.
 */
export function migrationFailure(file: MigrationFile, error: unknown): unknown {
  if (error instanceof MaintenanceError && !(error instanceof DatabaseError)) {
    return new MaintenanceError(error.code, [...after(`${file.path}:`, error), stateAfter(file)], { cause: error })
  }
  if (!(error instanceof DatabaseError)) return error
  const statement = statementOf(error)
  const lines = [...after(where(file, statement, error), error), ...excerpt(file, statement, error)]
  // If the connection was lost during COMMIT, it is not known yet whether that took effect.
  if (error.kind !== 'lost') lines.push(stateAfter(file, statement))
  const problems = [...lines, ...advice(error)]
  return FIXED_OUTSIDE.has(error.kind)
    ? new DatabaseError(error.kind, problems, { cause: error })
    : new MaintenanceError('MIGRATION_FAILED', problems, { cause: error })
}

class StatementError extends DatabaseError {
  readonly statement: Statement

  constructor(statement: Statement, error: DatabaseError) {
    super(error.kind, error.lines, { cause: error, position: error.position })
    this.statement = statement
  }
}

/** Searches the causes too: an error that names the holder of a lock wraps the original one. */
function statementOf(error: unknown): Statement | undefined {
  if (error instanceof StatementError) return error.statement
  return error instanceof Error ? statementOf(error.cause) : undefined
}

function after(place: string, { lines: [first = '', ...more] }: MaintenanceError): readonly string[] {
  return [`${place} ${first}`, ...more]
}

/** The state of the database after a failure, for the person who must decide what to do. */
export function stateAfter(file: MigrationFile, statement?: Statement): string {
  const at = file.version === 1 ? 'without any migration' : `at ${padded(file.version - 1)}`
  const { outside, statements } = file.script
  if (outside === undefined) return `Rolled back. The database is still ${at}.`
  const done = statement === undefined ? '' : `${statement.number - 1} of its ${statements.length} statements have run. `
  return `${done}The database still counts as ${at}. The next start runs this file again, which is safe.`
}

const FIXED_OUTSIDE: ReadonlySet<ErrorKind> = new Set<ErrorKind>(['forbidden', 'read-only', 'lost', 'unreachable', 'invalid', 'refused'])

function where(file: MigrationFile, statement: Statement | undefined, error: DatabaseError): string {
  if (statement === undefined) return `${file.path}:`
  const { line, column } = placeOf(file.text, offsetOf(statement, error))
  return `${file.path}:${line}:${column} (statement ${statement.number})`
}

/** The engine counts code points from 1; a text here is indexed in UTF-16 units. */
function offsetOf(statement: Statement, { position }: DatabaseError): number {
  if (position === undefined) return statement.start
  const before = Array.from(statement.sql)
    .slice(0, position - 1)
    .join('')
  return statement.start + before.length
}

function excerpt(file: MigrationFile, statement: Statement | undefined, error: DatabaseError): string[] {
  if (statement === undefined) return []
  const { line, column } = placeOf(file.text, offsetOf(statement, error))
  const source = file.text.split('\n')[line - 1] ?? ''
  const gutter = `${line} | `
  // Tabs are kept, so that the caret is below its character at any tab width.
  const indent = Array.from(source)
    .slice(0, column - 1)
    .map((character) => (character === '\t' ? '\t' : ' '))
    .join('')
  return [`  ${gutter}${source}`, `  ${' '.repeat(gutter.length)}${indent}^`]
}

function advice({ kind }: DatabaseError): string[] {
  if (kind === 'forbidden') {
    return [
      'Connect as the role that owns the tables, or as a member of it, with CREATE on their schema. ' +
        'Or run `mcp-gateway-maintenance migrate` once as that role, and grant the worker SELECT on the history and SELECT, DELETE on the tables that it purges.',
    ]
  }
  return kind === 'busy' ? ['Start the worker again when the holder of the lock has finished.'] : []
}
