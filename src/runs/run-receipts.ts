import { ARCHIVED, ARCHIVES } from '../archive/tables.ts'
import type { Job } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import { DatabaseError } from '../database/database-error.ts'
import type { Transaction } from '../database/query.ts'
import { boundedText, orNothing, storedCount, storedNumber, storedText, storedTime, textUpTo } from '../database/stored-values.ts'
import { MOST_MATCHES_BYTES } from '../policy/holds.ts'
import { MOST_KEPT_BYTES, parsePolicy, retentionText } from '../policy/rules.ts'
import { digestOf } from '../receipts/digest.ts'
import { MOST_RECEIPT_HOLDS, type PurgeFacts, type ReceiptHold, type ReceiptMark } from '../receipts/receipt.ts'
import { formatTime } from '../time/clock.ts'
import { ALL_HOLDS } from './held-rows-of-run.ts'
import { HOLDS, RUN_HOLDS } from './hold-tables.ts'
import { POLICIES, RUN_POLICIES } from './policy-tables.ts'
import { ReceiptBook, receiptsIn, type ReceiptWriter } from './receipt-book.ts'
import { RECEIPT_RIGHTS, RECEIPTS } from './receipt-tables.ts'
import { RUNS } from './run-records.ts'

/** Writes the receipts of runs of a job, from what the database has of them: so whoever closes a run writes the same. */
export interface RunReceipts {
  /** For each of these runs that has ended, was allowed to delete and has no receipt yet. Returns that of the last one. In the transaction that ended them, under the lease. */
  write(tx: Transaction, runs: readonly number[]): Promise<ReceiptMark | undefined>
}

/** `undefined`: runs of the job have none, or no migration has made their table yet. */
export async function runReceiptsOf(writer: ReceiptWriter, job: Job): Promise<RunReceipts | undefined> {
  if (job.receipts !== true) return undefined
  const { database } = writer
  const table = await receiptsIn(database)
  if (table === undefined) return undefined
  const grants = await database.missingGrants({ [RECEIPTS]: RECEIPT_RIGHTS })
  if (grants.length > 0)
    throw new DatabaseError(
      'forbidden',
      `This role may not write the receipt of a run to ${RECEIPTS}. Nothing was deleted by ${job.name}. Run as the owner of the table: ${grants.join('; ')}`,
    )
  const book = new ReceiptBook(writer, table)
  const there = await database.tablesAmong([HOLDS, RUN_HOLDS, POLICIES, RUN_POLICIES, ARCHIVES, ARCHIVED])
  return {
    async write(tx, runs) {
      let mark: ReceiptMark | undefined
      for (const run of runs) {
        mark = await book.ofRun(tx, run)
        if (mark !== undefined) continue
        const facts = await factsOf(tx, database, there, job, run)
        if (facts !== undefined) mark = await book.append(tx, facts)
      }
      return mark
    },
  }
}

/** `there`: the tables of records that exist; a run goes without those that no migration has made. `undefined`: it has not ended, or was not allowed to delete. */
async function factsOf(
  tx: Transaction,
  database: Database,
  there: ReadonlySet<string>,
  job: Job,
  run: number,
): Promise<PurgeFacts | undefined> {
  const recorded = (...tables: readonly string[]): boolean => tables.every((name) => there.has(name))
  const { rows } = await tx.query<Readonly<Record<string, unknown>>>(
    `SELECT "trigger", outcome, ${boundedText('worker')} AS worker, started_at, finished_at, cutoff, retention, rows_deleted, undated, unreadable, locked
     FROM ${database.named(RUNS)} WHERE id = CAST($1 AS bigint) AND job = $2 AND outcome IS NOT NULL AND retention IS NOT NULL`,
    [run, job.name],
  )
  const [row] = rows
  if (row === undefined) return undefined
  const count = (column: string): number => orNothing(storedCount, row[column], `${RUNS}.${column}`) ?? 0
  const text = (column: string): string => storedText(row[column], `${RUNS}.${column}`)
  const time = (column: string): string | null => {
    const at = orNothing(storedTime, row[column], `${RUNS}.${column}`)
    return at === undefined ? null : formatTime(at)
  }
  const outcome = text('outcome')
  const { holds, more, held } = recorded(HOLDS, RUN_HOLDS) ? await holdsOf(tx, database, job, run) : NO_HOLDS
  return {
    kind: 'purge',
    job: job.name,
    run,
    trigger: text('trigger'),
    ranOn: text('worker'),
    startedAt: time('started_at') ?? '',
    finishedAt: time('finished_at'),
    outcome,
    cutoff: time('cutoff'),
    retention: retentionText(storedNumber(row['retention'], `${RUNS}.retention`)),
    policy: recorded(POLICIES, RUN_POLICIES) ? await policyOf(tx, database, job, run) : null,
    rows: {
      deleted: count('rows_deleted'),
      held: held ?? (holds.length === 0 ? 0 : null),
      undated: count('undated'),
      unreadable: count('unreadable'),
      locked: count('locked'),
    },
    holds,
    moreHolds: more,
    archive: recorded(ARCHIVES, ARCHIVED) ? await archiveOf(tx, database, job, run) : null,
  }
}

