import { JOBS } from '../../src/catalogue.ts'
import type { TestDatabase } from '../support/engines.ts'

const JOB = JOBS[0]!.name

/**
 * Places a hold on audit logs as the command does: what has it placed when this resolves is in force for every batch and every removal after that. Waits for a
 * transaction that holds the lease.
 */
export async function placed(outside: TestDatabase, name: string, matches: unknown): Promise<void> {
  const values = [name, JOB, typeof matches === 'string' ? matches : JSON.stringify(matches), Date.now()]
  const insert = `INSERT INTO maintenance_holds (name, job, matches, reason, placed_at, placed_by) VALUES ($1, $2, $3, 'a test', $4, 'a test')`
  // One statement is one transaction; on SQLite it has the lock that a batch has.
  await outside.sql(
    outside.url.startsWith('sqlite')
      ? insert
      : `WITH lease AS (UPDATE maintenance_leases SET holder = holder WHERE job = $2 RETURNING job)
         INSERT INTO maintenance_holds (name, job, matches, reason, placed_at, placed_by)
         SELECT $1, $2, $3, 'a test', $4, 'a test' FROM (SELECT count(*) FROM lease) AS locked`,
    values,
  )
}

export async function released(outside: TestDatabase, name: string): Promise<void> {
  await outside.sql(
    `UPDATE maintenance_holds SET released_at = $1, released_by = 'a test', release_reason = 'a test' WHERE name = $2 AND released_at IS NULL`,
    [Date.now(), name],
  )
}

/** Every so many rows, by their numbers, are of this user. */
export async function ownedBy(outside: TestDatabase, user: string, every: number): Promise<number[]> {
  await outside.sql(`UPDATE audit_logs SET "user" = $1 WHERE id % ${every} = 0`, [user])
  return (await outside.sql<{ id: number }>('SELECT id FROM audit_logs WHERE "user" = $1 ORDER BY id', [user])).map(({ id }) => id)
}
