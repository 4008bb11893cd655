import { countText } from '../../../number-text.ts'
import { DAY, formatDuration } from '../../../time/clock.ts'
import type { PartitionTerms, Period } from '../../partitioning.ts'
import type { Query } from '../../query.ts'
import { EQ } from '../exact.ts'
import { quoted } from '../identifiers.ts'
import { carryingPublications, type Publication } from './publications.ts'
import type { PartitioningOptions } from './tree.ts'

/** What the server says of how many partitions it can bear, and of who is told of new tables. */
export interface LimitFacts {
  readonly schema: string
  readonly table: string
  /** Of the table, and so of each partition. */
  readonly indexes: number
  readonly locks: LockMemory
  readonly publications: readonly Publication[]
}

/** `max_connections` and so on, as the server has them. */
export interface LockMemory {
  readonly maxConnections: number
  readonly maxLocksPerTransaction: number
  /** Connected to this database now. */
  readonly sessions: number
}

/** With a partition a day: measured, a query without a time plans for 10 to 16 ms over 98 partitions, and takes a lock on each of them and of their indexes. */
export const LONGEST_PERIOD_MS = 200 * DAY

/**
 * How many partitions there are when the longest period is over: those of its days, of which the first and the last are not over, those ahead, and one that
 * waits to be dropped. For ever counts as the longest period that is allowed.
 */
export function mostPartitions({ aheadMs, periods }: PartitionTerms): number {
  const longestMs = Math.max(0, ...periods.map(({ keptMs }) => keptMs ?? LONGEST_PERIOD_MS))
  return Math.ceil(longestMs / DAY) + 1 + Math.ceil(aheadMs / DAY) + 1
}

/**
 * Why the table may not have `count` partitions, without DEFAULT; each a sentence with what to do. Empty: it may. Asked before a table is converted and, since
 * settings and publications change, before each partition is made. Reads the catalogue alone.
 */
export async function limitsOf(
  { look, schema, column }: PartitioningOptions,
  terms: PartitionTerms,
  count: number,
): Promise<readonly string[]> {
  return limitsFrom(await look((tx) => limitFacts(tx, schema, column.table)), terms, count)
}

export async function limitFacts(query: Query, schema: string, table: string): Promise<LimitFacts> {
  const { rows } = await query.query<{ indexes: number; connections: string; locks: string; sessions: number }>(SERVER, [schema, table])
  const { indexes, connections, locks, sessions } = rows[0]!
  return {
    schema,
    table,
    indexes,
    locks: { maxConnections: Number(connections), maxLocksPerTransaction: Number(locks), sessions },
    publications: await carryingPublications(query, schema, table),
  }
}

export function limitsFrom(facts: LimitFacts, { periods }: PartitionTerms, count: number): readonly string[] {
  return [
    ...facts.publications.filter(({ viaRoot }) => !viaRoot).map((publication) => publicationProblem(facts, publication)),
    ...periods.flatMap(periodProblem),
    ...lockProblem(facts, count),
  ]
}

function publicationProblem({ schema, table }: LimitFacts, { name, carries }: Publication): string {
  return (
    `Publication ${name} carries ${carries === 'table' ? 'the table' : carries === 'schema' ? `all tables of schema ${schema}` : 'all tables'} without publish_via_partition_root, ` +
    `so its subscribers would be sent each new partition of ${schema}.${table} as a table that they do not have: they would stop there, and the log that is kept for them would fill this server's disk. ` +
    `Its owner can change that. Run: ALTER PUBLICATION ${quoted(name)} SET (publish_via_partition_root = true)`
  )
}

function periodProblem({ name, keptMs }: Period): readonly string[] {
  if (keptMs !== undefined && keptMs <= LONGEST_PERIOD_MS) return []
  const most = formatDuration(LONGEST_PERIOD_MS)
  return [
    `${capital(name)} keeps rows ${keptMs === undefined ? 'for ever' : `for ${formatDuration(keptMs)}`}, and with a partition a day no period may be longer than ${most}: ` +
      `queries that name no time visit every partition. Shorten it to ${most} or less, or leave the rows to the batches, which need no partitions.`,
  ]
}

/**
 * Measured with default settings: the 45th transaction that held the 695 locks of one query without a time failed with `out of shared memory`, at 4.8 times
 * what the two settings promise, because other memory is lent. A fifth is left for everything else.
 */
const USABLE_SHARE = 4

function lockProblem(
  { indexes, locks: { maxConnections, maxLocksPerTransaction, sessions } }: LimitFacts,
  count: number,
): readonly string[] {
  const each = count * (1 + indexes)
  const together = Math.min(maxConnections, sessions)
  const needed = each * together
  if (needed <= USABLE_SHARE * maxLocksPerTransaction * maxConnections) return []
  return [
    `A query that names no time locks ${countText(count)} partitions and their indexes, ${countText(each)} locks in all, and where ${countText(together)} sessions do so at once, as many as are connected, ` +
      `the server's lock memory is too small: any of its sessions may fail with "out of shared memory". max_locks_per_transaction is ${countText(maxLocksPerTransaction)}. ` +
      `Raise it, on replicas first, and restart the server. Run: ALTER SYSTEM SET max_locks_per_transaction = ${enough(needed / (USABLE_SHARE * maxConnections))}`,
  ]
}

/** The next power of two, so that a few sessions more do not lead to the next restart. */
function enough(least: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(least, 1)))
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

const SERVER = `SELECT pg_catalog.current_setting('max_connections'::pg_catalog.text) AS connections,
  pg_catalog.current_setting('max_locks_per_transaction'::pg_catalog.text) AS locks,
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_index AS i
   JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} i.indrelid JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
   WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname ${EQ} $2::pg_catalog.name) AS indexes,
  coalesce((SELECT d.numbackends FROM pg_catalog.pg_stat_database AS d WHERE d.datname ${EQ} pg_catalog.current_database()), 1) AS sessions`
