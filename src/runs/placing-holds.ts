import type { ArchiveRecord } from '../archive/state.ts'
import type { ArchivePath } from '../archive/store/path.ts'
import { removalsBegun } from '../archive/files-between.ts'
import type { Job } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import { DatabaseError } from '../database/database-error.ts'
import type { Transaction } from '../database/query.ts'
import { readBack } from '../database/read-back.ts'
import { storedNumber } from '../database/stored-values.ts'
import { MaintenanceError } from '../errors.ts'
import { matchesText } from '../policy/holds.ts'
import { digestOf } from '../receipts/digest.ts'
import type { Spared } from '../policy/spared.ts'
import type { Clock, EpochMs } from '../time/clock.ts'
import { minuteText } from '../time/time-text.ts'
import { betweenBatches } from './hold-lock.ts'
import { HOLDS } from './hold-tables.ts'
import type { ReceiptMark } from '../receipts/receipt.ts'
import type { ReceiptBook } from './receipt-book.ts'

export interface HoldChange {
  readonly database: Database
  readonly clock: Clock
  readonly stopping: AbortSignal
  readonly job: Job
  readonly name: string
  readonly reason: string
  /** Who asks for it. */
  readonly by: string
  /** `undefined`: no migration has made the table of receipts yet. */
  readonly receipts: ReceiptBook | undefined
}

export interface Placing extends HoldChange {
  readonly spared: Spared
  readonly reviewAt: EpochMs | undefined
  /** `undefined`: nothing was ever archived. */
  readonly archive: ArchiveRecord | undefined
}

export interface Placed {
  readonly id: number
  readonly placedAt: EpochMs
  /** `undefined`: none was written, or an earlier attempt wrote it whose answer was lost. */
  readonly receipt: ReceiptMark | undefined
  /** Files of the archive that may hold such rows and that a run was removing already. */
  readonly tooLate: readonly ArchivePath[]
  /** Why it is not known which files those are. */
  readonly tooLateUnknown: string | undefined
}

/** When it resolves, no batch of any worker deletes a row any more that the hold keeps. Waits for the batch that is being deleted, at most. */
export async function placeHold(placing: Placing): Promise<Placed> {
  const { database, job, name, spared, reason, by, reviewAt, archive, receipts } = placing
  const table = database.named(HOLDS)
  const matches = matchesText(spared, job.holdable.by)
  /** When earlier attempts were made whose answers were lost. */
  const tried = new Set<EpochMs>()
  return betweenBatches(
    { ...placing, job: job.name, done: `hold ${JSON.stringify(name)} was placed`, find: `mcp-gateway-maintenance hold show ${name}` },
    async (tx) => {
      const known = await inForce(tx, table, name)
      const isOurs =
        known !== undefined &&
        tried.has(Number(known.placed_at)) &&
        known.matches === matches &&
        known.reason === reason &&
        known.placed_by === by
      if (known !== undefined && !isOurs) throw nameIsTaken(name, known)
      if (!isOurs) tried.add(tx.now)
      const written = { name, job: job.name, matches, reason, placed_at: tx.now, placed_by: by, review_at: reviewAt ?? null }
      const id = known === undefined ? await insert(tx, table, written) : storedNumber(known.id, `${HOLDS}.id`)
      const placedAt = known === undefined ? tx.now : Number(known.placed_at)
      const facts = { kind: 'hold-placed', job: job.name, hold: { id, name, sha256: digestOf(matches) }, by, reason } as const
      const receipt = known === undefined ? await receipts?.append(tx, facts) : undefined
      return { id, placedAt, receipt, ...(await begunIn(tx, archive, spared)) }
    },
  )
}

interface InForce {
  readonly id: unknown
  readonly matches: unknown
  readonly reason: unknown
  readonly placed_at: unknown
  readonly placed_by: unknown
}

async function inForce(tx: Transaction, table: string, name: string): Promise<InForce | undefined> {
  const { rows } = await tx.query<InForce>(
    `SELECT id, matches, reason, placed_at, placed_by FROM ${table} WHERE name = $1 AND released_at IS NULL`,
    [name],
  )
  return rows[0]
}

function nameIsTaken(name: string, { placed_at: at, placed_by: by }: InForce): MaintenanceError {
  const since = typeof at === 'number' ? ` since ${minuteText(at)} UTC` : ''
  return new MaintenanceError(
    'USAGE',
    `A hold ${JSON.stringify(name)} is in force already${since}, placed by ${JSON.stringify(by)}. Nothing was changed. Choose another name: several holds may keep the same rows.`,
  )
}

type Written = Readonly<Record<'name' | 'job' | 'matches' | 'reason' | 'placed_by', string>> & {
  readonly placed_at: number
  readonly review_at: number | null
}

async function insert(tx: Transaction, table: string, written: Written): Promise<number> {
  const columns = Object.keys(written)
  const { rows } = await tx.query<{ id: unknown }>(
    `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map((_, at) => `$${at + 1}`).join(', ')}) RETURNING id`,
    Object.values(written),
  )
  const id = storedNumber(rows[0]?.id, `${HOLDS}.id`)
  await readBack(tx, table, { id }, { ...written, released_at: null, released_by: null, release_reason: null })
  return id
}

/** A state that cannot be understood must not keep anybody from placing a hold. */
async function begunIn(
  tx: Transaction,
  archive: ArchiveRecord | undefined,
  spared: Spared,
): Promise<Pick<Placed, 'tooLate' | 'tooLateUnknown'>> {
  if (archive === undefined) return { tooLate: [], tooLateUnknown: undefined }
  try {
    return { tooLate: removalsBegun((await archive.load(tx)).step, spared), tooLateUnknown: undefined }
  } catch (error) {
    // What the driver reports has ended the transaction.
    if (!(error instanceof MaintenanceError) || (error instanceof DatabaseError && (error.kind !== 'failed' || error.cause !== undefined)))
      throw error
    return { tooLate: [], tooLateUnknown: error.message }
  }
}
