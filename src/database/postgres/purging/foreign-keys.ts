import type { Action, ForeignKey } from '../../cascades.ts'
import type { Query } from '../../query.ts'
import { builtIn, EQ, textOf } from '../exact.ts'

/** A foreign key that deleting rows of a table may act on. Tables are told apart by their number. */
export interface PostgresForeignKey extends ForeignKey {
  readonly name: string
  readonly matchFull: boolean
  /** `''`, or how it is deferred, as in its declaration. */
  readonly deferral: string
}

export interface Relation {
  /** `pg_class.oid`. */
  readonly id: string
  readonly schema: string
  readonly name: string
  /** As `pg_class.relkind`. */
  readonly kind: string
  readonly isPartition: boolean
  /** The tables that it is a partition or a child of. */
  readonly parents: readonly string[]
}

/** A table, all that is connected with it by foreign keys towards it or by inheritance, and these foreign keys. */
export interface Neighbourhood {
  readonly own: Relation
  readonly relations: ReadonlyMap<string, Relation>
  readonly keys: readonly PostgresForeignKey[]
}

/** Reads the catalogue alone, which every role may. The table must exist. */
export async function neighbourhoodOf(query: Query, schema: string, table: string): Promise<Neighbourhood> {
  const { rows: found } = await query.query<Relation>(RELATIONS, [schema, table])
  const relations = new Map(found.map((relation) => [relation.id, relation]))
  const own = found.find((relation) => relation.schema === schema && relation.name === table)!
  const { rows } = await query.query<KeyRow>(KEYS, [schema, table])
  const keys = rows.map(({ on_delete, on_update, ...key }): PostgresForeignKey => ({
    ...key,
    onDelete: ACTIONS[on_delete]!,
    onUpdate: ACTIONS[on_update]!,
  }))
  return { own, relations, keys }
}

interface KeyRow extends Omit<PostgresForeignKey, 'onDelete' | 'onUpdate'> {
  readonly on_delete: string
  readonly on_update: string
}

const ACTIONS: Readonly<Record<string, Action>> = { a: 'none', r: 'none', c: 'cascade', n: 'set null', d: 'set default' }

/** Those of which rows lie in a table: itself, and all below it. */
export function withDescendants({ relations }: Neighbourhood, id: string): readonly string[] {
  const found = [id]
  for (const above of found)
    for (const { id: below, parents } of relations.values()) if (parents.includes(above) && !found.includes(below)) found.push(below)
  return found
}

/** A partition, what it is a partition of, and the partitions of a table: a foreign key of one acts on rows of the others. Inheritance shares none. */
export function withPartitions(neighbourhood: Neighbourhood, id: string): readonly string[] {
  const { relations } = neighbourhood
  const below = relations.get(id)?.kind === 'p' ? withDescendants(neighbourhood, id) : [id]
  const above: string[] = []
  for (let at = relations.get(id); at?.isPartition === true; at = relations.get(at.parents[0]!)) above.push(at.parents[0]!)
  return [...below, ...above]
}

/** Itself, and all above it. */
export function withAncestors({ relations }: Neighbourhood, id: string): readonly Relation[] {
  const found = [id]
  for (const below of found) for (const parent of relations.get(below)?.parents ?? []) if (!found.includes(parent)) found.push(parent)
  return found.flatMap((each) => relations.get(each) ?? [])
}

/**
 * Follows foreign keys from the table that is referred to, and inheritance both ways. A constraint with a parent is the copy of one on a partition.
 * `conenforced` exists from PostgreSQL 18 on; a key that is not enforced does nothing.
 */
const REACH = `WITH RECURSIVE foreign_key AS MATERIALIZED (
  SELECT k.* FROM pg_catalog.pg_constraint AS k WHERE k.contype ${EQ} 'f'::pg_catalog."char" AND k.conparentid ${EQ} '0'::pg_catalog.oid
    AND coalesce(pg_catalog.to_jsonb(k) ${builtIn('->>')} 'conenforced'::pg_catalog.text, 'true'::pg_catalog.text) ${EQ} 'true'::pg_catalog.text
), edge AS MATERIALIZED (
  SELECT k.confrelid AS "from", k.conrelid AS "to" FROM foreign_key AS k
  UNION SELECT i.inhparent, i.inhrelid FROM pg_catalog.pg_inherits AS i
  UNION SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits AS i
), reach AS (
  SELECT c.oid AS id FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
    WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname ${EQ} $2::pg_catalog.name
  UNION SELECT e."to" FROM reach AS r JOIN edge AS e ON e."from" ${EQ} r.id
)`

const RELATIONS = `${REACH}
SELECT ${textOf('c.oid')} AS id, n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name, c.relkind::pg_catalog.text AS kind,
  c.relispartition AS "isPartition",
  ARRAY(SELECT ${textOf('i.inhparent')} FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid ${EQ} c.oid ORDER BY i.inhseqno) AS parents
FROM reach AS r JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} r.id JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
ORDER BY n.nspname, c.relname`

const KEYS = `${REACH}
SELECT k.conname::pg_catalog.text AS name, ${textOf('k.conrelid')} AS child, ${textOf('k.confrelid')} AS parent,
  ${columnsOf('k.conrelid', 'k.conkey')} AS "childColumns", ${columnsOf('k.confrelid', 'k.confkey')} AS "parentColumns",
  k.confdeltype::pg_catalog.text AS on_delete, k.confupdtype::pg_catalog.text AS on_update, k.confmatchtype ${EQ} 'f'::pg_catalog."char" AS "matchFull",
  CASE WHEN k.condeferred THEN ' DEFERRABLE INITIALLY DEFERRED' WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END AS deferral
FROM reach AS r JOIN foreign_key AS k ON k.confrelid ${EQ} r.id
ORDER BY k.conname, k.oid`

/** The names of the columns of a table that a list has the numbers of, in its order. */
function columnsOf(table: string, numbers: string): string {
  return `ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.unnest(${numbers}) WITH ORDINALITY AS u (number, place)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid ${EQ} ${table} AND a.attnum ${EQ} u.number ORDER BY u.place)`
}
