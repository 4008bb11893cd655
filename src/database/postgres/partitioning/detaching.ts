import type { SparedRows } from '../../../policy/spared.ts'
import type { EpochMs } from '../../../time/clock.ts'
import { DETACHED, type Detaching, type Detachment, type ExpiredPartition } from '../../partitioning.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Query, Transaction } from '../../query.ts'
import { EQ } from '../exact.ts'
import { detachedIn } from './dropping.ts'
import { attempted, heldForLong, heldUp, inTheWay, tableNamed, type ExpiredPart, type Removing } from './removing.ts'
import { fewStaying, isEmpty, MOST_MOVED, moveBack, stayingIn } from './staying-rows.ts'
import { isSame } from './taken-out.ts'
import { boundOf, CANONICAL_BOUNDS } from './tree.ts'

export interface Allowed {
  readonly cutoff: EpochMs
  /** Deleting rows does more than that they are gone: then no row goes with its table. */
  readonly onlyEmpty: boolean
  /** Whether a row that is moved to DEFAULT arrives there without anything else coming of it. */
  readonly movable: boolean
}

/** What is known of the rows of a partition: which of them stay, by what was spared when it was read. */
interface Looked {
  readonly spared: SparedRows
  readonly places: readonly string[]
}

export function partitionInTree(removing: Removing, part: ExpiredPart, takesMs: number, allowed: Allowed): ExpiredPartition {
  const { options, tree } = removing
  let looked: Looked | undefined
  const ids = [tree.id, part.id, ...tree.parts.filter(({ bound }) => bound.kind === 'default').map(({ id }) => id)]
  return {
    name: part.name,
    takesMs,
    async mayGo(asked) {
      looked = await options.scan(async (tx) => {
        // It is read to its end, and the planner knows best how.
        await tx.query('SET LOCAL enable_seqscan = on')
        return look(removing, part, allowed, asked, { tx, inTransaction: false }, undefined)
      })
      return looked !== undefined
    },
    async detach(tx, asked) {
      const by = await heldForLong(tx, ids)
      if (by !== undefined) return { kind: 'busy', by: heldUp(by) }
      looked = await look(removing, part, allowed, asked, { tx, inTransaction: true }, looked)
      if (looked === undefined) return { kind: 'stays' }
      const { spared, places } = looked
      const staying = await stayingIn(removing, tx, part.name, allowed.cutoff, spared, true)
      const done = await attempted(tx, async (): Promise<Detachment> => {
        // Everybody waits from the lock to the end of the transaction: what can be sent before it is.
        await record(removing, tx, part)
        await lock(removing, tx, part)
        if (!(await isStillThere(removing, tx, part)))
          throw new DatabaseError('busy', 'it was taken out, renamed or given other bounds at this moment')
        await removing.hands.detach(tx, part.name)
        if ((await moveBack(removing, tx, staying, places)) < places.length)
          throw new DatabaseError('busy', 'rows that stay were changed at this moment')
        const { name, bound } = part
        return { kind: 'detached', table: detachedIn(removing, { name, from: bound.from, to: bound.to!, since: tx.now }, takesMs) }
      })
      return done instanceof DatabaseError ? { kind: 'busy', by: await inTheWay(tx, done, ids) } : done
    },
  }
}

/** `undefined`: it stays. Looks only at what is spared in addition to what was looked at before. */
async function look(
  removing: Removing,
  part: ExpiredPart,
  { cutoff, movable, ...allowed }: Allowed,
  { spared, lasting, onlyEmpty }: Detaching,
  {
    tx,
    inTransaction,
  }: { readonly tx: Query; /** Of somebody else, which a look-up that fails must not end. */ readonly inTransaction: boolean },
  before: Looked | undefined,
): Promise<Looked | undefined> {
  if (onlyEmpty || allowed.onlyEmpty) return (await isEmpty(tx, tableNamed(removing, part.name))) ? { spared, places: [] } : undefined
  const added = before === undefined ? spared : spared.filter((each) => !before.spared.includes(each))
  if (before !== undefined && added.length === 0) return before
  if (added.length === 0 && part.bound.from !== undefined) return { spared, places: [] }
  const staying = await stayingIn(removing, tx, part.name, cutoff, added, inTransaction)
  const rules = await removing.sparing.tests(
    tx,
    spared.filter((each) => !lasting.includes(each)),
    inTransaction,
  )
  const few = await fewStaying(tx, staying, rules)
  if (few === undefined || (few.length > 0 && !movable)) return undefined
  const places = [...new Set([...(before?.places ?? []), ...few])]
  return places.length > MOST_MOVED ? undefined : { spared, places }
}

