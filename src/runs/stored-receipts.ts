import type { Job } from '../catalogue.ts'
import type { Query } from '../database/query.ts'
import { boundedText, storedNumber, textUpTo } from '../database/stored-values.ts'
import type { SignedText } from '../receipts/envelope.ts'
import { MOST_RECEIPT_BYTES } from '../receipts/receipt.ts'
import { RECEIPTS } from './receipt-tables.ts'
import { RUNS } from './run-records.ts'

/** A receipt as the database has it. Nothing of it is believed. */
export interface StoredReceipt {
  readonly n: number
  /** `undefined`: longer than a receipt is. */
  readonly signed: SignedText | undefined
  /** Of the text, as it stands beside it. */
  readonly sha256: string
  /** The run that it is said to be of. */
  readonly run: number | undefined
}

const PAGE = 500

/** In the order of their numbers. `table`: for use in SQL. */
export async function* storedReceipts(query: Query, table: string): AsyncGenerator<StoredReceipt> {
  for (let after = Number.MIN_SAFE_INTEGER; ;) {
    const { rows } = await query.query<Readonly<Record<string, unknown>>>(
      `SELECT n, run, ${textUpTo('body', MOST_RECEIPT_BYTES)} AS body, ${['sha256', 'key_id', 'signature'].map((column) => `${boundedText(column)} AS ${column}`).join(', ')}
       FROM ${table} WHERE n > CAST($1 AS bigint) ORDER BY n LIMIT ${PAGE}`,
      [after],
    )
    for (const { n, run, body, sha256, key_id: keyId, signature } of rows) {
      after = storedNumber(n, `${RECEIPTS}.n`)
      const isSigned = typeof keyId === 'string' || typeof signature === 'string'
      yield {
        n: after,
        run: typeof run === 'number' ? run : undefined,
        signed:
          typeof body === 'string'
            ? { text: body, signature: isSigned ? { keyId: String(keyId), value: String(signature) } : undefined }
            : undefined,
        sha256: String(sha256),
      }
    }
    if (rows.length < PAGE) return
  }
}

/** What the history says that the runs with these numbers have deleted; those that are still on record. */
export async function deletedByRuns(
  query: Query,
  runs: string,
  { name }: Job,
  from: number,
  to: number,
): Promise<ReadonlyMap<number, number>> {
  const { rows } = await query.query<{ id: unknown; deleted: unknown }>(
    `SELECT id, rows_deleted AS deleted FROM ${runs} WHERE job = $1 AND id >= CAST($2 AS bigint) AND id <= CAST($3 AS bigint)`,
    [name, from, to],
  )
  return new Map(rows.map(({ id, deleted }) => [storedNumber(id, `${RUNS}.id`), storedNumber(deleted, `${RUNS}.rows_deleted`)]))
}

const MOST_NAMED = 20

/** Runs that have ended since the first receipt, were allowed to delete, and have none: one of an older version has written none. */
export async function runsWithoutReceipt(query: Query, receipts: string, runs: string, { name }: Job): Promise<readonly number[]> {
  const { rows } = await query.query<{ id: unknown }>(
    `SELECT r.id FROM ${runs} AS r WHERE r.job = $1 AND r.outcome IS NOT NULL AND r.retention IS NOT NULL AND r.id > (SELECT min(run) FROM ${receipts})
       AND NOT EXISTS (SELECT 1 FROM ${receipts} AS c WHERE c.run = r.id) ORDER BY r.id LIMIT ${MOST_NAMED}`,
    [name],
  )
  return rows.map(({ id }) => storedNumber(id, `${RUNS}.id`))
}
