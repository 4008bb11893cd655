import type { SparedRows } from '../../../policy/spared.ts'
import { DatabaseError } from '../../database-error.ts'
import { DETACHED, type DetachedPartition, type Dropped, type Dropping, type Removable } from '../../partitioning.ts'
import type { Query, Transaction } from '../../query.ts'
import { LOCK_MS } from '../connection/transactions.ts'
import { EQ } from '../exact.ts'
import { stateOf } from '../postgres-errors.ts'
import { bindingTo } from '../purging/spared-sql.ts'
import { handsOn } from './hands.ts'
import { attempted, heldForLong, heldUp, inTheWay, removingFrom, sparingOf, tableNamed, timesToRemove, type Removing } from './removing.ts'
import { countStaying, moveBack, someStaying, stayingIn, type Staying } from './staying-rows.ts'
import { leftAlone, takenOut, unreadableRecord } from './taken-out.ts'
import { isConverted, readTree, type DetachedRecord, type PartitioningOptions } from './tree.ts'

/** See `Partitions.detached`. */
export async function detachedPartitions(options: PartitioningOptions): Promise<Removable<DetachedPartition>> {
  const tree = await readTree(options)
  // `undo` puts them back.
  if (tree === undefined || tree.record?.undoingSince !== undefined) return { tables: [], notes: [] }
  const { detached, type } = tree
  const unreadable = tree.unreadable.map((shown) => unreadableRecord(options, shown))
  if (detached.length === 0) return { tables: [], notes: unreadable }
  if (type === undefined || !isConverted(tree))
    return {
      tables: [],
      notes: [
        ...detached.map((each) => leftAlone(options, each, `${options.column.table} is not partitioned by its time any more`)),
        ...unreadable,
      ],
    }
  const { hands, problem } = await handsOn(options, tree)
  if (hands === undefined) return { tables: [], notes: [problem] }
  const found = await options.look((tx) => takenOut(tx, options, tree, detached))
  const takesMs = await timesToRemove(
    options,
    found.flatMap((each) => (each.kind === 'ours' ? [each.id] : [])),
  )
  const removing = removingFrom(options, tree, type, hands)
  return {
    tables: detached.flatMap((record, at) => {
      const state = found[at]!
      if (state.kind === 'other') return []
      return [detachedIn(removing, record, state.kind === 'ours' ? takesMs(state.id) : undefined)]
    }),
    notes: [
      ...detached.flatMap((record, at) => {
        const state = found[at]!
        return state.kind === 'other' ? [leftAlone(options, record, state.reason)] : []
      }),
      ...unreadable,
    ],
  }
}

/** Nobody reads or writes such a table, so it may be waited for: an autovacuum of it gives way within a second. */
const PATIENT_LOCK_MS = 2_000
/** Rows that are moved back in a transaction. */
const MOST_AT_ONCE = 2_000
const CHECK_VIOLATION = '23514'

/** A table that our record has as taken out. */
export function detachedIn(removing: Removing, record: DetachedRecord, takesMs: number | undefined): DetachedPartition {
  const { name } = record
  return {
    name,
    takesMs,
    async drop(tx, asked) {
      const [before] = await takenOut(tx, removing.options, removing.tree, [record])
      const ids = before?.kind === 'ours' ? [before.id] : []
      const by = await heldForLong(tx, ids)
      if (by !== undefined) return { kind: 'busy', by: heldUp(by) }
      const staying = await stayingIn(removing, tx, name, asked.cutoff, asked.spared, true)
      const done = await attempted(tx, () =>
        before?.kind === 'ours' ? ended(removing, record, staying, tx, asked) : closed(removing, record, before, tx),
      )
      return done instanceof DatabaseError ? { kind: 'busy', by: await inTheWay(tx, done, [...ids, removing.tree.id]) } : done
    },
  }
}

