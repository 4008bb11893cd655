import { createHash } from 'node:crypto'
import { rulesVariable, type Job } from '../catalogue.ts'
import { DatabaseError } from '../database/database-error.ts'
import type { Database } from '../database/database.ts'
import type { Query, Transaction } from '../database/query.ts'
import { readBack, rowOf } from '../database/read-back.ts'
import { boundedText, storedNumber, textUpTo } from '../database/stored-values.ts'
import { LEDGER } from '../migrations/ledger.ts'
import { MOST_KEPT_BYTES, parsePolicy, policyText, type Policy } from '../policy/rules.ts'
import { POLICIES, POLICIES_MIGRATION, RUN_POLICIES } from './policy-tables.ts'

/** Names for use in SQL. */
export interface PolicyTables {
  readonly policies: string
  readonly runs: string
}

/**
 * `undefined`: the job can have no rules, or no migration has made the tables yet. Rejects if one has and they are gone: then it is not known which rules the last
 * run had. Looked up for each run, because another worker may have migrated.
 */
export async function policyTables(database: Database, job: Job): Promise<PolicyTables | undefined> {
  if (rulesVariable(job) === undefined) return undefined
  const found = await database.tablesAmong([POLICIES, RUN_POLICIES, LEDGER])
  const missing = [POLICIES, RUN_POLICIES].filter((table) => !found.has(table))
  if (missing.length === 0) return { policies: database.named(POLICIES), runs: database.named(RUN_POLICIES) }
  if (!found.has(LEDGER)) return undefined
  const { rows } = await database.query(`SELECT version FROM ${database.named(LEDGER)} WHERE name = $1`, [POLICIES_MIGRATION])
  if (rows.length === 0) return undefined
  throw new DatabaseError(
    'failed',
    `Of the tables that the migration ${POLICIES_MIGRATION} has made, ${missing.join(' and ')} cannot be found, so it is not known which retention rules the last run of ${job.name} had. ` +
      'Nothing was deleted. Restore the table from a backup, or run the file of that migration by hand to go on without a comparison.',
  )
}

/** What the next run of the job is compared with. */
export type PastPolicy =
  | { readonly kind: 'none' }
  | { readonly kind: 'policy'; readonly run: number; readonly policy: Policy }
  | { readonly kind: 'unreadable'; readonly run: number; readonly why: string }

export async function pastPolicy(query: Query, tables: PolicyTables, { name, holdable }: Job): Promise<PastPolicy> {
  const { rows } = await query.query<{ readonly run: unknown; readonly sha256: unknown; readonly policy: unknown }>(
    `SELECT r.run, ${boundedText('r.compared_sha256')} AS sha256, ${textUpTo('p.policy', MOST_KEPT_BYTES)} AS policy
     FROM ${tables.runs} AS r LEFT JOIN ${tables.policies} AS p ON p.sha256 = r.compared_sha256 WHERE r.job = $1 ORDER BY r.run DESC LIMIT 1`,
    [name],
  )
  const [last] = rows
  if (last === undefined) return { kind: 'none' }
  const run = storedNumber(last.run, `${RUN_POLICIES}.run`)
  const unreadable = (why: string): PastPolicy => ({ kind: 'unreadable', run, why })
  if (typeof last.policy !== 'string') return unreadable(`${POLICIES} has no text for it, or one of more than ${MOST_KEPT_BYTES} bytes`)
  if (sha256Of(last.policy) !== last.sha256) return unreadable(`its text in ${POLICIES} has been changed`)
  const policy = parsePolicy(last.policy, holdable.by)
  return policy === undefined
    ? unreadable(`its text in ${POLICIES} is none that this version understands`)
    : { kind: 'policy', run, policy }
}

/** Each text is kept once. May be called again for the same run. `compared`: what the next run is compared with. */
export async function notePolicy(
  tx: Transaction,
  tables: PolicyTables,
  run: number,
  job: Job,
  policy: Policy,
  compared: Policy,
): Promise<void> {
  const [text, comparedText] = [policy, compared].map((each) => policyText(each, job.holdable.by)) as [string, string]
  for (const each of new Set([text, comparedText])) await keepText(tx, tables.policies, each)
  const row = { job: job.name, sha256: sha256Of(text), compared_sha256: sha256Of(comparedText) }
  await tx.query(
    `INSERT INTO ${tables.runs} (run, job, sha256, compared_sha256) VALUES (CAST($1 AS bigint), $2, $3, $4)
     ON CONFLICT (run) DO UPDATE SET job = excluded.job, sha256 = excluded.sha256, compared_sha256 = excluded.compared_sha256`,
    [run, row.job, row.sha256, row.compared_sha256],
  )
  await readBack(tx, tables.runs, { run }, row)
}

async function keepText(tx: Transaction, policies: string, text: string): Promise<void> {
  const key = { sha256: sha256Of(text) }
  const kept = await rowOf<{ policy: string }>(tx, policies, key, ['policy'])
  if (kept?.policy === text) return
  // A text that somebody has changed is put right.
  await tx.query(
    `INSERT INTO ${policies} (sha256, policy, first_seen) VALUES ($1, $2, CAST($3 AS bigint)) ON CONFLICT (sha256) DO UPDATE SET policy = excluded.policy`,
    [key.sha256, text, tx.now],
  )
  await readBack(tx, policies, key, { policy: text })
}

/** Goes with the record of the runs. The newest one stays: the next run is compared with it. */
export async function forgetPolicies(tx: Query, { runs: table }: PolicyTables, runs: string, job: Job): Promise<void> {
  await tx.query(
    `DELETE FROM ${table} WHERE job = $1 AND run < (SELECT min(id) FROM ${runs}) AND run < (SELECT max(run) FROM ${table} WHERE job = $1)`,
    [job.name],
  )
}

/** What a run is on record with that went by this policy. */
export function policyDigest(policy: Policy, columns: readonly string[]): string {
  return sha256Of(policyText(policy, columns))
}

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
