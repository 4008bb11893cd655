import type { Database } from '../database/database.ts'
import { DatabaseError } from '../database/database-error.ts'
import type { Query, Transaction } from '../database/query.ts'
import { readBack } from '../database/read-back.ts'
import { boundedText, storedNumber, textUpTo } from '../database/stored-values.ts'
import { LEDGER } from '../migrations/ledger.ts'
import { digestOf, isDigest } from '../receipts/digest.ts'
import { MOST_RECEIPT_BYTES, receiptText, type ReceiptFacts, type ReceiptMark } from '../receipts/receipt.ts'
import type { Signer } from '../receipts/signing.ts'
import { RECEIPTS } from './receipt-tables.ts'

const RECEIPTS_MIGRATION = 'add_receipts'

export interface ReceiptWriter {
  readonly database: Database
  /** `host:process` */
  readonly worker: string
  readonly version: string
  /** `undefined`: receipts are not signed. */
  readonly signer: Signer | undefined
}

/**
 * `undefined`: no migration has made the table yet. Rejects if one has and it is gone: a chain that begins anew must not look like a first one. Looked up for
 * each run, because another worker may have migrated.
 */
export async function receiptsIn(database: Database): Promise<string | undefined> {
  const found = await database.tablesAmong([RECEIPTS, LEDGER])
  if (found.has(RECEIPTS)) return database.named(RECEIPTS)
  if (!found.has(LEDGER)) return undefined
  const { rows } = await database.query(`SELECT version FROM ${database.named(LEDGER)} WHERE name = $1`, [RECEIPTS_MIGRATION])
  if (rows.length === 0) return undefined
  throw new DatabaseError(
    'failed',
    `Table ${RECEIPTS} is missing, although the migration ${RECEIPTS_MIGRATION} has made it, and the receipts in it with it. Nothing was changed. ` +
      'Restore the table from a backup, or run the file of that migration by hand to begin a new chain.',
  )
}

/** The receipts of a database: each is appended once, by whoever has the row of the job's lease. */
export class ReceiptBook {
  readonly #writer: ReceiptWriter
  readonly #table: string

  /** `table`: for use in SQL. */
  constructor(writer: ReceiptWriter, table: string) {
    this.#writer = writer
    this.#table = table
  }

  /**
   * In the transaction of what it is a receipt of, which has locked the row of the job's lease already: by claiming, renewing or releasing it, or by `lockLease`. Only
   * then is it certain which receipt is the last one.
   */
  async append(tx: Transaction, facts: ReceiptFacts): Promise<ReceiptMark> {
    const { database, worker, version, signer } = this.#writer
    const last = await this.#last(tx)
    const n = (last?.n ?? 0) + 1
    const { engine, name } = database.label
    const frame = { n, previous: last?.sha256 ?? null, at: tx.now, database: { engine, name }, worker, version }
    const text = receiptText(frame, facts)
    const signature = signer?.sign(text)
    const run = facts.kind === 'purge' ? facts.run : null
    const row = {
      kind: facts.kind,
      run,
      body: text,
      sha256: digestOf(text),
      key_id: signature?.keyId ?? null,
      signature: signature?.value ?? null,
    }
    await tx.query(
      `INSERT INTO ${this.#table} (n, kind, run, body, sha256, key_id, signature) VALUES (CAST($1 AS bigint), $2, CAST($3 AS bigint), $4, $5, $6, $7)`,
      [n, row.kind, row.run, row.body, row.sha256, row.key_id, row.signature],
    )
    await readBack(tx, this.#table, { n }, row)
    return { n, sha256: row.sha256 }
  }

  /** `undefined`: the run has none yet. */
  async ofRun(query: Query, run: number): Promise<ReceiptMark | undefined> {
    const { rows } = await query.query<{ n: unknown; sha256: unknown }>(
      `SELECT n, ${boundedText('sha256')} AS sha256 FROM ${this.#table} WHERE run = CAST($1 AS bigint)`,
      [run],
    )
    const [row] = rows
    return row === undefined ? undefined : { n: storedNumber(row.n, `${RECEIPTS}.n`), sha256: String(row.sha256) }
  }

  async #last(tx: Transaction): Promise<ReceiptMark | undefined> {
    const { rows } = await tx.query<{ n: unknown; sha256: unknown; body: unknown }>(
      `SELECT n, ${boundedText('sha256')} AS sha256, ${textUpTo('body', MOST_RECEIPT_BYTES)} AS body FROM ${this.#table} ORDER BY n DESC LIMIT 1`,
    )
    const [row] = rows
    if (row === undefined) return undefined
    const n = storedNumber(row.n, `${RECEIPTS}.n`)
    // One that was damaged keeps nobody from going on: `receipts verify` names it.
    if (typeof row.sha256 === 'string' && isDigest(row.sha256)) return { n, sha256: row.sha256 }
    return { n, sha256: digestOf(typeof row.body === 'string' ? row.body : '') }
  }
}
