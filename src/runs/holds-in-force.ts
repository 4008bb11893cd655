import type { Job } from '../catalogue.ts'
import { DatabaseError } from '../database/database-error.ts'
import type { Database } from '../database/database.ts'
import type { Query } from '../database/query.ts'
import { boundedText, storedNumber, storedText, textUpTo } from '../database/stored-values.ts'
import { LEDGER } from '../migrations/ledger.ts'
import { MOST_MATCHES_BYTES, parseMatches, type Hold } from '../policy/holds.ts'
import { HOLDS, HOLDS_MIGRATION } from './hold-tables.ts'

/**
 * Whether holds can exist: whether there is a table of them. Rejects if a migration has made one and it is gone, because the holds in it are gone too. Jobs none of
 * whose rows can be held have none.
 */
export async function mayHaveHolds(database: Database, { holdable, name }: Job): Promise<boolean> {
  if (holdable.by.length === 0) return false
  const found = await database.tablesAmong([HOLDS, LEDGER])
  if (found.has(HOLDS)) return true
  if (!found.has(LEDGER)) return false
  const { rows } = await database.query(`SELECT version FROM ${database.named(LEDGER)} WHERE name = $1`, [HOLDS_MIGRATION])
  if (rows.length === 0) return false
  throw new DatabaseError(
    'failed',
    `Table ${HOLDS} is missing, although the migration ${HOLDS_MIGRATION} has made it, and the holds in it with it. Nothing was deleted by ${name}. ` +
      'Restore the table from a backup. Where there never was a hold, run the file of that migration by hand.',
  )
}

interface StoredHold {
  readonly id: unknown
  readonly name: unknown
  readonly matches: unknown
}

/**
 * The holds on rows of a job, as they are now. Rejects if one of them cannot be read or understood: it may mean any row. Called under the lease of the job's
 * batch, whose row `hold place` changes: what is not found there is placed only after the batch. `consequence`: what was not done if it rejects.
 */
export async function holdsInForce(
  query: Query,
  holds: string,
  { name: job, table, holdable }: Job,
  consequence = `No row of ${table} was deleted`,
): Promise<readonly Hold[]> {
  const { rows } = await query.query<StoredHold>(
    `SELECT id, ${boundedText('name')} AS name, ${textUpTo('matches', MOST_MATCHES_BYTES)} AS matches FROM ${holds} WHERE job = $1 AND released_at IS NULL ORDER BY id`,
    [job],
  )
  const unreadable: string[] = []
  const found = rows.flatMap((row): Hold[] => {
    const [id, name] = [storedNumber(row.id, `${HOLDS}.id`), storedText(row.name, `${HOLDS}.name`)]
    const spared =
      typeof row.matches === 'string'
        ? parseMatches(row.matches, holdable.by)
        : { problems: [`is no text of at most ${MOST_MATCHES_BYTES} bytes`] }
    if (!('problems' in spared)) return [{ id, name, spared }]
    unreadable.push(
      `Hold ${JSON.stringify(name)} cannot be understood: ${HOLDS}.matches ${spared.problems.join(', and ')}. ${consequence}, because it may mean any row. ` +
        'Release it and place it again with mcp-gateway-maintenance hold.',
    )
    return []
  })
  if (unreadable.length > 0) throw new DatabaseError('failed', unreadable)
  return found
}
