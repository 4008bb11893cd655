import type { EpochMs } from '../../../time/clock.ts'
import { wallInstants } from '../../../time/zones.ts'
import { MOST_COUNTED } from '../../purging.ts'
import { PARTITIONED, type Converted, type Converting, type PartitionState } from '../../partitioning.ts'
import { EQ } from '../exact.ts'
import {
  readingAt,
  readTree,
  isConverted,
  boundTime,
  CANONICAL_BOUNDS,
  type PartitioningOptions,
  type PartitionRecord,
  type Tree,
} from './tree.ts'
import { boundName } from './conversion-names.ts'
import { defaultOf, occupiedAmong, unplacedRows } from './default-partition.ts'
import { gapsBetween, lastEnd, nextMidnight, type Stretch } from './gaps.ts'
import { managerOf } from './others.ts'
import { problemsOf } from './problems.ts'
import type { TimeType } from '../times.ts'

/** See `Partitions.state`. Counts the rows of DEFAULT up to a limit, and else reads the catalogue and our record. */
export async function partitionState(options: PartitioningOptions): Promise<PartitionState> {
  const tree = await readTree(options)
  if (tree === undefined) return { kind: 'plain' }
  const { record } = tree
  const isWhole = tree.kind !== 'p' && tree.parts.length === 0
  if (tree.isRecordUnreadable)
    return {
      kind: 'foreign',
      reason: `its row of ${options.schema}.${PARTITIONED} is none that the worker writes, so something else did, and nothing is concluded from it`,
    }
  if (record === undefined) return isWhole ? { kind: 'plain' } : { kind: 'foreign', reason: await foreignReason(options, tree) }
  if (record.undoingSince !== undefined)
    return {
      kind: 'undoing',
      since: record.undoingSince,
      isPartitioned: tree.kind === 'p',
      tables: tree.kind === 'p' ? 0 : tree.parts.length,
    }
  if (record.convertedAt === undefined) return await converting(options, tree, record)
  if (isConverted(tree) && tree.type !== undefined) return await converted(options, tree, tree.type, record, record.convertedAt)
  return {
    kind: 'foreign',
    reason: `the worker has turned it into partitions once, and somebody has ${isWhole ? 'made it a plain table' : 'partitioned it in another way'} since`,
  }
}

async function foreignReason({ query, schema, column }: PartitioningOptions, tree: Tree): Promise<string> {
  const manager = await managerOf(query, schema, column.table, tree)
  if (manager !== undefined) return `${manager} manages its partitions`
  if (tree.kind !== 'p') return 'other tables inherit from it'
  return tree.isByTime
    ? 'somebody else has partitioned it by its time'
    : `somebody else has partitioned it, and not by ranges of "${column.column}" alone`
}

/** Between two steps of the conversion a constraint refuses rows that the first partition is not to have. */
async function converting(options: PartitioningOptions, tree: Tree, record: PartitionRecord): Promise<Converting> {
  const { look, timeZone, column } = options
  const { rows } = await look(async (tx) => {
    await tx.query(CANONICAL_BOUNDS)
    return await tx.query<{ body: string }>(CHECK, [tree.id, boundName(column.table)])
  })
  const [check] = rows
  if (tree.kind === 'p' || check === undefined) return { kind: 'converting', since: record.beganAt, refusesFrom: undefined }
  const [, text = ''] = /'([^']+)'::timestamp/.exec(check.body) ?? []
  const bound = boundTime(text) ?? record.bound
  return { kind: 'converting', since: record.beganAt, refusesFrom: instantOf(bound.reading, tree.type ?? 'timestamp', timeZone) }
}

const CHECK = `SELECT pg_catalog.pg_get_constraintdef(k.oid) AS body FROM pg_catalog.pg_constraint AS k
WHERE k.conrelid ${EQ} $1::pg_catalog.oid AND k.conname ${EQ} $2::pg_catalog.name AND k.contype ${EQ} 'c'::pg_catalog."char"`

async function converted(
  options: PartitioningOptions,
  tree: Tree,
  type: TimeType,
  record: PartitionRecord,
  since: EpochMs,
): Promise<Converted> {
  const { look, timeZone, schema } = options
  const now = await look((tx) => Promise.resolve(tx.now))
  const rest = await defaultOf(options, tree)
  const counted = rest === undefined ? NONE : await unplacedRows(options, rest.part, MOST_COUNTED)
  const { covered, occupied, open } = await coverage(options, tree, type, readingAt(now, type, timeZone))
  const first = tree.parts.find(({ name, schema: place }) => name === record.first && place === schema)
  const firstEnd = first?.bound.kind === 'range' ? first.bound.to?.reading : undefined
  return {
    kind: 'converted',
    since,
    coveredUntil: Math.max(now, instantOf(Math.min(covered, LAST_TIME), type, timeZone)),
    partitions: tree.parts.filter(({ bound }) => bound.kind !== 'default').length,
    unplaced: counted ?? NONE,
    detached: tree.detached.map(({ name, since: detachedAt }) => ({ name, since: detachedAt })),
    first: first === undefined || firstEnd === undefined ? undefined : { name: first.name, until: instantOf(firstEnd, type, timeZone) },
    ...(await problemsOf(options, tree, { rest, mayCount: counted !== undefined, occupied, open })),
  }
}

const NONE = { rows: 0, more: false } as const

/** As good as never: what an ISO date with four digits can still say. */
const LAST_TIME = Date.UTC(9999, 11, 31)

interface Coverage {
  /** The end of the chain of ranges from now on, as the column reads it. */
  readonly covered: EpochMs
  /** Days without a partition that get none, because DEFAULT has rows of them. They do not break the chain: nothing can be done about them, and nothing is lost. */
  readonly occupied: readonly Stretch[]
  /** Other gaps before the last end. */
  readonly open: readonly Stretch[]
}

async function coverage(options: PartitioningOptions, { parts }: Tree, type: TimeType, now: EpochMs): Promise<Coverage> {
  const end = Math.min(lastEnd(parts) ?? now, LAST_TIME)
  if (end <= now) return { covered: now, occupied: [], open: [] }
  const gaps = gapsBetween(parts, now, nextMidnight(end), type).filter(({ from }) => from.reading < end)
  const found = gaps.length === 0 ? new Set<Stretch>() : await occupiedAmong(options, gaps)
  const open = gaps.filter((gap) => !found.has(gap))
  return { covered: open[0]?.from.reading ?? lastEnd(parts) ?? now, occupied: gaps.filter((gap) => found.has(gap)), open }
}

/** The earliest instant at which a clock of the zone shows the reading. */
function instantOf(reading: EpochMs, type: TimeType, timeZone: string): EpochMs {
  return type === 'timestamptz' ? reading : Math.min(...wallInstants(timeZone)(reading))
}