interface HoldsOfRun {
  readonly holds: readonly ReceiptHold[]
  /** How many there are beyond these. */
  readonly more: number
  /** Rows that any of them keeps. */
  readonly held: number | undefined
}

const NO_HOLDS: HoldsOfRun = { holds: [], more: 0, held: undefined }

/** Those that the run counted, and those in force, which a run that was killed had not counted yet. */
async function holdsOf(tx: Transaction, database: Database, job: Job, run: number): Promise<HoldsOfRun> {
  const counted = database.named(RUN_HOLDS)
  const { rows } = await tx.query<Readonly<Record<string, unknown>>>(
    `SELECT h.id, ${boundedText('h.name')} AS name, ${textUpTo('h.matches', MOST_MATCHES_BYTES)} AS matches, r."rows" AS held
     FROM ${database.named(HOLDS)} AS h LEFT JOIN ${counted} AS r ON r.hold = h.id AND r.run = CAST($1 AS bigint)
     WHERE h.job = $2 AND (h.released_at IS NULL OR r.run IS NOT NULL) ORDER BY h.id`,
    [run, job.name],
  )
  const { rows: all } = await tx.query<{ held: unknown }>(
    `SELECT "rows" AS held FROM ${counted} WHERE run = CAST($1 AS bigint) AND hold = ${ALL_HOLDS}`,
    [run],
  )
  return {
    holds: rows.slice(0, MOST_RECEIPT_HOLDS).map(({ id, name, matches, held }) => ({
      id: storedNumber(id, `${HOLDS}.id`),
      name: storedText(name, `${HOLDS}.name`),
      sha256: digestOf(typeof matches === 'string' ? matches : ''),
      rows: orNothing(storedCount, held, `${RUN_HOLDS}.rows`) ?? null,
    })),
    more: Math.max(0, rows.length - MOST_RECEIPT_HOLDS),
    held: orNothing(storedCount, all[0]?.held, `${RUN_HOLDS}.rows`),
  }
}

async function policyOf(tx: Transaction, database: Database, job: Job, run: number): Promise<PurgeFacts['policy']> {
  const { rows } = await tx.query<{ sha256: unknown; policy: unknown }>(
    `SELECT ${boundedText('r.sha256')} AS sha256, ${textUpTo('p.policy', MOST_KEPT_BYTES)} AS policy FROM ${database.named(RUN_POLICIES)} AS r
     LEFT JOIN ${database.named(POLICIES)} AS p ON p.sha256 = r.sha256 WHERE r.run = CAST($1 AS bigint)`,
    [run],
  )
  const [row] = rows
  if (row === undefined) return null
  const policy = typeof row.policy === 'string' ? parsePolicy(row.policy, job.holdable.by) : undefined
  const rules = policy?.rules.map(({ name, match, retentionMs }) => ({ name, match, retention: retentionText(retentionMs) })) ?? null
  return { sha256: String(row.sha256), rules }
}

/** `null`: nothing was archived yet. */
async function archiveOf(tx: Transaction, database: Database, { table, archived }: Job, run: number): Promise<PurgeFacts['archive']> {
  if (archived !== true) return null
  // What it says is not believed, but said: a run checks it before it archives.
  const { rows } = await tx.query<Readonly<Record<string, unknown>>>(
    `SELECT ${boundedText('a.head_file')} AS head, ${boundedText('a.head')} AS sha256, r.files, r."rows" AS added FROM ${database.named(ARCHIVES)} AS a
     LEFT JOIN ${database.named(ARCHIVED)} AS r ON r.run = CAST($1 AS bigint) WHERE a.source = $2 AND a.head IS NOT NULL`,
    [run, table],
  )
  const [row] = rows
  if (row === undefined) return null
  const count = (column: string): number => orNothing(storedCount, row[column], `${ARCHIVED}.${column}`) ?? 0
  return { head: String(row['head']), sha256: String(row['sha256']), files: count('files'), rows: count('added') }
}
