import { NOTHING_SPARED, type SparedRows } from '../../../policy/spared.ts'
import type { EpochMs } from '../../../time/clock.ts'
import { wallInstant } from '../../../time/zones.ts'
import {
  DIGEST_BYTES,
  type DigestedTally,
  type ExportedRows,
  type ExportedSlice,
  type KnownRows,
  type StoredRows,
  type TooLarge,
} from '../../exporting.ts'
import type { TimeColumn } from '../../purging.ts'
import type { Query, Transaction, Value } from '../../query.ts'
import type { Copy } from '../connection/connection.ts'
import { withCascaded } from '../purging/cascaded.ts'
import { removeRows } from '../purging/removal.ts'
import { copySql, misfitsSql, STEERED, withoutDigests, type Condition } from '../purging/slice-sql.ts'
import { bindingTo, isFree } from '../purging/spared-sql.ts'
import { PostgresExpiredRows, PostgresSlice, type SliceOptions } from '../purging/slices.ts'
import type { Expired } from '../purging/edges.ts'
import type { Place, SliceKind } from '../purging/walk.ts'
import type { LookUpCharset } from './charset.ts'
import { CopyReader, type CopyOptions } from './copy-reader.ts'
import { fitsSql, idSql } from './line-length.ts'
import { Spool } from './spool.ts'
import { CANONICAL_TEXT, recordColumns, rowRecord } from './stored-rows.ts'

export interface ExportOptions extends SliceOptions {
  readonly copy: Copy
  readonly charset: LookUpCharset
}

/** How many of the rows that are too large are named. */
const MOST_TOLD = 3

/** Between two attempts a row may be added or changed. */
const MOST_ATTEMPTS = 4

/** How the rows of a table are read. */
interface Export extends Omit<CopyOptions, 'take'> {
  readonly copy: Copy
}

/** Expired rows whose lines are no longer than `longestBytes`. */
export class PostgresExportedRows extends PostgresExpiredRows<PostgresExportedSlice> implements ExportedRows {
  readonly #query: Query
  #idSql = "''"

  constructor(options: ExportOptions, column: TimeColumn, cutoff: EpochMs, longestBytes: number, spared: SparedRows = NOTHING_SPARED) {
    const { query, copy, schema, timeZone } = options
    super(options, column, cutoff, spared, async (): Promise<SliceKind<PostgresExportedSlice>> => {
      const columns = await recordColumns(query, schema, column.table, column.column)
      const record = rowRecord(columns, await options.charset())
      const rows: Export = { copy, record, time: column.column, instantAt: wallInstant(timeZone) }
      this.#idSql = idSql(columns)
      return { fits: fitsSql(columns, longestBytes), slice: (...parts) => new PostgresExportedSlice(rows, ...parts) }
    })
    this.#query = query
  }

  async tooLarge(among?: number): Promise<TooLarge> {
    const { expired, kind } = await this.walk()
    const values: Value[] = [expired.cutoff, among ?? null]
    const fits = kind.fits ?? 'true'
    // A row that is spared has not expired, and is nobody's trouble.
    const told = expired.spared.length === 0 ? fits : `NOT (${isFree(expired.spared, bindingTo(values))}) OR ${fits}`
    const { rows } = await this.#query.query<{ id: string; rows: number }>(misfitsSql(expired, told, this.#idSql, MOST_TOLD), values)
    return { rows: rows[0]?.rows ?? 0, ids: rows.map(({ id }) => id) }
  }
}

class PostgresExportedSlice extends PostgresSlice implements ExportedSlice {
  readonly #rows: Export

  constructor(rows: Export, expired: Expired, condition: Condition, mostRows: number, end: Place) {
    super(expired, condition, mostRows, end)
    this.#rows = rows
  }

  async read(take: (rows: StoredRows) => Promise<void>): Promise<void> {
    const { copy, record } = this.#rows
    const reader = new CopyReader({ ...this.#rows, take })
    const text = copySql(this.expired, this.unspared(), record.sql)
    const spool = new Spool((piece) => reader.read(piece))
    try {
      await copy(this.expired.isSteered ? `${CANONICAL_TEXT}; ${STEERED}` : CANONICAL_TEXT, text, (piece) => spool.put(piece))
    } finally {
      await spool.emptied()
    }
  }

  /** Whether rows are known shows only when they are deleted. If some are not, which is rare, all others are deleted in a second attempt. */
  async removeRead(tx: Transaction, spared: SparedRows, known: KnownRows): Promise<DigestedTally> {
    await this.steer(tx)
    const free = await this.unsparedNow(tx, spared)
    const digest = { sql: this.#rows.record.digestSql, settings: CANONICAL_TEXT }
    return withCascaded(tx, this.expired.taken, async () => {
      const unknown: string[] = []
      for (let attempt = 1; ; attempt += 1) {
        const condition = unknown.length === 0 ? free : withoutDigests(free, digest.sql, unknown)
        const removed = await removeRows(tx, this.expired, condition, this.mostRows, digest)
        const more = unknownIn(removed.digests, known)
        if (more.length === 0 || attempt === MOST_ATTEMPTS) return { ...removed, unknown: unknown.length }
        unknown.push(...more)
        await tx.query('ROLLBACK TO SAVEPOINT batch')
      }
    })
  }
}

/** The digests of the rows that are not known, in hexadecimal. */
function unknownIn(digests: Uint8Array, known: KnownRows): string[] {
  const isKnown = known()
  const bytes = Buffer.from(digests.buffer, digests.byteOffset, digests.byteLength)
  const view = new DataView(digests.buffer, digests.byteOffset, digests.byteLength)
  const unknown: string[] = []
  for (let from = 0; from < bytes.length; from += DIGEST_BYTES)
    if (!isKnown(view, from)) unknown.push(bytes.toString('hex', from, from + DIGEST_BYTES))
  return unknown
}
