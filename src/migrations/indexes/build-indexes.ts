import { DatabaseError } from '../../database/database-error.ts'
import type { Database } from '../../database/database.ts'
import type { ApplyOutside, OutsideTransaction } from '../../database/migrating.ts'
import { MaintenanceError } from '../../errors.ts'
import type { MigrateOptions } from '../migrate-options.ts'
import { atStatement } from '../migration-failure.ts'
import { indexesMade, type IndexStep } from './concurrent-indexes.ts'

export interface IndexBuilding extends Pick<MigrateOptions, 'database' | 'listener'> {
  readonly outside: ApplyOutside
}

/**
 * Runs the statements of a file without a transaction. An interrupted build leaves an invalid index, which every write maintains, no query uses, and IF NOT
 * EXISTS silently accepts. So invalid indexes are dropped before the first statement and after a failure. At the end every index exists and is valid.
 */
export function buildIndexes({ database, outside, listener }: IndexBuilding, path: string, steps: readonly IndexStep[]): Promise<void> {
  const indexes = indexesMade(steps)
  const heldUp = (by: string, waitedMs: number): void => listener.blocked(path, `held up by ${by}`, waitedMs)
  return outside(heldUp, async (session) => {
    for (const index of await dropInvalid(database, session, indexes)) listener.healed(path, index)
    try {
      for (const { statement, relation, sqlOn } of steps)
        await atStatement(statement, () => session.run(sqlOn(database.named(relation)), relation))
    } catch (error) {
      // An index that cannot be dropped now is dropped at the next start. The original failure is the one to report.
      if (!isLoss(error)) await dropInvalid(database, session, indexes).catch(() => undefined)
      throw error
    }
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
    `the index ${index} is ${state} although its statement has run: another session is changing it`,
  )
}
