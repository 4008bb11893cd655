import { createHash } from 'node:crypto'
import { DatabaseError } from '../../database-error.ts'
import type { OfTable, Reference, SchemaFacts, SchemaObject } from '../../examining.ts'
import type { TimeColumn } from '../../purging.ts'
import type { Query } from '../../query.ts'
import { EQ, GT, NE, nameIn, PLUS } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import { mustBeTrusted } from '../owners.ts'
import { changedFunctions } from '../partitioning/functions.ts'
import { plainDefault, plainDefinition, plainView } from './definitions.ts'

/**
 * The server writes definitions out by the session's path, so that names in them are qualified or not. With a path of its own schema alone every other name is
 * qualified, whatever lies where; the setting ends with the transaction.
 */
const PATH = `SELECT pg_catalog.set_config('search_path'::pg_catalog.text, 'pg_catalog'::pg_catalog.text, true)`

/** Call in a transaction. Reads only the catalogue, which every role may. */
export async function schemaFacts(
  tx: Query,
  schema: string,
  relations: readonly string[],
  columns: readonly TimeColumn[],
): Promise<SchemaFacts> {
  const strangers = await strangersAmong(tx, schema, relations)
  await tx.query(PATH)
  const asked = [schema, JSON.stringify(relations)]
  const { rows: found } = await tx.query<RelationRow>(RELATIONS, asked)
  const { rows: ofTables } = await tx.query<ColumnRow>(COLUMNS, asked)
  const { rows: indexes } = await tx.query<IndexRow>(INDEXES, asked)
  const { rows: checks } = await tx.query<CheckRow>(CHECKS, asked)
  const { rows: allTriggers } = await tx.query<TriggerRow>(TRIGGERS, asked)
  const triggers = allTriggers.filter(({ partition }) => partition === null)
  const { rows: rules } = await tx.query<{ table: string; name: string }>(RULES, asked)
  const { rows: references } = await tx.query<ReferenceRow>(REFERENCES, asked)
  const owners = new Map(found.map(({ name, owner }) => [name, owner]))
  const functions = await changedFunctions(tx, schema, columns, (table) => owners.get(table))
  const ours = `${quoted(schema)}.`
  return {
    objects: [
      ...found.map(({ name, kind, definition }) =>
        made(kind === 'v' || kind === 'm' ? 'view' : 'table', name, name, definition === null ? '' : plainView(definition, [schema, name])),
      ),
      ...ofTables.map((column) => made('column', column.of, column.name, columnText(column))),
      ...indexes.map((index) => made(isKey(index) ? 'key' : 'index', index.of, index.name, indexText(index))),
      ...checks.map(({ of, name, definition }) => made('check', of, name, plainDefinition(definition, schema))),
      ...triggers.map((trigger) => made('trigger', trigger.of, trigger.name, plainDefinition(trigger.definition, schema))),
      ...functionsOf(triggers).map((trigger) => made('function', trigger.of, functionName(trigger, schema), functionText(trigger))),
    ],
    partitioned: new Set(found.flatMap(({ name, kind }) => (kind === 'p' ? [name] : []))),
    invalidIndexes: indexes
      .filter(({ valid }) => !valid)
      .map(({ of, name, partitioned }) =>
        ofTable(of, name, partitioned ? `DROP INDEX ${ours}${quoted(name)}` : `REINDEX INDEX CONCURRENTLY ${ours}${quoted(name)}`),
      ),
    silentTriggers: triggers
      .filter(({ fires }) => !fires)
      .map(({ of, name }) => ofTable(of, name, `ALTER TABLE ${qualified(schema, of)} ENABLE TRIGGER ${quoted(name)}`)),
    partitionTriggers: allTriggers.flatMap(({ of, name, partition, definition }) =>
      partition === null ? [] : [{ table: of, partition, name, is: plainDefinition(definition, schema) }],
    ),
    rules: rules.map(({ table, name }) => ofTable(table, name, `DROP RULE ${quoted(name)} ON ${qualified(schema, table)}`)),
    rowSecurity: found.filter(({ secured }) => secured).map(({ name, hidden }) => ({ table: name, active: hidden })),
    references: references.map(referenceOf),
    changedFunctions: functions,
    strangers: [
      ...strangers,
      ...allTriggers
        .filter(({ strange }) => strange)
        .map(
          ({ of, partition, function: name, owner, table_owner: heir, place }) =>
            `the function ${name} of a trigger of ${partition ?? `${schema}.${of}`} belongs to role ${owner}, which may change at any time what it does with the rights of whoever writes to that table. ` +
            `Check what it does, then run: ALTER FUNCTION ${qualified(place, name)}() OWNER TO ${quoted(heir)}`,
        ),
    ],
  }
}

