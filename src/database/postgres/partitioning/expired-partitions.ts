import { plural } from '../../../number-text.ts'
import type { EpochMs } from '../../../time/clock.ts'
import type { ExpiredPartition, Removable } from '../../partitioning.ts'
import { builtIn, EQ, GT, nameIn, NE, textOf } from '../exact.ts'
import { arrayOf } from '../purging/spared-sql.ts'
import { cutoffText } from '../times.ts'
import { partitionInTree } from './detaching.ts'
import { handsOn, isLive } from './hands.ts'
import { carryingPublications } from './publications.ts'
import { removingFrom, timesToRemove, type ExpiredPart } from './removing.ts'
import { boundTime, isConverted, readTree, type PartitioningOptions, type Tree } from './tree.ts'

/** See `Partitions.expired`. */
export async function expiredPartitions(options: PartitioningOptions, cutoff: EpochMs): Promise<Removable<ExpiredPartition>> {
  const tree = await readTree(options)
  if (tree === undefined || tree.type === undefined || !isConverted(tree) || tree.record?.undoingSince !== undefined) return NONE
  const now = await options.look((tx) => Promise.resolve(tx.now))
  const parts = expiredParts(tree, options, cutoffText(cutoff, tree.type, options.timeZone), now)
  if (parts.length === 0) return NONE
  const { hands, problem } = await handsOn(options, tree)
  if (hands === undefined) return { tables: [], notes: [problem] }
  const { table, free, onDelete, movable } = await obstacles(options, tree, parts)
  if (table.length > 0) return { tables: [], notes: [needed(options, table)] }
  const removing = removingFrom(options, tree, tree.type, hands)
  const takesMs = await timesToRemove(
    options,
    free.map(({ id }) => id),
  )
  const allowed = { cutoff, onlyEmpty: onDelete.length > 0, movable }
  return {
    tables: free.map((part) => partitionInTree(removing, part, takesMs(part.id), allowed)),
    notes: onDelete.length === 0 ? [] : [unfired(options, onDelete)],
  }
}

const NONE: Removable<ExpiredPartition> = { tables: [], notes: [] }

/** The earliest first. `before`: the cutoff as the column reads it. */
export function expiredParts(
  tree: Tree,
  { schema }: Pick<PartitioningOptions, 'schema'>,
  before: string,
  now: EpochMs,
): readonly ExpiredPart[] {
  // `undefined`: so early that nothing has expired.
  const end = boundTime(before)?.reading
  if (end === undefined) return []
  return tree.parts
    .filter((part): part is ExpiredPart => {
      const { bound } = part
      if (bound.kind !== 'range' || bound.to === undefined) return false
      // The reading of a bound is never earlier than the bound, and the cutoff is a whole number of milliseconds: a bound a microsecond behind it is later.
      return (
        bound.to.reading <= end &&
        !isLive(bound.to, now) &&
        part.kind === 'r' &&
        part.schema === schema &&
        part.owner === tree.owner &&
        !part.isPending
      )
    })
    .toSorted((a, b) => a.bound.to!.reading - b.bound.to!.reading)
}

interface Obstacles {
  /** What refers to the table, so that no partition of it may go as a whole. */
  readonly table: readonly string[]
  /** Partitions on which nothing else depends. */
  readonly free: readonly ExpiredPart[]
  /** What acts on each row that is deleted. */
  readonly onDelete: readonly string[]
  /** Whether a row can be put into the table again with nothing else coming of it. */
  readonly movable: boolean
}

/** What deleting rows would do and dropping a table does not, and what would be in the way of a DROP. */
async function obstacles({ look, schema, column }: PartitioningOptions, tree: Tree, parts: readonly ExpiredPart[]): Promise<Obstacles> {
  return look(async (tx) => {
    const ids = arrayOf(parts.map(({ id }) => id))
    const { rows: keys } = await tx.query<{ name: string }>(REFERRING, [tree.id])
    const { rows: needing } = await tx.query<{ id: string }>(NEEDED, [ids])
    const { rows: acting } = await tx.query<{ name: string; on_delete: boolean; on_insert: boolean }>(ACTING, [
      arrayOf([tree.id, ...parts.map(({ id }) => id)]),
    ])
    const { rows: rights } = await tx.query<{ may: boolean }>(MAY_INSERT, [tree.id])
    // A subscriber has the row, and would be sent it once more by a publication that cannot be kept from it.
    const isSent = (await carryingPublications(tx, schema, column.table)).some(({ isOwner }) => !isOwner)
    return {
      table: keys.map(({ name }) => name),
      free: parts.filter(({ id }) => !needing.some((each) => each.id === id)),
      onDelete: [...new Set(acting.filter((each) => each.on_delete).map(({ name }) => name))],
      movable: rights[0]?.may === true && !isSent && !acting.some((each) => each.on_insert),
    }
  })
}

