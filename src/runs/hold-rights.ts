import type { Database, Rights } from '../database/database.ts'
import { DatabaseError } from '../database/database-error.ts'
import { HELD_FILES, HOLDS, RUN_HOLDS } from './hold-tables.ts'
import { POLICIES, RUN_POLICIES } from './policy-tables.ts'
import { RECEIPT_RIGHTS, RECEIPTS } from './receipt-tables.ts'
import { LEASES, RUNS } from './run-records.ts'

/** What a run needs of the tables of holds and policies. */
export const RUN_RIGHTS: Rights = {
  [HOLDS]: ['SELECT'],
  [RUN_HOLDS]: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  [HELD_FILES]: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  [POLICIES]: ['SELECT', 'INSERT', 'UPDATE'],
  [RUN_POLICIES]: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  [RECEIPTS]: RECEIPT_RIGHTS,
}

const READING: Rights = { [HOLDS]: ['SELECT'], [RUN_HOLDS]: ['SELECT'], [HELD_FILES]: ['SELECT'], [RUNS]: ['SELECT'] }
const CHANGING: Rights = { ...READING, [LEASES]: ['SELECT', 'INSERT', 'UPDATE (fence)'], [RECEIPTS]: RECEIPT_RIGHTS }

export const READING_RIGHTS = READING
export const PLACING_RIGHTS: Rights = { ...CHANGING, [HOLDS]: ['SELECT', 'INSERT'] }
export const RELEASING_RIGHTS: Rights = { ...CHANGING, [HOLDS]: ['SELECT', 'UPDATE (released_at, released_by, release_reason)'] }

/** Where a right is missing, the error says which statement gives it. `undone`: what was not done: `Nothing was deleted.` */
export async function namingGrants<T>(
  database: Pick<Database, 'missingGrants'>,
  rights: Rights,
  undone: () => string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.kind !== 'forbidden') throw error
    // If this cannot be asked either, the error itself has to do.
    const grants = await database.missingGrants(rights).catch(() => [])
    if (grants.length === 0) throw error
    throw new DatabaseError(
      'forbidden',
      `${firstSentence(error.message)}. ${undone()} Run as the owner of the tables: ${grants.join('; ')}`,
      {
        cause: error.cause ?? error,
      },
    )
  }
}

/** Without the advice about the scripts: the statements are more exact. */
function firstSentence(message: string): string {
  return message.split('. ', 1)[0]!
}
