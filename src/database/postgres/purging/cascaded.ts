import type { Tally } from '../../purging.ts'
import type { Transaction } from '../../query.ts'
import { PLUS } from '../exact.ts'

/** The tables whose rows foreign keys delete or change along. */
export interface Taken {
  /** `pg_class.oid` of each. */
  readonly tables: readonly string[]
  /** Whether the purged table is one of them. */
  readonly ownToo: boolean
}

export const NOTHING_TAKEN: Taken = { tables: [], ownToo: false }

/**
 * Adds to a tally how many rows foreign keys have deleted or changed along, by what the server counts in this transaction. Where a batch was tried twice,
 * because a row was locked, those of the first attempt may be counted too.
 */
export async function withCascaded<T extends Tally>(tx: Transaction, { tables, ownToo }: Taken, remove: () => Promise<T>): Promise<T> {
  if (tables.length === 0) return remove()
  const before = await touched(tx, tables)
  const tally = await remove()
  return { ...tally, cascaded: Math.max(0, (await touched(tx, tables)) - before - (ownToo ? tally.affected : 0)) }
}

async function touched(tx: Transaction, tables: readonly string[]): Promise<number> {
  return (await tx.query<{ rows: number }>(TOUCHED, [`{${tables.join(',')}}`])).rows[0]?.rows ?? 0
}

const TOUCHED = `SELECT coalesce(pg_catalog.sum(pg_catalog.pg_stat_get_xact_tuples_deleted(t.id) ${PLUS} pg_catalog.pg_stat_get_xact_tuples_updated(t.id)), '0'::pg_catalog.numeric)::pg_catalog.int8 AS rows
FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS t (id)`