/** A role that purges may have no right to do so. */
const MAY_INSERT = `SELECT pg_catalog.has_table_privilege($1::pg_catalog.oid, 'INSERT'::pg_catalog.text) AS may`

/** Foreign keys to the table. \`conparentid\` is that of the clone of a key that each partition gets. */
const REFERRING = `SELECT pg_catalog.concat(n.nspname, '.'::pg_catalog.text, c.relname, ' ('::pg_catalog.text, k.conname, ')'::pg_catalog.text) AS name
FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} k.conrelid JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
WHERE k.confrelid ${EQ} $1::pg_catalog.oid AND k.contype ${EQ} 'f'::pg_catalog."char" AND k.conparentid ${EQ} '0'::pg_catalog.oid ORDER BY 1`

/** Partitions that a view, a function or a foreign key needs: without CASCADE, which might take anything, they cannot be dropped. */
const NEEDED = `SELECT DISTINCT ${textOf('d.refobjid')} AS id FROM pg_catalog.pg_depend AS d
WHERE d.refclassid ${EQ} 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND d.refobjid ${EQ} ANY ($1::pg_catalog.oid[])
  AND d.deptype ${EQ} 'n'::pg_catalog."char" AND (
    d.classid ${EQ} 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid OR d.classid ${EQ} 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid
    OR (d.classid ${EQ} 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid AND EXISTS (
      SELECT FROM pg_catalog.pg_constraint AS k WHERE k.oid ${EQ} d.objid AND k.confrelid ${EQ} d.refobjid AND k.conrelid ${NE} d.refobjid))
  )`

/** Triggers and rules that act on a DELETE or an INSERT. In \`tgtype\` 8 means DELETE and 4 INSERT, in \`ev_type\` 4 and 3 do. */
const ACTING = `SELECT t.tgname::pg_catalog.text AS name, ${has('t.tgtype', 8)} AS on_delete, ${has('t.tgtype', 4)} AS on_insert
FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid ${EQ} ANY ($1::pg_catalog.oid[]) AND NOT t.tgisinternal AND t.tgenabled ${NE} 'D'::pg_catalog."char"
UNION ALL
SELECT r.rulename::pg_catalog.text, r.ev_type ${EQ} '4'::pg_catalog."char", r.ev_type ${EQ} '3'::pg_catalog."char"
FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class ${EQ} ANY ($1::pg_catalog.oid[]) AND ${nameIn('r.ev_type', ['3', '4'], '"char"')} AND r.ev_enabled ${NE} 'D'::pg_catalog."char"
ORDER BY 1`

function has(bits: string, bit: number): string {
  return `(${bits} ${builtIn('&')} '${bit}'::pg_catalog.int2) ${GT} '0'::pg_catalog.int2`
}

function needed({ schema, column: { table } }: PartitioningOptions, keys: readonly string[]): string {
  return (
    `no partition of ${schema}.${table} is dropped as a whole, so that rows are deleted in batches: a foreign key refers to it (${keys.join(', ')}), and does not act when a table is dropped; ` +
    'drop the key, or leave it as it is'
  )
}

function unfired({ schema, column: { table } }: PartitioningOptions, triggers: readonly string[]): string {
  const names = triggers.map((name) => JSON.stringify(name)).join(', ')
  return (
    `rows of ${schema}.${table} are deleted in batches, and its partitions are dropped once they are empty: ${plural(triggers.length, 'a trigger or rule acts', 'triggers or rules act')} on each row that is deleted (${names}), ` +
    'and would not when a table is dropped; where nobody needs that, drop or disable what acts'
  )
}
