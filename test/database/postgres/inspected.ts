import assert from 'node:assert/strict'
import { DatabaseError } from '../../../src/database/database-error.ts'
import type { Terms, TimeColumn } from '../../../src/database/purging.ts'
import type { FreshPostgres } from '../../support/databases.ts'
import { opened } from './fixture.ts'

/** The refusal, or the lasting warnings. */
export async function inspected(url: string, column: TimeColumn, terms: Terms): Promise<string> {
  await using database = await opened(url)
  try {
    const inspection = await database.inspect(column, terms)
    return inspection.kind === 'ready' ? inspection.lasting.join('\n') : inspection.reason
  } catch (error) {
    assert.ok(error instanceof DatabaseError && error.kind === 'failed', String(error))
    return error.message
  }
}

/** Runs the statements of a message one after the other, as CONCURRENTLY asks for. */
export async function runs({ admin }: FreshPostgres, message: string): Promise<void> {
  const [, statements = 'none'] = /Run: (.*)/.exec(message) ?? []
  for (const statement of statements.split('; ')) await admin.query(statement)
  await admin.query('ANALYZE')
}
