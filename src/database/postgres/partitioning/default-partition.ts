import { DatabaseError } from '../../database-error.ts'
import type { Query } from '../../query.ts'
import { EQ, GE, LT } from '../exact.ts'
import { literal, qualified, quoted } from '../identifiers.ts'
import { GUARD } from './function-text.ts'
import type { Stretch } from './gaps.ts'
import type { Part, PartitioningOptions, Tree } from './tree.ts'

/** The partition of rows that have no other. */
export interface DefaultPartition {
  readonly part: Part
  /** Of its heap: what is read where a new partition has to be compared with all of its rows. */
  readonly bytes: number
  /** Whether a making that did not end has left the constraint that keeps rows of one day out; it refuses them. */
  readonly isGuarded: boolean
}

/** `undefined`: there is none. */
export async function defaultOf({ look }: PartitioningOptions, { parts }: Tree): Promise<DefaultPartition | undefined> {
  const part = parts.find(({ bound }) => bound.kind === 'default')
  if (part === undefined) return undefined
  const { rows } = await look((tx) => tx.query<{ bytes: number | null; isGuarded: boolean }>(FACTS, [part.id, GUARD]))
  const [facts] = rows
  // Dropped since: the next look will not find it.
  return { part, bytes: facts?.bytes ?? 0, isGuarded: facts?.isGuarded ?? false }
}

/** NULL: it was dropped since. */
const FACTS = `SELECT pg_catalog.pg_relation_size(c.oid, 'main'::pg_catalog.text) AS bytes,
  EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conrelid ${EQ} c.oid AND k.conname ${EQ} $2::pg_catalog.name) AS "isGuarded"
FROM pg_catalog.pg_class AS c WHERE c.oid ${EQ} $1::pg_catalog.oid`

export interface Unplaced {
  readonly rows: number
  readonly more: boolean
}

/** How many rows it has, counted up to `most`; `undefined`: this role may not read it. */
export async function unplacedRows({ scan }: PartitioningOptions, { schema, name }: Part, most: number): Promise<Unplaced | undefined> {
  try {
    const { rows } = await scan(async (tx) => {
      // The quickest where the rows are no more than the limit, or any of them do.
      await tx.query('SET LOCAL enable_seqscan = on')
      // Without ONLY, because it may be partitioned itself.
      return await tx.query<{ rows: number }>(
        `SELECT pg_catalog.count(*) AS rows FROM (SELECT FROM ${qualified(schema, name)} LIMIT ${most + 1}) AS counted`,
      )
    })
    const found = rows[0]?.rows ?? 0
    return { rows: Math.min(found, most), more: found > most }
  } catch (error) {
    if (error instanceof DatabaseError && error.kind === 'forbidden') return undefined
    throw error
  }
}

/** Looked for in one statement at a time, so that it stays short. */
const MOST_ASKED = 100

/** Those of the stretches, none of which any partition takes, that DEFAULT has rows of. Asked of the table, whose rights are enough for it: nothing else is read for them. */
export async function occupiedAmong(
  { look, schema, column }: PartitioningOptions,
  stretches: readonly Stretch[],
): Promise<ReadonlySet<Stretch>> {
  const occupied = new Set<Stretch>()
  for (let begin = 0; begin < stretches.length; begin += MOST_ASKED) {
    const asked = stretches.slice(begin, begin + MOST_ASKED)
    const { rows } = await look((tx) => occupations(tx, qualified(schema, column.table), quoted(column.column), asked))
    for (const [at, stretch] of asked.entries()) if (rows[0]?.occupied[at] === true) occupied.add(stretch)
  }
  return occupied
}

/** The bounds are constants, so that the planner leaves out all other partitions. */
function occupations(
  query: Query,
  table: string,
  column: string,
  stretches: readonly Stretch[],
): Promise<{ rows: readonly { occupied: readonly boolean[] }[] }> {
  const each = stretches.map(
    ({ from, to }) =>
      `EXISTS (SELECT FROM ${table} AS t WHERE t.${column} ${GE} ${literal(from.text)} AND t.${column} ${LT} ${literal(to.text)})`,
  )
  return query.query(`SELECT ARRAY[${each.join(', ')}] AS occupied`)
}
