import { readBack, notKept } from '../database/read-back.ts'
import { storedNumber, storedText, textUpTo } from '../database/stored-values.ts'
import { MaintenanceError } from '../errors.ts'
import { MOST_MATCHES_BYTES } from '../policy/holds.ts'
import { digestOf } from '../receipts/digest.ts'
import type { EpochMs } from '../time/clock.ts'
import { minuteText } from '../time/time-text.ts'
import { betweenBatches } from './hold-lock.ts'
import { HOLDS } from './hold-tables.ts'
import type { HoldChange } from './placing-holds.ts'
import type { ReceiptMark } from '../receipts/receipt.ts'

export interface Released {
  readonly id: number
  readonly releasedAt: EpochMs
  /** `undefined`: none was written, or an earlier attempt wrote it whose answer was lost. */
  readonly receipt: ReceiptMark | undefined
}

interface Latest {
  readonly id: unknown
  readonly released_at: unknown
  readonly released_by: unknown
  readonly release_reason: unknown
  readonly matches: unknown
}

/** Rows that the hold kept may go from the next run on; one that is running keeps them to its end. */
export async function releaseHold(releasing: HoldChange): Promise<Released> {
  const { database, job, name, reason, by, receipts } = releasing
  const table = database.named(HOLDS)
  /** When earlier attempts were made whose answers were lost. */
  const tried = new Set<EpochMs>()
  return betweenBatches(
    { ...releasing, job: job.name, done: `hold ${JSON.stringify(name)} was released`, find: `mcp-gateway-maintenance hold show ${name}` },
    async (tx) => {
      const { rows } = await tx.query<Latest>(
        `SELECT id, released_at, released_by, release_reason, ${textUpTo('matches', MOST_MATCHES_BYTES)} AS matches FROM ${table} WHERE name = $1
         ORDER BY CASE WHEN released_at IS NULL THEN 0 ELSE 1 END, released_at DESC, id DESC LIMIT 1`,
        [name],
      )
      const [row] = rows
      if (row === undefined) throw new MaintenanceError('USAGE', `There is no hold ${JSON.stringify(name)}. Nothing was changed.`)
      const id = storedNumber(row.id, `${HOLDS}.id`)
      if (row.released_at !== null) {
        const releasedAt = storedNumber(row.released_at, `${HOLDS}.released_at`)
        if (tried.has(releasedAt) && row.released_by === by && row.release_reason === reason) return { id, releasedAt, receipt: undefined }
        const releaser = JSON.stringify(storedText(row.released_by, `${HOLDS}.released_by`))
        throw new MaintenanceError(
          'USAGE',
          `Hold ${JSON.stringify(name)} was released already, at ${minuteText(releasedAt)} UTC by ${releaser}. Nothing was changed.`,
        )
      }
      tried.add(tx.now)
      const { changed } = await tx.query(
        `UPDATE ${table} SET released_at = $1, released_by = $2, release_reason = $3 WHERE id = $4 AND released_at IS NULL`,
        [tx.now, by, reason, id],
      )
      if (changed !== 1) throw notKept(table, ['released_at'])
      await readBack(tx, table, { id }, { released_at: tx.now, released_by: by, release_reason: reason })
      const hold = { id, name, sha256: digestOf(typeof row.matches === 'string' ? row.matches : '') }
      const receipt = await receipts?.append(tx, { kind: 'hold-released', job: job.name, hold, by, reason })
      return { id, releasedAt: tx.now, receipt }
    },
  )
}