async function strangersAmong(tx: Query, schema: string, relations: readonly string[]): Promise<readonly string[]> {
  try {
    await mustBeTrusted(tx, schema, relations)
    return []
  } catch (error) {
    if (error instanceof DatabaseError && error.kind === 'refused') return error.lines
    throw error
  }
}

function made(kind: SchemaObject['kind'], of: string, name: string, is: string): SchemaObject {
  return { kind, of, name, is, version: 0 }
}

function ofTable(table: string, name: string, statement: string): OfTable {
  return { table, name, statement }
}

interface RelationRow {
  readonly name: string
  readonly owner: string
  readonly kind: string
  readonly definition: string | null
  readonly secured: boolean
  readonly hidden: boolean
}

interface ColumnRow {
  readonly of: string
  readonly name: string
  readonly type: string
  readonly mandatory: boolean
  readonly numbered: boolean
  readonly otherwise: string | null
}

function columnText({ type, mandatory, numbered, otherwise }: ColumnRow): string {
  return `${type}${mandatory ? ' NOT NULL' : ''}${numbered ? ' IDENTITY' : ''}${otherwise === null ? '' : ` DEFAULT ${plainDefault(otherwise)}`}`
}

interface IndexRow {
  readonly of: string
  readonly name: string
  /** What follows the name of the table. */
  readonly definition: string
  readonly keys: string
  readonly primary: boolean
  readonly unique: boolean
  /** Neither partial nor on an expression. */
  readonly plain: boolean
  readonly valid: boolean
  readonly partitioned: boolean
}

function isKey({ unique, plain }: IndexRow): boolean {
  return unique && plain
}

function indexText(index: IndexRow): string {
  const { primary, unique, keys, definition } = index
  if (isKey(index)) return `${primary ? 'PRIMARY KEY' : 'UNIQUE'} (${keys})`
  return `${unique ? 'UNIQUE ' : ''}${definition.replace(/^USING btree /, '')}`
}

interface CheckRow {
  readonly of: string
  readonly name: string
  readonly definition: string
}

interface TriggerRow extends CheckRow {
  /** With its schema, where it lies on a single partition of `of`; the parts that a trigger of the whole table has on partitions are none of their own. */
  readonly partition: string | null
  /** Whether another role owns the function than the table, and is no more powerful than that. */
  readonly strange: boolean
  readonly owner: string
  readonly table_owner: string
  readonly fires: boolean
  readonly place: string
  readonly function: string
  readonly language: string
  readonly definer: boolean
  readonly settings: string
  readonly source: string
}

/** One trigger for each function that a table's triggers call. */
function functionsOf(triggers: readonly TriggerRow[]): readonly TriggerRow[] {
  return [...new Map(triggers.map((trigger) => [JSON.stringify([trigger.of, trigger.place, trigger.function]), trigger])).values()]
}

function functionName({ place, function: name }: TriggerRow, schema: string): string {
  return place === schema ? name : `${place}.${name}`
}

