import { DAY, type EpochMs } from '../../../time/clock.ts'
import type { Query } from '../../query.ts'
import { qualified } from '../identifiers.ts'
import { boundOf, type Bound, type BoundTime, type Edge, type PartitioningOptions, type Tree } from './tree.ts'

/**
 * What changes which partitions a table has. Each call takes locks, the table's first, that are held until the transaction ends, and waits for them no longer
 * than the transaction's lock timeout: it rejects with `busy` then. What was in the way of a call is looked up again under the lock.
 */
export interface Hands {
  /** Makes an empty partition with the owner and the rights of its table. */
  make(tx: Query, range: NewRange): Promise<void>
  /** Takes a partition out, and marks it: see `markOf`. Refuses one that is live, or is not plain, or has another owner than its table. */
  detach(tx: Query, name: string): Promise<void>
  /** Makes a table that `detach` has taken out a partition again, with the bounds of its mark. Rejects with 23514 if DEFAULT has rows of that range. */
  attach(tx: Query, name: string): Promise<void>
  /** Drops a table that `detach` has taken out, whatever rows it has: look at them before, in the same transaction. */
  drop(tx: Query, name: string): Promise<void>
}

export interface NewRange {
  readonly name: string
  readonly from: BoundTime
  readonly to: BoundTime
}

export type Reach =
  | { readonly hands: Hands; readonly problem: undefined }
  /** This role may change nothing here; a sentence with what to run. */
  | { readonly hands: undefined; readonly problem: string }

export function handsOn(_options: PartitioningOptions, _tree: Tree): Promise<Reach> {
  return Promise.reject(new Error('to be written'))
}

/** Whether rows may still be written to a partition that ends there: wherever the writers' clocks are, their day has not been over for half a day. */
export function isLive(to: BoundTime, now: EpochMs): boolean {
  return to.reading > now - DAY
}

/** Begins the comment of a table that was taken out; its bounds follow, as `pg_get_expr` writes them in UTC. Only the table's owner can write it. */
export function markOf(schema: string, table: string): string {
  return `mcp-gateway-maintenance took this out of ${qualified(schema, table)}: `
}

/** The bounds that a table had before it was taken out; `undefined`: `comment` is not our mark for this table. */
export function markedBound(
  comment: string | null,
  schema: string,
  table: string,
): { readonly from: Edge; readonly to: BoundTime } | undefined {
  const mark = markOf(schema, table)
  const bound: Bound = comment?.startsWith(mark) === true ? boundOf(comment.slice(mark.length)) : { kind: 'other' }
  return bound.kind === 'range' && bound.to !== undefined ? { from: bound.from, to: bound.to } : undefined
}
