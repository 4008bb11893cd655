import { DatabaseError } from '../../database/database-error.ts'
import type { Database } from '../../database/database.ts'
import type { ApplyOutside, OutsideTransaction } from '../../database/migrating.ts'
import { MaintenanceError } from '../../errors.ts'
import type { MigrationFile } from '../migration-files.ts'
import { splitStatements, type Statement } from '../sql/statements.ts'
import { indexesMade, indexStep } from './concurrent-indexes.ts'

export interface IndexBuilding {
  readonly file: MigrationFile
  readonly database: Database
  readonly outside: ApplyOutside
  readonly blocked: (reason: string, waitedMs: number) => void
  readonly healed: (index: string) => void
}

/**
 * The statements of a file without a transaction. A build that was cut leaves an index that every write keeps up and no query uses, and over which
 * IF NOT EXISTS passes in silence: such are taken away before the first statement, and after a failure. At the end every index is there and valid.
 */
export function buildIndexes(
  { file, database, outside, blocked, healed }: IndexBuilding,
  at: (statement: Statement | undefined) => void,
): Promise<void> {
  const indexes = indexesMade(file.text)
  const heldUp = (by: string, waitedMs: number): void => blocked(`held up by ${by}`, waitedMs)
  return outside(heldUp, async (session) => {
    for (const index of await dropInvalid(database, session, indexes)) healed(index)
    try {
      for (const statement of splitStatements(file.text).statements) {
        at(statement)
        const step = indexStep(statement)
        if ('refusal' in step) throw new MaintenanceError('MIGRATION_FILES_INVALID', step.refusal)
        await session.run(step.sqlOn(database.named(step.relation)), step.relation)
      }
    } catch (error) {
      // What cannot be taken away now is at the next start; the failure itself is what is told.
      if (!isLoss(error)) await dropInvalid(database, session, indexes).catch(() => undefined)
      throw error
    }
    at(undefined)
    for (const index of indexes) {
      const state = await database.indexState(index)
      if (state !== 'valid') throw unfinished(index, state)
    }
  })
}

async function dropInvalid(database: Database, session: OutsideTransaction, indexes: readonly string[]): Promise<readonly string[]> {
  const dropped: string[] = []
  for (const index of indexes) {
    if ((await database.indexState(index)) !== 'invalid') continue
    await session.dropIndex(index)
    dropped.push(index)
  }
  return dropped
}

function isLoss(error: unknown): boolean {
  return error instanceof DatabaseError && error.kind === 'lost'
}

function unfinished(index: string, state: 'missing' | 'invalid'): MaintenanceError {
  return new MaintenanceError(
    'MIGRATION_FAILED',
    `the index ${index} is ${state} although its statement has run: another session works on it`,
  )
}