function functionText({ language, definer, settings, source }: TriggerRow): string {
  const hash = createHash('sha256').update(source.replaceAll('\r\n', '\n')).digest('hex').slice(0, 16)
  return [language, ...(definer ? ['SECURITY DEFINER'] : []), ...(settings === '' ? [] : [settings]), `sha256 ${hash}`].join(', ')
}

interface ReferenceRow {
  readonly table: string
  readonly by: string
  readonly columns: readonly string[]
  readonly action: string
}

function referenceOf({ table, by, columns, action }: ReferenceRow): Reference {
  return { table, by, columns, effect: action === 'a' || action === 'r' ? 'blocks' : action === 'c' ? 'deletes' : 'changes' }
}

const AMONG = `n.nspname ${EQ} $1::pg_catalog.name
  AND c.relname::pg_catalog.text ${EQ} ANY (ARRAY(SELECT pg_catalog.json_array_elements_text($2::pg_catalog.json)))`
const FROM_CLASS = `FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace`

const RELATIONS = `SELECT c.relname::pg_catalog.text AS name, c.relkind::pg_catalog.text AS kind, o.rolname::pg_catalog.text AS owner,
  CASE WHEN ${nameIn('c.relkind', ['v', 'm'], '"char"')} THEN pg_catalog.pg_get_viewdef(c.oid) END AS definition,
  c.relrowsecurity AS secured, pg_catalog.row_security_active(c.oid) AS hidden
${FROM_CLASS} JOIN pg_catalog.pg_roles AS o ON o.oid ${EQ} c.relowner
WHERE ${AMONG} AND ${nameIn('c.relkind', ['r', 'p', 'v', 'm'], '"char"')} ORDER BY c.relname`

const COLUMNS = `SELECT c.relname::pg_catalog.text AS of, a.attname::pg_catalog.text AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
  a.attnotnull AS mandatory, a.attidentity ${NE} '' AS numbered, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS otherwise
${FROM_CLASS}
JOIN pg_catalog.pg_attribute AS a ON a.attrelid ${EQ} c.oid AND a.attnum ${GT} 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid ${EQ} c.oid AND d.adnum ${EQ} a.attnum
WHERE ${AMONG} AND ${nameIn('c.relkind', ['r', 'p'], '"char"')} ORDER BY c.relname, a.attnum`

/** A build that is under way counts as valid. */
const INDEXES = `SELECT c.relname::pg_catalog.text AS of, x.relname::pg_catalog.text AS name, i.indisprimary AS primary, i.indisunique AS unique,
  i.indpred IS NULL AND i.indexprs IS NULL AS plain, x.relkind ${EQ} 'I' AS partitioned,
  coalesce(i.indisvalid AND i.indisready AND i.indislive, true)
    OR EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p WHERE p.index_relid ${EQ} x.oid) AS valid,
  pg_catalog.substr(pg_catalog.pg_get_indexdef(x.oid), pg_catalog.length(pg_catalog.format('CREATE %sINDEX %I ON %s%I.%I '::pg_catalog.text,
    CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, x.relname, CASE WHEN c.relkind ${EQ} 'p' THEN 'ONLY ' ELSE '' END, n.nspname, c.relname)) ${PLUS} 1) AS definition,
  coalesce((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname::pg_catalog.text), ', '::pg_catalog.text ORDER BY k.place)
    FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (number, place)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid ${EQ} c.oid AND a.attnum ${EQ} k.number), '') AS keys
${FROM_CLASS} JOIN pg_catalog.pg_index AS i ON i.indrelid ${EQ} c.oid JOIN pg_catalog.pg_class AS x ON x.oid ${EQ} i.indexrelid
WHERE ${AMONG} ORDER BY c.relname, x.relname`

const CHECKS = `SELECT c.relname::pg_catalog.text AS of, k.conname::pg_catalog.text AS name, pg_catalog.pg_get_constraintdef(k.oid) AS definition
${FROM_CLASS} JOIN pg_catalog.pg_constraint AS k ON k.conrelid ${EQ} c.oid AND k.contype ${EQ} 'c'
WHERE ${AMONG} ORDER BY c.relname, k.conname`

