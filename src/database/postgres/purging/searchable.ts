import { countText, someText } from '../../../number-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Query, Value } from '../../query.ts'
import { quoted } from '../identifiers.ts'
import type { Look } from './estimate.ts'
import { withDescendants, type Neighbourhood, type Relation } from './foreign-keys.ts'
import { heapsOf, indexesOf, indexStatements, sizesOf, type Index } from './indexes.ts'
import { deleteSql, edgesSql, rangeCondition, STEERED, type TimedTable } from './slice-sql.ts'

/** A table with fewer rows may be scanned: that takes milliseconds. */
const SCANNABLE_ROWS = 50_000
/** So may a partition or a child of a larger one. */
const SCANNABLE_BYTES = 2 * 2 ** 20
const SLICE_ROWS = 1_000

export interface SearchOptions {
  /** By which the walk asks where its slices begin and end. */
  readonly query: Query
  /** With the settings of the transactions that delete. */
  readonly look: Look
  readonly neighbourhood: Neighbourhood
  /** Not quoted. */
  readonly column: string
  readonly timed: TimedTable
}

export interface Searchable {
  /** Whether every part of the table has an index that serves. */
  readonly indexed: boolean
  /** Whether the statements of the walk have to be `STEERED`. */
  readonly steered: boolean
}

/** Throws if the table is large and no index serves the walk, by what the catalogue has and by what the planner makes of it. */
export async function mustBeSearchable(options: SearchOptions): Promise<Searchable> {
  const { query, look, neighbourhood, column, timed } = options
  const tree = withDescendants(neighbourhood, neighbourhood.own.id)
  const heaps = heapsOf(neighbourhood, tree)
  const { edges, removal } = statementsOf(options)
  const [indexes, scannedByRemoval] = await look(async (tx) => [await indexesOf(tx, tree), await scansIn(tx, removal)] as const)
  const scanned = new Set([...scannedByRemoval, ...(await scansIn(query, edges))])
  const lacking = heaps.filter(({ id }) => !indexes.some((index) => serves(index, id, column)))
  const plain: Searchable = { indexed: lacking.length === 0, steered: false }
  if (plain.indexed && scanned.size === 0) return plain
  if (!(await isLarge(query, timed.table))) return plain

  const sizes = await look((tx) =>
    sizesOf(
      tx,
      heaps.map(({ id }) => id),
    ),
  )
  const large = heaps.filter(({ id }) => heaps.length === 1 || (sizes.get(id) ?? 0) > SCANNABLE_BYTES)
  const unindexed = large.filter((heap) => lacking.includes(heap))
  if (unindexed.length > 0) throw unsearchable(options, unindexed, indexes)
  const among = (scans: ReadonlySet<string>): readonly Relation[] => large.filter((heap) => scans.has(titleOf(heap)))
  if (among(scanned).length === 0) return plain
  const unserved = among(
    await look(async (tx) => {
      await tx.query(STEERED)
      return new Set([...(await scansIn(tx, edges)), ...(await scansIn(tx, removal))])
    }),
  )
  // They have indexes that look right, and that the planner cannot use: another one is needed.
  const others = indexes.filter(({ table }) => !unserved.some(({ id }) => id === table))
  if (unserved.length > 0) throw unsearchable(options, unserved, others)
  return { ...plain, steered: true }
}

type Asked = readonly [statement: string, values: readonly Value[]]

/** Asked as if every row had expired: of a few rows it does not matter how they are found. */
function statementsOf({ timed }: SearchOptions): { readonly edges: Asked; readonly removal: Asked } {
  const range = rangeCondition(timed, 'infinity', '-infinity', 'infinity')
  return { edges: [edgesSql(timed, false), ['infinity', '-infinity', SLICE_ROWS]], removal: [deleteSql(timed, range), range.values] }
}

/** In the order of the time, of every row. */
function serves({ table, columns, method, isValid, rows }: Index, id: string, column: string): boolean {
  return table === id && isValid && rows === 'all' && method === 'btree' && columns[0] === column
}

interface Plan {
  readonly 'Node Type': string
  readonly Schema?: string
  readonly 'Relation Name'?: string
  readonly Plans?: readonly Plan[]
}

/** The tables that the planner would read as a whole for this statement, or sort. */
async function scansIn(query: Query, [statement, values]: Asked): Promise<ReadonlySet<string>> {
  const { rows } = await query.query<{ 'QUERY PLAN': readonly { readonly Plan?: Plan }[] }>(
    `EXPLAIN (VERBOSE, FORMAT JSON) ${statement}`,
    values,
  )
  const found = new Set<string>()
  const look = (plan: Plan, sorted: boolean): void => {
    const whole = sorted || plan['Node Type'] === 'Sort'
    const { Schema: schema = '', 'Relation Name': name } = plan
    if (name !== undefined && plan['Node Type'] !== 'ModifyTable' && (whole || plan['Node Type'] === 'Seq Scan'))
      found.add(`${schema}.${name}`)
    for (const each of plan.Plans ?? []) look(each, whole)
  }
  // A rule may turn the statement into several, or into none.
  for (const { Plan: plan } of rows[0]?.['QUERY PLAN'] ?? []) if (plan !== undefined) look(plan, false)
  return found
}

/** Counted, not estimated: outdated statistics could make a large table look small. */
async function isLarge(query: Query, table: string): Promise<boolean> {
  const { rows } = await query.query<{ rows: number }>(
    `SELECT pg_catalog.count(*) AS rows FROM (SELECT FROM ${table} LIMIT ${SCANNABLE_ROWS + 1}) AS t`,
  )
  return (rows[0]?.rows ?? 0) > SCANNABLE_ROWS
}

function unsearchable({ neighbourhood, column }: SearchOptions, heaps: readonly Relation[], indexes: readonly Index[]): DatabaseError {
  const { own } = neighbourhood
  const statements = indexStatements(neighbourhood, own, [column], indexes, new Set(heaps.map(({ id }) => id)))
  const where = heaps.length === 1 && heaps[0] === own ? '' : ` in ${someText(heaps.map(titleOf))}`
  return new DatabaseError(
    'failed',
    `Table ${titleOf(own)} has more than ${countText(SCANNABLE_ROWS)} rows and no index that begins with ${quoted(column)}${where}, so every batch would read ` +
      `the whole table. Nothing was deleted. Run: ${statements.join('; ')}`,
  )
}

function titleOf({ schema, name }: Relation): string {
  return `${schema}.${name}`
}
