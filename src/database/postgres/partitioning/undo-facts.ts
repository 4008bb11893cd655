import type { Query, Transaction } from '../../query.ts'
import { EQ, GE, NE, textOf } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import { readDependents, type Dependents } from './dependents.ts'
import { takenOut } from './taken-out.ts'
import { isConverted, readTree, type Part, type PartitioningOptions, type Tree } from './tree.ts'

/** What one transaction turns into a plain table. */
export interface UndoFacts {
  /** The partitioned table. */
  readonly parent: Dependents
  /** The table as it was before, where it still is a partition. */
  readonly first: FirstFacts | undefined
  /** All of them. */
  readonly parts: readonly string[]
  /** Tables that were taken out and not dropped yet: their rows come back. */
  readonly detached: readonly string[]
  /** Tables that are recorded as such and are not certainly ours, each with the reason, a clause. */
  readonly leftAlone: readonly string[]
}

export interface LockedFacts extends UndoFacts {
  /** Where the sequence of an identity column is, as `setval` takes it. */
  readonly sequenceAt: { readonly last: string; readonly isCalled: boolean } | undefined
  /** Whether a table that becomes a child has rows. */
  readonly hasRowsToMove: boolean
}

export interface FirstFacts {
  readonly part: Part
  readonly table: Dependents
  /** By the name of the parent's index, the one that belongs to it. */
  readonly attached: ReadonlyMap<string, string>
}

/** `undefined`: the table is not, or no longer, one that this program has turned into partitions. Leaves an empty search path. */
export async function readUndoFacts(tx: Transaction, options: PartitioningOptions): Promise<UndoFacts | undefined> {
  const { schema, column } = options
  const tree = await readTree({ ...options, look: (read) => read(tx) })
  if (tree === undefined || !isConverted(tree)) return undefined
  const parent = await readDependents(tx, schema, column.table)
  if (parent === undefined) return undefined
  const part = tree.parts.find(({ name }) => name === tree.record?.first)
  const records = await takenOut(tx, options, tree, tree.detached)
  const named = tree.detached.map(({ name }, at) => ({ name, is: records[at] }))
  return {
    parent,
    first: part === undefined ? undefined : await firstFacts(tx, parent, part),
    parts: tree.parts.map(({ name }) => name),
    detached: named.flatMap(({ name, is }) => (is?.kind === 'ours' ? [name] : [])),
    leftAlone: [
      ...named.flatMap(({ name, is }) => (is?.kind === 'other' ? [`${schema}.${name}: ${is.reason}`] : [])),
      ...tree.unreadable.map((shown) => `${shown}: its record is none that the worker writes`),
    ],
  }
}

async function firstFacts(tx: Query, parent: Dependents, part: Part): Promise<FirstFacts | undefined> {
  const table = await readDependents(tx, part.schema, part.name)
  if (table === undefined) return undefined
  const { rows } = await tx.query<{ of: string; name: string }>(ATTACHED, [parent.id, part.id])
  return { part, table, attached: new Map(rows.map(({ of, name }) => [of, name])) }
}

const ATTACHED = `SELECT p.relname::pg_catalog.text AS of, c.relname::pg_catalog.text AS name
FROM pg_catalog.pg_inherits AS h
JOIN pg_catalog.pg_index AS x ON x.indexrelid ${EQ} h.inhparent AND x.indrelid ${EQ} $1::pg_catalog.oid
JOIN pg_catalog.pg_index AS y ON y.indexrelid ${EQ} h.inhrelid AND y.indrelid ${EQ} $2::pg_catalog.oid
JOIN pg_catalog.pg_class AS p ON p.oid ${EQ} h.inhparent
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} h.inhrelid`

/** What changes as long as rows are written: without a lock it is a first look. */
export async function factsUnderLock(tx: Transaction, facts: UndoFacts): Promise<LockedFacts> {
  const { parent } = facts
  const sequence = parent.sequences.find(({ isIdentity }) => isIdentity)
  const position = `SELECT ${textOf('s.last_value')} AS last, s.is_called AS "isCalled" FROM `
  const sequenceAt =
    sequence === undefined
      ? undefined
      : (await tx.query<{ last: string; isCalled: boolean }>(`${position}${qualified(sequence.schema, sequence.name)} AS s`)).rows[0]
  const exist = childrenOf(facts).map((name) => `EXISTS (SELECT FROM ONLY ${qualified(parent.schema, name)})`)
  const { rows } = await tx.query<{ any: boolean }>(`SELECT (${['false', ...exist].join(' OR ')}) AS any`)
  return { ...facts, sequenceAt, hasRowsToMove: rows[0]?.any !== false }
}

/** Those whose rows are read through the plain table until they have moved. */
export function childrenOf({ first, parts, detached }: UndoFacts): readonly string[] {
  return [...parts.filter((name) => name !== first?.part.name), ...detached]
}

