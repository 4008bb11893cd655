import { countText, sizeText } from '../../../number-text.ts'
import { MINUTE, SECOND } from '../../../time/clock.ts'
import { DatabaseError } from '../../database-error.ts'
import type { ConversionFacts, ConversionPlan, PartitionTerms } from '../../partitioning.ts'
import { qualified, quoted } from '../identifiers.ts'
import { describeSession } from '../migrating/sessions.ts'
import { plannedRows } from '../purging/estimate.ts'
import { firstName, keyName, preparedName } from './conversion-names.ts'
import { defaultName, firstBound, firstDays, midnight, partitionName } from './days.ts'
import { mostPartitions } from './limits.ts'
import { managersHere } from './managers.ts'
import { planFacts, rowFacts, type Named, type PlanFacts, type RowFacts } from './plan-facts.ts'
import { kindProblem, MOST_SET_ASIDE, refusals, rowRefusals } from './plan-refusals.ts'
import { isConverted, readingAt, readTree, type BoundTime, type PartitioningOptions, type Tree } from './tree.ts'

export interface PlanningOptions extends PartitioningOptions {
  readonly pooled: () => Promise<boolean>
}

/** Reads the catalogue, and counts rows by the index on their time. Rejects if the table may not be read. */
export async function planConversion(options: PlanningOptions, terms: PartitionTerms): Promise<ConversionPlan> {
  const { look, schema, column, timeZone } = options
  const named: Named = { schema, table: column.table, column: column.column }
  const tree = await readTree(options)
  if (tree !== undefined && isConverted(tree)) return refused([`${schema}.${column.table} has been turned into partitions already.`])
  const problem = kindProblem(tree, named, await look(managersHere))
  if (problem !== undefined || tree === undefined) return refused([problem ?? ''])

  const { now, aheadMs } = terms
  const type = tree.type ?? 'timestamptz'
  const resumes = tree.record !== undefined && tree.record.undoingSince === undefined
  const bound = resumes ? tree.record.bound : midnight(firstBound(readingAt(now, type, timeZone)), type)
  const days = firstDays(bound.reading, aheadMs)
  const names = resumes
    ? []
    : [
        preparedName(column.table),
        firstName(column.table),
        keyName(column.table),
        defaultName(column.table),
        ...days.map((day) => partitionName(column.table, day)),
      ]
  const facts = await look((tx) => planFacts(tx, options, tree, names))
  if (facts === undefined) return refused([kindProblem(undefined, named, []) ?? ''])
  const most = mostPartitions(terms)
  const reasons = refusals({ named, tree, facts, terms, most, pooled: await options.pooled() })
  // Who does not own the table may not be allowed to read it either.
  const counted = tree.type !== undefined && facts.shape.hasId && tree.isOwner ? await countedRows(options, tree, bound) : undefined
  const also = counted === undefined ? [] : 'problem' in counted ? [counted.problem] : rowRefusals(named, counted, bound.text, facts.limits)
  if (reasons.length + also.length > 0 || counted === undefined || 'problem' in counted) return refused([...reasons, ...also])
  return { kind: 'ready', facts: conversionFacts({ named, facts, rows: counted, bound, resumes, most, partitions: days.length }) }
}

function refused(reasons: readonly string[]): ConversionPlan {
  return { kind: 'refused', reasons }
}

async function countedRows(
  options: PlanningOptions,
  { type, mayBeNull }: Tree,
  bound: BoundTime,
): Promise<RowFacts | { readonly problem: string }> {
  const { look, scan, schema, column } = options
  const [table, time] = [qualified(schema, column.table), quoted(column.column)]
  try {
    const rows = await look((tx) => plannedRows(tx, `SELECT FROM ${table}`))
    return await scan((tx) =>
      rowFacts(tx, { table, column: time, type: type ?? 'timestamptz' }, { bound: bound.text, most: MOST_SET_ASIDE, mayBeNull, rows }),
    )
  } catch (error) {
    if (!(error instanceof DatabaseError) || (error.kind !== 'busy' && error.kind !== 'slow')) throw error
    return {
      problem:
        `Rows of ${schema}.${column.table} without a time, or with one from ${bound.text} on, could not be counted: ${error.message}. ` +
        `An index on ${time} finds them at once. Run: CREATE INDEX CONCURRENTLY ON ${table} (${time})`,
    }
  }
}

interface Ready {
  readonly named: Named
  readonly facts: Pick<PlanFacts, 'oldest' | 'limits' | 'shape'>
  readonly rows: RowFacts
  readonly bound: BoundTime
  readonly resumes: boolean
  readonly most: number
  readonly partitions: number
}

/** Measured on warm data: 2 to 3 s for the index and 0.8 s for the check, a million rows. */
const MS_PER_ROW = 0.0033
/** An entry of the new index, and of the log that is written for it. */
const BYTES_PER_ROW = 31
/** Fewer go by batches in a second or two a night. */
const WORTHWHILE_ROWS = 10_000_000
/** Younger ones end before the index begins. */
const OLD_MS = MINUTE

export function conversionFacts({ named, facts, rows, bound, resumes, most, partitions }: Ready): ConversionFacts {
  const neededBytes = 2 * BYTES_PER_ROW * rows.rows
  const { schema, table, column } = named
  const { oldest, limits, shape } = facts
  const time = quoted(column)
  const changed = limits.publications.filter(({ carries }) => carries === 'table').map(({ name }) => name)
  const foreign = limits.publications.filter(({ isOwner }) => !isOwner).map(({ name }) => name)
  const oldestMs = (oldest?.transaction_s ?? 0) * SECOND
  return {
    resumes,
    rows: rows.rows,
    bytes: shape.bytes,
    bound: bound.reading,
    partitions,
    mostPartitions: most,
    setAside: rows.undated + rows.ahead,
    expectedMs: SECOND + rows.rows * MS_PER_ROW,
    neededBytes,
    notes: [
      ...(rows.rows < WORTHWHILE_ROWS
        ? [
            `${schema}.${table} has ${rows.rows === 0 ? 'no rows' : `about ${countText(rows.rows)} rows`}, and below ${countText(WORTHWHILE_ROWS)} the batches are quick enough: partitions are not worth what they cost here.`,
          ]
        : []),
      ...(oldest === undefined || oldestMs < OLD_MS
        ? []
        : [`The index waits until every older transaction has ended, and the oldest is that of ${describeSession(oldest)}.`]),
      `About ${sizeText(neededBytes)} of disk space are needed, for an index and the log of it. The server does not say how much it has left: look there.`,
      `The primary key becomes (id, ${time}), so a statement with ON CONFLICT (id) fails from then on. Ids go on from the same sequence; a row that brings an id of its own is no longer refused if another one has it.`,
      `A statement that names no time visits every partition: it is planned some milliseconds longer, and takes up to ${countText(most * (1 + limits.indexes))} locks. One that looks for an id alone is such a statement.`,
      ...changed.map((name) => `Publication ${name} names the table and is changed along with it.`),
      ...foreign.map(
        (name) =>
          `Publication ${name} carries the table and belongs to another role. Once partitions have rows, undo must be run as that role.`,
      ),
    ],
  }
}