const TRIGGERS = `WITH RECURSIVE part (root, id) AS (
  SELECT c.oid, c.oid ${FROM_CLASS} WHERE ${AMONG}
  UNION
  SELECT p.root, i.inhrelid FROM part AS p JOIN pg_catalog.pg_inherits AS i ON i.inhparent ${EQ} p.id
  JOIN pg_catalog.pg_class AS h ON h.oid ${EQ} i.inhrelid AND h.relispartition
)
SELECT b.relname::pg_catalog.text AS of,
  CASE WHEN p.id ${NE} p.root THEN pg_catalog.format('%s.%s'::pg_catalog.text, n.nspname, c.relname) END AS partition,
  t.tgname::pg_catalog.text AS name, pg_catalog.pg_get_triggerdef(t.oid) AS definition,
  ${nameIn('t.tgenabled', ['O', 'A'], '"char"')} AS fires, f.proname::pg_catalog.text AS function, s.nspname::pg_catalog.text AS place, l.lanname::pg_catalog.text AS language,
  f.prosecdef AS definer, coalesce(pg_catalog.array_to_string(f.proconfig, ', '::pg_catalog.text), '') AS settings, f.prosrc AS source,
  f.proowner ${NE} c.relowner AND NOT o.rolsuper AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_database AS d WHERE d.datname ${EQ} pg_catalog.current_database() AND d.datdba ${EQ} f.proowner) AS strange,
  o.rolname::pg_catalog.text AS owner, w.rolname::pg_catalog.text AS table_owner
FROM part AS p
JOIN pg_catalog.pg_class AS b ON b.oid ${EQ} p.root
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} p.id
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
JOIN pg_catalog.pg_trigger AS t ON t.tgrelid ${EQ} c.oid AND NOT t.tgisinternal AND (p.id ${EQ} p.root OR t.tgparentid ${EQ} '0'::pg_catalog.oid)
JOIN pg_catalog.pg_proc AS f ON f.oid ${EQ} t.tgfoid
JOIN pg_catalog.pg_namespace AS s ON s.oid ${EQ} f.pronamespace
JOIN pg_catalog.pg_roles AS o ON o.oid ${EQ} f.proowner
JOIN pg_catalog.pg_roles AS w ON w.oid ${EQ} c.relowner
JOIN pg_catalog.pg_language AS l ON l.oid ${EQ} f.prolang
ORDER BY b.relname, n.nspname, c.relname, t.tgname`

const RULES = `SELECT c.relname::pg_catalog.text AS "table", r.rulename::pg_catalog.text AS name
${FROM_CLASS} JOIN pg_catalog.pg_rewrite AS r ON r.ev_class ${EQ} c.oid AND r.rulename ${NE} '_RETURN'
WHERE ${AMONG} ORDER BY c.relname, r.rulename`

/** The parts of a partitioned table's key are no keys of their own. */
const REFERENCES = `SELECT c.relname::pg_catalog.text AS "table", pg_catalog.format('%s.%s'::pg_catalog.text, m.nspname, o.relname) AS by,
  k.confdeltype::pg_catalog.text AS action,
  (SELECT pg_catalog.json_agg(a.attname::pg_catalog.text ORDER BY u.place) FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u (number, place)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid ${EQ} o.oid AND a.attnum ${EQ} u.number) AS columns
${FROM_CLASS}
JOIN pg_catalog.pg_constraint AS k ON k.confrelid ${EQ} c.oid AND k.contype ${EQ} 'f' AND k.conparentid ${EQ} '0'::pg_catalog.oid
JOIN pg_catalog.pg_class AS o ON o.oid ${EQ} k.conrelid
JOIN pg_catalog.pg_namespace AS m ON m.oid ${EQ} o.relnamespace
WHERE ${AMONG} ORDER BY c.relname, m.nspname, o.relname`