/**
 * The table first, as everybody does who comes through it: then whoever still has a partition has come past it, and is not waited for. A role that may not lock
 * partitions by itself leaves that to what is done next, which waits for a moment.
 */
async function lock(removing: Removing, tx: Query, part: ExpiredPart): Promise<void> {
  const { options, tree } = removing
  const below = tree.parts.filter(({ id, bound, schema }) => schema === options.schema && (bound.kind === 'default' || id === part.id))
  const names = below.map(({ name }) => tableNamed(removing, name)).join(', ONLY ')
  try {
    await tx.query(
      `LOCK TABLE ONLY ${tableNamed(removing, options.column.table)} IN ACCESS EXCLUSIVE MODE; SAVEPOINT locking; ` +
        `LOCK TABLE ONLY ${names} IN ACCESS EXCLUSIVE MODE NOWAIT; RELEASE SAVEPOINT locking`,
    )
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.kind !== 'forbidden') throw error
    // There is no such savepoint if it may not even lock the table.
    await tx.query('ROLLBACK TO SAVEPOINT locking; RELEASE SAVEPOINT locking').catch(() => {
      throw error
    })
  }
}

/** Under the lock: the same table under the same name, with the same bounds. */
async function isStillThere({ options, tree }: Removing, tx: Query, part: ExpiredPart): Promise<boolean> {
  // The settings of a session go back with the savepoint.
  await tx.query(`SAVEPOINT looking; ${CANONICAL_BOUNDS}`)
  const { rows } = await tx.query<{ bound: string | null }>(ATTACHED, [part.id, tree.id, options.schema, part.name, options.column.table])
  await tx.query('ROLLBACK TO SAVEPOINT looking; RELEASE SAVEPOINT looking')
  const [row] = rows
  const bound = boundOf(row?.bound ?? null)
  return row !== undefined && bound.kind === 'range' && isSame(bound.from, part.bound.from) && isSame(bound.to, part.bound.to)
}

const ATTACHED = `SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} i.inhrelid
JOIN pg_catalog.pg_class AS p ON p.oid ${EQ} i.inhparent AND p.relnamespace ${EQ} c.relnamespace AND p.relowner ${EQ} c.relowner
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
WHERE c.oid ${EQ} $1::pg_catalog.oid AND p.oid ${EQ} $2::pg_catalog.oid AND n.nspname ${EQ} $3::pg_catalog.name AND c.relname ${EQ} $4::pg_catalog.name
  AND p.relname ${EQ} $5::pg_catalog.name AND c.relkind ${EQ} 'r'::pg_catalog."char" AND c.relispartition`

async function record(removing: Removing, tx: Transaction, { name, bound }: ExpiredPart): Promise<void> {
  const detached = tableNamed(removing, DETACHED)
  // Of a table of that name that somebody has dropped by hand.
  await tx.query(`DELETE FROM ${detached} WHERE relation ${EQ} $1::pg_catalog.text`, [name])
  const { changed } = await tx.query(
    `INSERT INTO ${detached} (relation, table_name, lower_bound, upper_bound, detached_at) VALUES ($1, $2, $3, $4, $5)`,
    [name, removing.options.column.table, bound.from?.text ?? null, bound.to!.text, tx.now],
  )
  if (changed !== 1) throw new DatabaseError('failed', `${DETACHED} did not keep a row that was written to it`)
}