async function ended(
  removing: Removing,
  record: DetachedRecord,
  staying: Staying,
  tx: Transaction,
  { onlyEmpty }: Dropping,
): Promise<Dropped> {
  const { options, tree, hands } = removing
  const { name } = record
  await tx.query(`SET LOCAL enable_seqscan = on; SET LOCAL lock_timeout = ${PATIENT_LOCK_MS}`)
  await tx.query(`LOCK TABLE ONLY ${tableNamed(removing, name)} IN ACCESS EXCLUSIVE MODE`)
  await tx.query(`SET LOCAL lock_timeout = ${LOCK_MS}`)
  // Whatever it was while the lock was waited for.
  const [now] = await takenOut(tx, options, tree, [record])
  if (now?.kind !== 'ours') return closed(removing, record, now, tx)
  const counted = await countStaying(tx, staying)
  let because: string | undefined
  if (counted.staying === 0 && !(onlyEmpty && counted.rows > 0)) {
    const dropped = await attempted(tx, async () => {
      await hands.drop(tx, name)
      await forget(removing, record, tx)
    })
    if (!(dropped instanceof DatabaseError)) return { kind: 'dropped', rows: counted.rows }
    if (dropped.kind === 'busy') throw dropped
    // Something depends on it since: its rows can still go one by one.
    because = dropped.message
  }
  const attached = await attempted(tx, async () => {
    await hands.attach(tx, name)
    await forget(removing, record, tx)
  })
  if (!(attached instanceof DatabaseError)) return { kind: 'attached', ...(because === undefined ? {} : { because }) }
  if (because !== undefined) throw new DatabaseError('failed', [because, attached.message])
  if (stateOf(attached) !== CHECK_VIOLATION) throw attached
  // DEFAULT has rows of its time by now, so a partition of it can never be made again.
  const moving: Staying = onlyEmpty ? { ...staying, sql: 'true', values: [] } : staying
  const rows = await moveBack(removing, tx, moving, await someStaying(tx, moving, MOST_AT_ONCE))
  if (rows === 0) throw attached
  return { kind: 'moved', rows }
}

/** The record of a table that somebody else has dropped or attached. */
async function closed(
  removing: Removing,
  record: DetachedRecord,
  state: Awaited<ReturnType<typeof takenOut>>[number] | undefined,
  tx: Transaction,
): Promise<Dropped> {
  if (state?.kind === 'other') throw new DatabaseError('failed', state.reason)
  await forget(removing, record, tx)
  return { kind: state?.kind === 'attached' ? 'attached' : 'gone' }
}

async function forget(removing: Removing, { name }: DetachedRecord, tx: Query): Promise<void> {
  const { changed } = await tx.query(`DELETE FROM ${tableNamed(removing, DETACHED)} WHERE relation ${EQ} $1::pg_catalog.text`, [name])
  if (changed !== 1) throw new DatabaseError('failed', `${DETACHED} did not let go of the row of ${name}`)
}

/** See `Partitions.sparedInDetached`. */
export async function sparedInDetached(options: PartitioningOptions, spared: SparedRows, most: number): Promise<number> {
  const tree = await readTree(options)
  if (tree?.type === undefined || tree.detached.length === 0 || spared.length === 0) return 0
  const sparing = sparingOf(options, tree.type)
  const { detached } = tree
  const found = await options.look((tx) => takenOut(tx, options, tree, detached))
  let rows = 0
  for (const [at, { name }] of detached.entries()) {
    if (found[at]?.kind !== 'ours' || rows >= most) continue
    rows += await options.scan(async (tx) => {
      const tests = await sparing.tests(tx, spared, false)
      const values: (string | number)[] = [most - rows]
      const bind = bindingTo(values)
      const any = tests.map((test) => `(${test(bind)}) IS TRUE`).join(' OR ')
      await tx.query('SET LOCAL enable_seqscan = on')
      const counted = await tx.query<{ rows: number }>(
        `SELECT pg_catalog.count(*) AS rows FROM (SELECT FROM ${tableNamed({ options }, name)} AS t WHERE ${any} LIMIT $1::bigint) AS r`,
        values,
      )
      return counted.rows[0]?.rows ?? 0
    })
  }
  return rows
}
