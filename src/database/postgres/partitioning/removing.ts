import { SECOND } from '../../../time/clock.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Query } from '../../query.ts'
import { EQ, GT, MINUS, NE, secondsOf, textOf } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import { describeSessions } from '../migrating/blockers.ts'
import { SESSION_COLUMNS, type SessionRow } from '../migrating/sessions.ts'
import { arrayOf, Sparing } from '../purging/spared-sql.ts'
import { stateOf } from '../postgres-errors.ts'
import type { TimeType } from '../times.ts'
import type { Hands } from './hands.ts'
import type { Part, PartitioningOptions, Tree } from './tree.ts'

/** A partition whose bounds and kind allow that it goes. */
export type ExpiredPart = Part & { readonly bound: Extract<Part['bound'], { kind: 'range' }> }

/** What is needed to take partitions out and to drop them. */
export interface Removing {
  readonly options: PartitioningOptions
  readonly tree: Tree
  readonly type: TimeType
  readonly hands: Hands
  /** Conditions on rows of the table: a partition has the same columns. */
  readonly sparing: Sparing
}

export function removingFrom(options: PartitioningOptions, tree: Tree, type: TimeType, hands: Hands): Removing {
  return { options, tree, type, hands, sparing: sparingOf(options, type) }
}

export function sparingOf({ schema, timeZone, column }: PartitioningOptions, type: TimeType): Sparing {
  return new Sparing({ schema, name: column.table, title: `${schema}.${column.table}`, column: quoted(column.column), type, timeZone })
}

/** The table of a name, as statements have it. */
export function tableNamed({ options }: { readonly options: PartitioningOptions }, name: string): string {
  return qualified(options.schema, name)
}

/**
 * Does the work in a part of the transaction that is taken back if it fails: a lock that cannot be had, or anything that the server refuses, must not cost the
 * transaction, and nothing of what was half done may stay. Rejects only if the connection is lost, or with an error of our own.
 */
export async function attempted<T>(tx: Query, work: () => Promise<T>): Promise<T | DatabaseError> {
  await tx.query('SAVEPOINT removing')
  try {
    const done = await work()
    await tx.query('RELEASE SAVEPOINT removing')
    return done
  } catch (error) {
    if (!(error instanceof DatabaseError) || ENDING.has(error.kind)) throw error
    await tx.query('ROLLBACK TO SAVEPOINT removing; RELEASE SAVEPOINT removing')
    return error
  }
}

const ENDING: ReadonlySet<string> = new Set(['lost', 'unreachable'])

/** A lock on the table of a transaction that is older does not go soon, and whoever queues behind it makes everybody else wait, too. */
const OLD_MS = SECOND

/** Who holds a lock on one of these relations in an old transaction; `undefined`: nobody, as far as this role may see. */
export async function heldForLong(tx: Query, ids: readonly string[]): Promise<string | undefined> {
  return sessionsWith(tx, ids, `(l.pid ${EQ} '0'::pg_catalog.int4 OR ${secondsOf(AGE)} ${GT} '${OLD_MS / SECOND}'::pg_catalog.float8)`)
}

/** What was in the way of work that failed, as it stands behind a colon. */
export async function inTheWay(tx: Query, error: DatabaseError, ids: readonly string[]): Promise<string> {
  if (stateOf(error) !== LOCK_NOT_AVAILABLE) return error.message
  return heldUp((await sessionsWith(tx, ids, 'true')) ?? 'a transaction that has ended by now')
}

export function heldUp(by: string): string {
  return `held up by ${by}`
}

const LOCK_NOT_AVAILABLE = '55P03'

async function sessionsWith(tx: Query, ids: readonly string[], condition: string): Promise<string | undefined> {
  const { rows } = await tx.query<SessionRow>(`${HOLDERS} WHERE ${condition} ORDER BY a.xact_start NULLS LAST`, [arrayOf(ids)])
  return rows.length === 0 ? undefined : describeSessions(rows)
}

const AGE = `(pg_catalog.clock_timestamp() ${MINUS} a.xact_start)`

/** A prepared transaction has no process, and counts as one of number 0. */
const HOLDERS = `SELECT l.pid, ${SESSION_COLUMNS}
FROM (
  SELECT DISTINCT coalesce(k.pid, '0'::pg_catalog.int4) AS pid FROM pg_catalog.pg_locks AS k
  WHERE k.locktype ${EQ} 'relation'::pg_catalog.text AND k.granted AND (k.pid IS NULL OR k.pid ${NE} pg_catalog.pg_backend_pid())
    AND k.database ${EQ} (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname ${EQ} pg_catalog.current_database())
    AND k.relation ${EQ} ANY ($1::pg_catalog.oid[])
) AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid ${EQ} l.pid`

/** Of a table whose size cannot be told at this moment. */
const UNKNOWN_BYTES = 100 * 2 ** 30
const LEAST_MS = 30 * SECOND
/** Reading from a slow disk, and unlinking what was read, both at a quarter of what was measured on a small machine. */
const MS_PER_GB = 30 * SECOND

/**
 * How long a transaction may take that reads a whole table and unlinks its files at its end, for each of these tables. A limit for what has gone wrong, so it is
 * generous.
 */
export async function timesToRemove({ look }: PartitioningOptions, ids: readonly string[]): Promise<(id: string) => number> {
  const sizes = await look(async (tx) => (await tx.query<{ id: string; bytes: number | null }>(SIZES, [arrayOf(ids)])).rows).catch(
    (error: unknown) => {
      // Somebody has one of them locked.
      if (error instanceof DatabaseError && error.kind === 'busy') return []
      throw error
    },
  )
  const bytes = new Map(sizes.map((size) => [size.id, size.bytes ?? UNKNOWN_BYTES]))
  return (id) => LEAST_MS + Math.ceil(((bytes.get(id) ?? UNKNOWN_BYTES) / 2 ** 30) * MS_PER_GB)
}

const SIZES = `SELECT ${textOf('r.id')} AS id, pg_catalog.pg_total_relation_size(r.id::pg_catalog.regclass) AS bytes
FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS r (id)`
