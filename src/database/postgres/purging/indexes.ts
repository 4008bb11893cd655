import type { Query } from '../../query.ts'
import { EQ, LE, textOf } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import { withDescendants, type Neighbourhood, type Relation } from './foreign-keys.ts'

export interface Index {
  /** `pg_class.oid` of its table. */
  readonly table: string
  readonly name: string
  /** Of its key, in order; an expression is empty text. */
  readonly columns: readonly string[]
  /** As `pg_am.amname`. */
  readonly method: string
  /** False of one that an interrupted build left. */
  readonly isValid: boolean
  /** The rows that it has: all, those whose first column is not NULL, or some others. */
  readonly rows: 'all' | 'not null' | 'some'
  /** Whether it is one of a partitioned table's already. */
  readonly isAttached: boolean
}

/** Of these tables. Reads the catalogue alone. */
export async function indexesOf(query: Query, tables: readonly string[]): Promise<readonly Index[]> {
  if (tables.length === 0) return []
  return (await query.query<Index>(INDEXES, [`{${tables.join(',')}}`])).rows
}

const INDEXES = `SELECT ${textOf('i.indrelid')} AS table, x.relname::pg_catalog.text AS name, m.amname::pg_catalog.text AS method,
  ARRAY(SELECT coalesce(a.attname::pg_catalog.text, '') FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY AS u (number, place)
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid ${EQ} i.indrelid AND a.attnum ${EQ} u.number
    WHERE u.place ${LE} i.indnkeyatts ORDER BY u.place) AS columns,
  i.indisvalid AND i.indisready AND i.indislive AS "isValid",
  CASE WHEN i.indpred IS NULL THEN 'all'
    WHEN pg_catalog.pg_get_expr(i.indpred, i.indrelid) ${EQ} pg_catalog.format('(%I IS NOT NULL)'::pg_catalog.text, a.attname) THEN 'not null'
    ELSE 'some' END AS rows,
  EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid ${EQ} i.indexrelid) AS "isAttached"
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS x ON x.oid ${EQ} i.indexrelid
JOIN pg_catalog.pg_am AS m ON m.oid ${EQ} x.relam
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid ${EQ} i.indrelid AND a.attnum ${EQ} i.indkey[0]
WHERE i.indrelid ${EQ} ANY ($1::pg_catalog.oid[])
ORDER BY x.relname`

/** Of the heap of each of these tables. */
export async function sizesOf(query: Query, tables: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (tables.length === 0) return new Map()
  const { rows } = await query.query<{ id: string; bytes: number }>(SIZES, [`{${tables.join(',')}}`])
  return new Map(rows.map(({ id, bytes }) => [id, bytes]))
}

const SIZES = `SELECT ${textOf('c.oid')} AS id, pg_catalog.pg_relation_size(c.oid::pg_catalog.regclass) AS bytes
FROM pg_catalog.pg_class AS c WHERE c.oid ${EQ} ANY ($1::pg_catalog.oid[])`

/** The tables in which the rows of a table lie: itself, or what it is divided into. */
export function heapsOf(neighbourhood: Neighbourhood, ids: readonly string[]): readonly Relation[] {
  return ids.flatMap((id) => neighbourhood.relations.get(id) ?? []).filter(({ kind }) => kind === 'r')
}

/**
 * What to run, statement by statement, so that each of these tables gets an index of these columns without keeping anybody from writing. A partitioned table
 * takes no index CONCURRENTLY: it gets one of itself alone (ON ONLY), which counts once those of all partitions are attached to it.
 */
export function indexStatements(
  neighbourhood: Neighbourhood,
  table: Relation,
  columns: readonly string[],
  indexes: readonly Index[],
  lacking: ReadonlySet<string>,
): readonly string[] {
  const list = columns.map(quoted).join(', ')
  const of = (relation: Relation): Index | undefined => {
    const alike = indexes.filter(
      (each) => each.table === relation.id && each.rows === 'all' && each.method === 'btree' && each.columns.join() === columns.join(),
    )
    return alike.find(({ isValid }) => isValid) ?? alike[0]
  }
  const nameOf = (relation: Relation): string => of(relation)?.name ?? newName(relation, columns)
  const statementsOf = (relation: Relation): readonly string[] => {
    const name = qualified(relation.schema, relation.name)
    const existing = of(relation)
    if (relation.kind !== 'p') {
      if (!lacking.has(relation.id)) return []
      if (existing === undefined) return [`CREATE INDEX CONCURRENTLY ${quoted(nameOf(relation))} ON ${name} (${list})`]
      return [`REINDEX INDEX CONCURRENTLY ${qualified(relation.schema, existing.name)}`]
    }
    const below = [...neighbourhood.relations.values()].filter(({ parents }) => parents.includes(relation.id))
    return [
      ...(existing === undefined ? [`CREATE INDEX ${quoted(nameOf(relation))} ON ONLY ${name} (${list})`] : []),
      ...below.flatMap((each) => [
        ...statementsOf(each),
        ...(lacking.has(each.id) || each.kind === 'p' || of(each) !== undefined ? attachment(relation, each) : []),
      ]),
    ]
  }
  const attachment = (above: Relation, relation: Relation): readonly string[] =>
    of(relation)?.isAttached === true
      ? []
      : [`ALTER INDEX ${qualified(above.schema, nameOf(above))} ATTACH PARTITION ${qualified(relation.schema, nameOf(relation))}`]
  return table.kind === 'p'
    ? statementsOf(table)
    : withDescendants(neighbourhood, table.id).flatMap((id) => statementsOf(neighbourhood.relations.get(id)!))
}

/** PostgreSQL cuts a longer name off, and two partitions could end up with one. */
const LONGEST_NAME_BYTES = 63

function newName({ id, name }: Relation, columns: readonly string[]): string {
  const full = `${name}_${columns.join('_')}_purge`
  return Buffer.byteLength(full) > LONGEST_NAME_BYTES ? `purge_${id}` : full
}
