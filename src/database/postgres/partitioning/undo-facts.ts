import type { Query } from '../../query.ts'
import { EQ, GE, NE, textOf } from '../exact.ts'
import { readDependents, type Dependents } from './dependents.ts'
import type { Part, Tree } from './tree.ts'

/** What one transaction turns into a plain table. Read under its lock. */
export interface UndoFacts {
  /** The partitioned table. */
  readonly parent: Dependents
  /** The table as it was before, and still a partition; `undefined`: it has been dropped, or was taken out. */
  readonly first: FirstFacts | undefined
  readonly parts: readonly Part[]
  /** Tables that were taken out and not dropped yet. */
  readonly detached: readonly string[]
  /** Where the sequence of the ids is, as `setval` takes it; `undefined`: there is none. */
  readonly sequenceAt: { readonly last: string; readonly isCalled: boolean } | undefined
  /** Whether a partition other than the first, or a table that was taken out, has rows. */
  readonly hasRowsToMove: boolean
}

export interface FirstFacts {
  readonly table: Dependents
  /** By the name of the parent's index, the one that belongs to it. */
  readonly attached: ReadonlyMap<string, string>
}

export async function firstFacts(tx: Query, parent: Dependents, first: Part): Promise<FirstFacts | undefined> {
  const table = await readDependents(tx, first.schema, first.name)
  if (table === undefined) return undefined
  const { rows } = await tx.query<{ of: string; name: string }>(ATTACHED, [parent.id, first.id])
  return { table, attached: new Map(rows.map(({ of, name }) => [of, name])) }
}

const ATTACHED = `SELECT p.relname::pg_catalog.text AS of, c.relname::pg_catalog.text AS name
FROM pg_catalog.pg_inherits AS h
JOIN pg_catalog.pg_index AS x ON x.indexrelid ${EQ} h.inhparent AND x.indrelid ${EQ} $1::pg_catalog.oid
JOIN pg_catalog.pg_index AS y ON y.indexrelid ${EQ} h.inhrelid AND y.indrelid ${EQ} $2::pg_catalog.oid
JOIN pg_catalog.pg_class AS p ON p.oid ${EQ} h.inhparent
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} h.inhrelid`

/** Why the table cannot become plain, each a sentence. */
export async function obstaclesOf(query: Query, title: string, tree: Tree, first: Part | undefined): Promise<readonly string[]> {
  const odd = tree.parts.flatMap(({ schema, name, kind, isPending, owner }) => {
    const partition = `${schema}.${name}`
    if (isPending)
      return [
        `Somebody’s DETACH PARTITION … CONCURRENTLY of ${partition} was interrupted. Run: ALTER TABLE ${title} DETACH PARTITION ${partition} FINALIZE`,
      ]
    if (kind !== 'r') return [`The partition ${partition} is no plain table. Detach it first, and put its rows into ${title} afterwards.`]
    if (owner !== tree.owner)
      return [
        `The partition ${partition} belongs to ${owner}, and ${title} to ${tree.owner}. Run: ALTER TABLE ${partition} OWNER TO ${tree.owner}`,
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
WHERE d.deptype ${EQ} 'n'::pg_catalog."char" AND d.objid ${GE} ${FIRST_OWN_ID} AND NOT (t.parent AND d.classid ${EQ} ${REWRITE} AND EXISTS (
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
WHERE c.oid ${EQ} $1::pg_catalog.oid AND c.relrowsecurity
ORDER BY what`