/** Why the table cannot become plain, each a sentence. */
export async function obstaclesOf(
  query: Query,
  { schema: place, column }: PartitioningOptions,
  tree: Tree,
  first: Part | undefined,
): Promise<readonly string[]> {
  const [title, relation] = [`${place}.${column.table}`, qualified(place, column.table)]
  const odd = tree.parts.flatMap(({ schema, name, kind, isPending, owner }) => {
    const partition = qualified(schema, name)
    if (isPending)
      return [
        `Somebody’s DETACH PARTITION … CONCURRENTLY of ${partition} was interrupted. Run: ALTER TABLE ${relation} DETACH PARTITION ${partition} FINALIZE`,
      ]
    if (kind !== 'r') return [`The partition ${partition} is no plain table. Detach it first, and put its rows into ${title} afterwards.`]
    if (schema !== place)
      return [`The partition ${partition} is in another schema than ${title}. Run: ALTER TABLE ${partition} SET SCHEMA ${quoted(place)}`]
    if (owner !== tree.owner)
      return [
        `The partition ${partition} belongs to ${owner}, and ${title} to ${tree.owner}. Run: ALTER TABLE ${partition} OWNER TO ${quoted(tree.owner)}`,
      ]
    return []
  })
  const { rows } = await query.query<{ what: string }>(OBSTACLES, [tree.id, first?.id ?? '0'])
  return [
    ...odd,
    ...rows.map(({ what }) => `${capital(what)} depends on ${title} as it is partitioned. Drop it, and make it again afterwards.`),
  ]
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

const CLASS = `'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid`
const REWRITE = `'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid`
/** What a server brings has smaller numbers. */
const FIRST_OWN_ID = `'16384'::pg_catalog.oid`

/** The condition of a trigger or what a column is generated from depends on columns of its table, with which it goes and comes. */
function own(catalogue: string, column: string): string {
  const is = `'pg_catalog.${catalogue}'::pg_catalog.regclass::pg_catalog.oid`
  return `(d.classid ${EQ} ${is} AND EXISTS (SELECT FROM pg_catalog.${catalogue} AS x WHERE x.oid ${EQ} d.objid AND x.${column} ${EQ} t.oid))`
}

const OWN = [
  own('pg_trigger', 'tgrelid'),
  own('pg_constraint', 'conrelid'),
  own('pg_attrdef', 'adrelid'),
  own('pg_statistic_ext', 'stxrelid'),
].join(' OR ')

/** With a filter or a list of columns: the plain table is added to the publication again with both. */
const PUBLISHED = own('pg_publication_rel', 'prrelid')

/**
 * What depends on the table or on a partition and cannot be made again by us: views of the table can. What depends on the first partition follows it.
 */
const OBSTACLES = `WITH tables AS (
  SELECT c.oid, c.reltype, c.oid ${EQ} $1::pg_catalog.oid AS parent FROM pg_catalog.pg_class AS c
  WHERE c.oid ${EQ} $1::pg_catalog.oid OR (c.oid ${NE} $2::pg_catalog.oid
    AND EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent ${EQ} $1::pg_catalog.oid AND i.inhrelid ${EQ} c.oid))
)
SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) AS what
FROM pg_catalog.pg_depend AS d JOIN tables AS t ON (d.refclassid ${EQ} ${CLASS} AND d.refobjid ${EQ} t.oid)
  OR (d.refclassid ${EQ} 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid AND d.refobjid ${EQ} t.reltype)
WHERE d.deptype ${EQ} 'n'::pg_catalog."char" AND d.objid ${GE} ${FIRST_OWN_ID} AND NOT (${OWN}) AND NOT (t.parent AND ${PUBLISHED}) AND NOT (t.parent AND d.classid ${EQ} ${REWRITE} AND EXISTS (
  SELECT FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS v ON v.oid ${EQ} r.ev_class
  WHERE r.oid ${EQ} d.objid AND v.relkind ${EQ} 'v'::pg_catalog."char"
))
UNION
SELECT pg_catalog.pg_describe_object('pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid, k.oid, '0'::pg_catalog.int4)
FROM pg_catalog.pg_constraint AS k WHERE k.conrelid ${EQ} $1::pg_catalog.oid AND k.contype ${EQ} 'f'::pg_catalog."char"
UNION
SELECT pg_catalog.pg_describe_object(${REWRITE}, r.oid, '0'::pg_catalog.int4) FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class ${EQ} $1::pg_catalog.oid
UNION
SELECT pg_catalog.format('row security of %s'::pg_catalog.text, ${textOf('c.relname')}) FROM pg_catalog.pg_class AS c
WHERE c.oid ${EQ} $1::pg_catalog.oid AND (c.relrowsecurity OR EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid ${EQ} c.oid))
ORDER BY what`
